import json

from pyspark.sql import SparkSession

from roundtrip.contracts import storage
from roundtrip.lakehouse.logged_requests import TABLE
from roundtrip.lakehouse.prediction_log import BROKEN, Collected, collect_predictions
from roundtrip.lakehouse.tables import read_table


def line(place: int, *, month: str = "2013-04") -> str:
    return json.dumps(
        {
            "prediction_id": f"batch-{place}",
            "request_id": "r1",
            "use_case": "trips",
            "key": {"trip_id": f"t{place}"},
            "event_month": month,
            "predicted_at": "2026-11-25T03:00:00.123456+00:00",
            "model_version": "3",
            "served_by": "triton",
            "inputs": {"minutes": place, "city": None},
            "outputs": {"late_minutes": 1.5},
        }
    )


def write_log(root: str, name: str, *lines: str) -> str:
    uri = f"{root}/prediction_log/trips/{name}.jsonl"
    storage.write_bytes(uri, "".join(f"{text}\n" for text in lines).encode())
    return uri


def test_each_line_is_collected_once(spark: SparkSession, storage_root: str) -> None:
    uri = write_log(storage_root, "one", line(1), line(2, month="2013-05"))
    assert collect_predictions(spark, "trips") == Collected(files=1, rows=2, broken_files=[])
    assert not storage.exists(uri)
    write_log(storage_root, "one", line(1), line(2, month="2013-05"))  # uploaded again after a lost answer
    write_log(storage_root, "two", line(3))
    assert collect_predictions(spark, "trips") == Collected(files=2, rows=1, broken_files=[])
    assert collect_predictions(spark, "trips") == Collected(files=0, rows=0, broken_files=[])
    rows = read_table("trips", TABLE).sort_by("prediction_id").to_pylist()
    assert [row["prediction_id"] for row in rows] == ["batch-1", "batch-2", "batch-3"]
    assert [row["event_month"] for row in rows] == ["2013-04", "2013-05", "2013-04"]
    assert json.loads(rows[0]["inputs"]) == {"minutes": 1, "city": None}
    assert rows[0]["predicted_at"].isoformat() == "2026-11-25T03:00:00.123456+00:00"


def test_a_file_with_broken_lines_is_set_aside_and_its_other_lines_are_kept(spark: SparkSession, storage_root: str) -> None:
    write_log(storage_root, "good", line(1))
    write_log(storage_root, "bad", line(2), '{"prediction_id": "batch-9", "event_mon', line(3, month="2013-13"))
    collected = collect_predictions(spark, "trips")
    assert (collected.files, collected.rows) == (2, 2)
    assert collected.broken_files == [f"{storage_root}/{BROKEN}/trips/bad.jsonl"]
    assert storage.read_bytes(collected.broken_files[0]).count(b"\n") == 3
    assert read_table("trips", TABLE).num_rows == 2
