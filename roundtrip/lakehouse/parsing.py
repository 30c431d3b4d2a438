"""Records, fresh from a file or kept in quarantine, as one text a column of the contract. What can't be parsed says why."""

from __future__ import annotations

import csv

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as sf

from roundtrip.lakehouse.definitions import TableDefinition
from roundtrip.lakehouse.text_encodings import UTF_8, upper_half

AS_LATIN_1 = "as_latin_1"
"""Column: the record is not valid in its encoding, so raw_row has a character of Latin-1 for each of its bytes. Nothing is lost."""
TEXT = "_text"
"""Column: a struct with the text of each column of the contract, NULL where the value is missing."""
FLAW = "_flaw"
"""Column: why a record can't be parsed, in words; NULL where it can. Then all texts are NULL."""

_QUOTED = r'(^|,)"[^"]*+(?:""[^"]*+)*+"(?=,|\z)'
"""A quoted value and what stands before it. Possessive: Java's other loops over groups take a stack frame a turn, and 10 MB of them."""
_STRICT_JSON = {"columnNameOfCorruptRecord": "_corrupt", "allowSingleQuotes": "false", "allowNonNumericNumbers": "false"}


def header_names(header: str) -> list[str]:
    """Names of a CSV header line; raises csv.Error when it is none."""
    names = next(csv.reader([header], strict=True), None)
    if not names:
        raise csv.Error("the line is blank")
    return names


def readable(lines: DataFrame, encoding: str) -> DataFrame:
    """Lines of bytes (value, line) as raw_row, as_latin_1 and line, without their carriage return; blank ones are left out."""
    as_latin_1 = sf.decode(sf.col("value").cast("binary"), "ISO-8859-1")
    valid = sf.try_validate_utf8("value") if encoding == UTF_8 else _meant(as_latin_1, encoding)
    read = lines.select(valid.alias("valid"), "value", "line")
    text = read.select(sf.coalesce("valid", as_latin_1).alias("raw_row"), sf.col("valid").isNull().alias(AS_LATIN_1), "line")
    without_return = sf.when(sf.endswith("raw_row", sf.lit("\r")), sf.expr("left(raw_row, length(raw_row) - 1)")).otherwise(
        sf.col("raw_row")
    )
    return text.withColumn("raw_row", without_return).where("trim(raw_row) <> ''")


def parsed(records: DataFrame, definition: TableDefinition, header: str | None) -> DataFrame:
    """`records` (raw_row, as_latin_1, line) with TEXT and FLAW. `header` is that of the CSV which they are from; None: they are JSON."""
    again = sf.when(sf.col(AS_LATIN_1), _meant(sf.col("raw_row"), definition.encoding)).otherwise(sf.col("raw_row"))
    read = records.select("raw_row", AS_LATIN_1, "line", again.alias("read"))
    unreadable = sf.coalesce(
        sf.when(sf.col("read").isNull(), f"line is not valid in {definition.encoding}"),
        sf.when(sf.contains("read", sf.lit("\0")), "line holds a NUL byte"),
    )
    checked = read.withColumn(FLAW, unreadable)
    if header is None:
        names = [column.name for column in definition.columns]
        values = _json_values(checked, names)
    else:
        names = header_names(header)
        values = _csv_values(checked, names)
    texts = [_text(column.name, definition.null_text if column.name in names else None) for column in definition.columns]
    return values.select("raw_row", AS_LATIN_1, "line", FLAW, sf.struct(*texts).alias(TEXT))


def _csv_values(checked: DataFrame, names: list[str]) -> DataFrame:
    """`values`, a struct with the text of each column of the header, for the records with as many values and no stray quote."""
    unquoted = sf.when(sf.contains("read", sf.lit('"')), sf.regexp_replace("read", _QUOTED, "$1")).otherwise(sf.col("read"))
    commas = sf.octet_length("unquoted") - sf.octet_length(sf.replace("unquoted", sf.lit(","), sf.lit("")))
    flaw = sf.coalesce(
        FLAW,
        sf.when(sf.contains("unquoted", sf.lit('"')), "line has a quote that is not closed, or that stands within a value"),
        sf.when(commas + 1 != len(names), f"line has not the {len(names)} values of the header"),
    )
    sound = checked.withColumn("unquoted", unquoted).withColumn(FLAW, flaw)
    schema = ", ".join(f"`{name.replace('`', '``')}` string" for name in names)
    values = sf.from_csv(sf.when(sf.col(FLAW).isNull(), sf.col("read")), schema, {"escape": '"', "maxColumns": str(len(names) + 1)})
    return sound.withColumn("values", values)


def _json_values(checked: DataFrame, names: list[str]) -> DataFrame:
    """`values`, a struct with the text of each of the members, for the records that are one JSON object each, and nothing besides.

    Spark stops reading at the object's end, and would pass over a second one: hence the member after it, which must be seen.
    """
    object_of = ", ".join(f"`{name}` string" for name in names)
    whole = sf.when(sf.col(FLAW).isNull(), sf.concat(sf.lit('{"read":'), "read", sf.lit(',"ended":true}')))
    found = checked.withColumn("found", sf.from_json(whole, f"read struct<{object_of}>, ended boolean, _corrupt string", _STRICT_JSON))
    broken = sf.col("found._corrupt").isNotNull() | sf.col("found.read").isNull() | sf.col("found.ended").isNull()
    told = found.withColumn(FLAW, sf.coalesce(FLAW, sf.when(broken, "line is no JSON object")))
    return told.withColumn("values", sf.when(sf.col(FLAW).isNull(), sf.col("found.read")))


def _text(name: str, null_text: str | None) -> Column:
    """A column's text, NULL where it is missing: where the file has nothing, the null text, or (`null_text` None) no such column."""
    if null_text is None:
        return sf.lit(None).cast("string").alias(name)
    text = sf.col(f"values.{name}")
    return sf.when(~text.isin("", null_text), text).alias(name)


def _meant(latin_1: Column, encoding: str) -> Column:
    """What bytes, given as Latin-1, mean in `encoding`; NULL where they are not valid in it."""
    if encoding == UTF_8:
        return sf.try_validate_utf8(sf.encode(latin_1, "ISO-8859-1").cast("string"))
    half = upper_half(encoding)
    meant = sf.translate(latin_1, half.defined, half.meanings)
    return sf.when(~latin_1.rlike(f"[{half.undefined}]"), meant) if half.undefined else meant
