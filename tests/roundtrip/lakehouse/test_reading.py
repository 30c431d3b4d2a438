import csv
import gzip
import io
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pyspark.sql import Row, SparkSession

from roundtrip.contracts import storage
from roundtrip.contracts.errors import BadFile, FileReplaced, MissingSource
from roundtrip.lakehouse.definitions import Column, TableDefinition
from roundtrip.lakehouse.landing import landed_file, landing_uri
from roundtrip.lakehouse.reading import Records, in_one_task_a_file, read_records
from roundtrip.lakehouse.row_contract import typed_rows

COLUMNS = ("word", "number", "moment")
NOTES = TableDefinition(
    use_case_name="notes",
    name="raw_notes",
    grain="one note",
    owner="tests",
    freshness=timedelta(days=35),
    key=(),
    source="notes",
    null_text="NA",
    columns=(
        Column(name="word", type="string", unit="text", meaning="said", nullable=True),
        Column(name="number", type="int", unit="1", meaning="counted"),
        Column(name="moment", type="timestamp", unit="UTC", meaning="when", nullable=True),
    ),
)
HEADER = "word,number,moment"
Reader = Callable[..., dict[int, Row]]


def land_note(content: bytes, suffix: str = "csv") -> None:
    storage.write_bytes(f"{landing_uri('notes', 'notes')}/2013-04/notes.{suffix}", content)


def records_of(spark: SparkSession, definition: TableDefinition = NOTES) -> Records:
    return read_records(spark, landed_file("notes", "notes", "2013-04", "notes"), definition)


@pytest.fixture
def read(spark: SparkSession, storage_root: str) -> Reader:
    """`read(content, suffix)` gives what typed_rows makes of the file, by line."""

    def read_it(content: bytes, suffix: str = "csv", *, definition: TableDefinition = NOTES) -> dict[int, Row]:
        land_note(content, suffix)
        records = records_of(spark, definition)
        with in_one_task_a_file(spark):
            rows = typed_rows(records.frame, definition, "2013-04", header=records.header).collect()
        by_line = {row.line: row for row in rows}
        assert len(by_line) == len(rows)
        return by_line

    return read_it


def lines(*rows: str | bytes) -> bytes:
    return b"".join((row.encode() if isinstance(row, str) else row) + b"\n" for row in rows)


def test_a_record_that_cannot_be_parsed_is_one_broken_row_and_no_other_suffers(read: Reader) -> None:
    broken = {
        b"\xff,1,": "line is not valid in utf-8",
        b"a\0b,1,": "line holds a NUL byte",
        b"a,1": "line has not the 3 values of the header",
        b"a,1,,": "line has not the 3 values of the header",
        b"," * 100_000: "line has not the 3 values of the header",
        b'a,1,"': "line has a quote that is not closed, or that stands within a value",
        b'5" pipe,1,': "line has a quote that is not closed, or that stands within a value",
        b'"a"b,1,': "line has a quote that is not closed, or that stands within a value",
        b"y" * 10_000_000: "line has not the 3 values of the header",
        b"a," + b"9" * 10_000_000 + b",": f"number {'9' * 80} is no int",
    }
    rows = read(lines(HEADER, *(row for each in broken for row in (each, "good,1,"))))
    assert [rows[line]._reason for line in range(2, 22, 2)] == list(broken.values())
    assert [rows[line].raw_row.encode("latin-1") for line in range(2, 22, 2)] == list(broken)
    assert [rows[line].as_latin_1 for line in range(2, 22, 2)] == [True] + [False] * 9
    assert [(rows[line]._reason, rows[line].word) for line in range(3, 23, 2)] == [(None, "good")] * 10


def test_values_between_quotes_may_hold_anything(read: Reader) -> None:
    big = ("x" * 30 + ',"') * 300_000 + "\n" * 500
    rows = read(lines(HEADER, '"a,""b"",\r', 'c",1,NA\r', '"",2,""', "", " ", f'"{big.replace(chr(34), chr(34) * 2)}",3,'))
    assert {line: (row.word, row.number) for line, row in rows.items()} == {2: ('a,"b",\r\nc', 1), 4: (None, 2), 7: (big, 3)}
    assert [row.moment for row in rows.values()] == [None] * 3


def test_lines_are_numbered_through_a_file_that_two_tasks_could_read(read: Reader) -> None:
    count = 300_000
    rows = read(lines(HEADER, *(f"{'x' * 60},{line}," for line in range(2, count + 2))))
    assert len(rows) == count
    assert all(row.number == line and row._reason is None for line, row in rows.items())


