"""What `roundtrip predict` prints, asked of a gateway that is a server of its own."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from roundtrip.cli.predict import ask_about_example, ask_about_file, csv_writer, print_json_lines
from roundtrip.cli.row_files import STDIN, format_of
from roundtrip.contracts.errors import BadFile, BadName, RowRefused
from roundtrip.serving.client import Client
from roundtrip.serving.triton_repository import LARGEST_BATCH
from tests.roundtrip.serving.conftest import built_versions, home, remembered_release  # noqa: F401
from tests.roundtrip.serving.flaky_front import FlakyFront
from tests.roundtrip.serving.test_client import client, front  # noqa: F401
from tests.roundtrip.serving.tiny_version import ROW

ROWS: list[dict[str, object]] = [{**ROW, "key": "a"}, {"carrier": "WN", "delay_minutes": 3.5, "key": "b"}]
CSV = "key,carrier,delay_minutes,wind_mph\na,AA,12,7.5\nb,WN,3.5,\n"


def written(folder: Path, form: str) -> Path:
    file = folder / f"rows.{form}"
    if form == "jsonl":
        file.write_text("\n".join(map(json.dumps, ROWS)) + "\n\n")
    elif form == "csv":
        file.write_text(CSV)
    else:
        pq.write_table(pa.Table.from_pylist(ROWS), file)
    return file


def printed(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_a_file_of_any_format_is_answered_row_by_row(
    client: Client,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    form: str,
) -> None:
    ask_about_file(client, written(tmp_path, form), form, frozenset(), print_json_lines)
    expected = [
        {"key": row.key, **row.values, "model_version": "1", "served_by": "onnxruntime"} for row in client.predict(ROWS).predictions
    ]
    assert printed(capsys) == expected


def test_csv_comes_out_with_the_outputs_as_columns(client: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    ask_about_file(client, written(tmp_path, "csv"), "csv", frozenset(), csv_writer(client.contract()))
    first, second = csv.DictReader(capsys.readouterr().out.splitlines())
    assert list(first) == ["key", "late", "late_p10", "late_p90", "model_version", "served_by"]
    assert (first["key"], second["key"], second["model_version"]) == ("a", "b", "1")


def test_a_column_that_is_no_input_is_named_unless_it_is_left_out(
    client: Client,  # noqa: F811
    front: FlakyFront,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("carrier,delay_minutes,arrived\nAA,12,yes\n")
    with pytest.raises(RowRefused, match=r"'arrived' is no input.*0 were answered before"):
        ask_about_file(client, file, "csv", frozenset(), print_json_lines)
    assert front.predictions() == []
    ask_about_file(client, file, "csv", frozenset({"arrived"}), print_json_lines)
    assert len(printed(capsys)) == 1


def test_a_faulty_line_is_named_and_what_came_before_it_is_answered(
    client: Client,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text((json.dumps(ROW) + "\n") * LARGEST_BATCH + "{broken\n")
    with pytest.raises(BadFile, match=rf"line {LARGEST_BATCH + 1} is no JSON object.*1,024 were answered before"):
        ask_about_file(client, file, "jsonl", frozenset(), print_json_lines)
    assert len(printed(capsys)) == LARGEST_BATCH


@pytest.mark.parametrize(("content", "said"), [
    (b"carrier,delay_minutes\nAA\n", "line 2: the row has not the header's 2 values"),
    (b"carrier,delay_minutes\nAA,1,2\n", "line 2: the row has not the header's 2 values"),
    (b"carrier,delay_minutes\nAA,twelve\n", "delay_minutes .* is 'twelve', no number"),
    (b'carrier,delay_minutes\n"AA,1\n', "is no CSV"),
    (b"carrier\xff\n", "can't be read"),
])  # fmt: skip
def test_what_is_no_csv_of_the_contract_is_said(client: Client, tmp_path: Path, content: bytes, said: str) -> None:  # noqa: F811
    file = tmp_path / "rows.csv"
    file.write_bytes(content)
    with pytest.raises((BadFile, RowRefused), match=said):
        ask_about_file(client, file, "csv", frozenset(), print_json_lines)


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_a_file_that_is_not_there_is_said(client: Client, tmp_path: Path, form: str) -> None:  # noqa: F811
    with pytest.raises(BadFile, match="can't be read"):
        ask_about_file(client, tmp_path / "nothing", form, frozenset(), print_json_lines)


def test_the_example_is_shown_with_units_limits_and_its_prediction(client: Client, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    ask_about_example(client, ["delay_minutes=45", "wind_mph="], as_json=False)
    said = capsys.readouterr().out
    assert "delay_minutes" in said and "45.0" in said and "-60 to 1500" in said and "late off the gate" in said
    predicted = client.predict([{"carrier": "AA", "delay_minutes": 45}]).predictions[0]
    assert f"late: {predicted.values['late']:g} min" in said
    assert "says version 1 of tiny, by onnxruntime" in said


def test_the_example_is_printed_as_json(client: Client, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    ask_about_example(client, [], as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["row"] == client.contract().example()
    assert (told["use_case"], told["model_version"]) == ("tiny", "1")


@pytest.mark.parametrize(("change", "said"), [("delay", "not of the form INPUT=VALUE"), ("delay_minute=3", "did you mean 'delay_minutes'")])
def test_a_change_of_the_example_that_means_nothing_is_said(client: Client, change: str, said: str) -> None:  # noqa: F811
    with pytest.raises((BadName, RowRefused), match=said):
        ask_about_example(client, [change], as_json=True)


def test_a_format_is_known_by_the_ending_or_by_name() -> None:
    assert [format_of(Path(name), "") for name in ("a.jsonl", "b.CSV", "c.parquet")] == ["jsonl", "csv", "parquet"]
    assert (format_of(STDIN, ""), format_of(STDIN, "csv"), format_of(Path("a.txt"), "csv")) == ("jsonl", "csv", "csv")
    for file, named in ((Path("a.txt"), ""), (STDIN, "parquet"), (Path("a.csv"), "xml")):
        with pytest.raises(BadFile, match="--format jsonl, csv, parquet"):
            format_of(file, named)


@pytest.mark.parametrize("words", [["--csv"], ["--without", "x"], ["rows.csv", "--set", "a=1"], ["rows.csv", "--csv", "--json"]])
def test_options_that_exclude_each_other_are_wrong_use(tmp_path: Path, words: list[str]) -> None:
    argv = [sys.executable, "-m", "roundtrip.cli", "predict", "flight_eta", *words]
    finished = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert finished.returncode == 2
    assert "Traceback" not in finished.stderr