def test_columns_are_found_by_name(spark: SparkSession, storage_root: str, read: Reader) -> None:
    rows = read(b"\xef\xbb\xbf" + lines("extra`,number,word,", "x,1,a,y"))
    assert (rows[2].word, rows[2].number, rows[2].moment, rows[2]._reason) == ("a", 1, None, None)
    assert (records_of(spark).ignored, records_of(spark).missing) == (["extra`", ""], ["moment"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lines("word,moment", "a,"), "lacks number: its columns are 'word,moment', but the contract of raw_notes is 'word,number,moment'"),
        (lines("word,number,word", "a,1,b"), "names word more than once"),
        (lines('word,"number', "a,1"), "has no header in its first line"),
        (f"{HEADER}\na,1,\n".encode("utf-16"), "is in UTF-16 or UTF-32"),
        (f"{HEADER}\na,1,\n".encode("utf-32"), "is in UTF-16 or UTF-32"),
        (gzip.compress(lines(HEADER, "a,1,"), mtime=0), "is no CSV in utf-8"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "is no CSV in utf-8"),
        (b"x" * 70_000 + b"\n", "header line of at most 65,536 bytes"),
        (b"", "is no CSV"),
        (lines("", "a,1,"), "is no CSV"),
    ],
)  # fmt: skip
def test_a_file_without_the_contracts_header_is_refused(spark: SparkSession, storage_root: str, content: bytes, message: str) -> None:
    land_note(content)
    with pytest.raises(BadFile, match=message):
        records_of(spark)


def test_a_gzip_file_is_read_and_one_that_is_cut_off_is_refused(spark: SparkSession, read: Reader) -> None:
    content = lines(HEADER, '"a', 'b",1,', "c,2,")
    assert {line: row.word for line, row in read(gzip.compress(content), "csv.gz").items()} == {2: "a\nb", 4: "c"}
    for damaged in (gzip.compress(content)[:-10], content):
        land_note(damaged, "csv.gz")
        with pytest.raises(BadFile, match=r"notes\.csv\.gz is no gzip file, or not all of one"):
            records_of(spark)


@pytest.mark.parametrize("encoding", ["latin-1", "windows-1252", "koi8-r"])
def test_a_file_is_read_in_the_encoding_of_its_contract(read: Reader, encoding: str) -> None:
    definition = replace(NOTES, encoding=encoding)
    letters = bytes(byte for byte in range(128, 256) if bytes([byte]).decode(encoding, "ignore"))
    rows = read(lines(HEADER, letters + b",1,", b"plain,2,"), definition=definition)
    assert {line: row.word for line, row in rows.items()} == {2: letters.decode(encoding), 3: "plain"}


def test_a_byte_that_the_encoding_does_not_know_breaks_its_row(read: Reader) -> None:
    rows = read(lines(HEADER, b"\x81\x80,1,", b"\x80,2,"), definition=replace(NOTES, encoding="windows-1252"))
    assert (rows[2]._reason, rows[2].raw_row) == ("line is not valid in windows-1252", "\x81\x80,1,")
    assert (rows[3]._reason, rows[3].word) == (None, "€")


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz"])
def test_json_lines_are_read_by_name(spark: SparkSession, read: Reader, suffix: str) -> None:
    good = '{"moment": "2013-04-01T10:00:00Z", "number": 1, "word": "a\\n\\u00e9", "extra": [1]}'
    broken = ["{", "[1]", "5", "null", '{"number": 1} x', '{"number": 1}{"number": 2}', '{"number": 1}} x', "{'number': 1}", "a\0"]
    content = b"\xef\xbb\xbf" + lines(good, "", '{"number": "2"}', '{"word": "x"}', '{"number": 1.5}', *broken)
    rows = read(content if suffix == "jsonl" else gzip.compress(content), suffix)
    assert (rows[1].word, rows[1].number, rows[1].moment.isoformat()) == ("a\né", 1, "2013-04-01T10:00:00")
    assert [rows[line]._reason for line in (1, 3, 4, 5)] == [None, None, "number is missing", "number 1.5 is no int"]
    reasons = ["line is no JSON object"] * (len(broken) - 1) + ["line holds a NUL byte"]
    assert [rows[line]._reason for line in range(6, 6 + len(broken))] == reasons
    assert (records_of(spark).ignored, records_of(spark).missing) == (["extra"], [])


def parquet(**columns: list[object] | pa.Array) -> bytes:
    content = io.BytesIO()
    pq.write_table(pa.table(columns), content)
    return content.getvalue()


def test_parquet_is_read_by_name_with_the_number_of_the_row(spark: SparkSession, read: Reader) -> None:
    moment = datetime(2013, 4, 1, 10, 0, 0, 123456, UTC)
    rows = read(parquet(number=[1, None], word=['a"é', None], moment=[moment, None], extra=[[1], [2]]), "parquet")
    assert (rows[1].word, rows[1].number, rows[1].moment) == ('a"é', 1, moment.replace(tzinfo=None))
    assert (rows[2]._reason, rows[2].raw_row) == ("number is missing", '{"extra":[2]}')
    assert records_of(spark).ignored == ["extra"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PAR1, but no more of it", "is no Parquet file that Spark reads"),
        (parquet(number=pa.array([1], pa.timestamp("ns"))), "is no Parquet file that Spark reads"),
        (parquet(word=["a"]), "lacks number"),
    ],
)
def test_parquet_that_cannot_be_the_contracts_is_refused(spark: SparkSession, storage_root: str, content: bytes, message: str) -> None:
    land_note(content, "parquet")
    with pytest.raises(BadFile, match=message):
        records_of(spark)


def test_a_source_lands_as_one_file(storage_root: str) -> None:
    with pytest.raises(MissingSource, match=r"2013-04/notes\.csv has not landed, nor in another format \(csv, csv\.gz, jsonl"):
        landed_file("notes", "notes", "2013-04", "notes")
    land_note(b"", "csv.gz")
    land_note(b"", "txt")
    assert landed_file("notes", "notes", "2013-04", "notes").uri.endswith("notes.csv.gz")
    land_note(b"", "parquet")
    with pytest.raises(BadFile, match=r"notes 2013-04 has landed as notes\.csv\.gz and notes\.parquet in .*: leave one"):
        landed_file("notes", "notes", "2013-04", "notes")


def test_a_file_that_is_replaced_while_it_is_read_is_noticed(storage_root: str) -> None:
    land_note(lines(HEADER, "a,1,"))
    found = landed_file("notes", "notes", "2013-04", "notes")
    found.check_unchanged()
    land_note(lines(HEADER, "a,12,"))
    with pytest.raises(FileReplaced, match=r"notes\.csv changed while it was read"):
        found.check_unchanged()
    storage.delete(found.uri)
    with pytest.raises(FileReplaced, match="then none"):
        found.check_unchanged()


def written(rows: list[list[str]], end: str, quoting: Literal[0, 1]) -> list[str]:
    """Each row as csv writes it."""
    texts = []
    for row in rows:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator=end, quoting=quoting).writerow(row)
        texts.append(text.getvalue())
    return texts


value = st.text(alphabet="ab,\"\n \\é#;\t'0", max_size=8)
good_rows = st.lists(st.tuples(value, st.integers(-9, 9).map(str), st.just("")).map(list), min_size=20, max_size=60)
strays = ["a,1", "a,1,,", 'a,1,"', '"a,1,', '5",1,', "a,1,\0", '"a"b,1,', '",1,', 'a,1,""",']


@hypothesis_settings(
    max_examples=12, deadline=None, phases=(Phase.explicit, Phase.generate), suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=good_rows,
    bad=st.lists(st.sampled_from(strays), max_size=4),
    end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    data=st.data(),
)
def test_each_record_comes_back_once_and_csv_agrees_on_the_good_ones(
    read: Reader, rows: list[list[str]], bad: list[str], end: str, quoting: Literal[0, 1], data: st.DataObject
) -> None:
    records = written(rows, end, quoting)
    for stray in bad:
        records.insert(data.draw(st.integers(0, len(records))), stray + end)
    text = "".join(records)
    found = read((HEADER + end + text).encode())
    in_file = {line: part.rstrip("\r") for line, part in enumerate(text.split("\n"), start=2)}
    told = {line + place: part.rstrip("\r") for line, row in found.items() for place, part in enumerate(row.raw_row.split("\n"))}
    assert told == {line: part for line, part in in_file.items() if line in told or part.strip(" ")}
    assert len(told) == sum(row.raw_row.count("\n") + 1 for row in found.values())
    good = [row for _, row in sorted(found.items()) if row._reason is None]
    by_csv = [next(csv.reader(io.StringIO(row.raw_row, newline=""), strict=True)) for row in good]
    assert [[row.word or "", str(row.number), ""] for row in good] == by_csv
    assert len(good) == len(rows) or bad
