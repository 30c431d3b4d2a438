from operators.receipt_summary import links_of, summary_of
from roundtrip.contracts.receipts import Receipt, RunFolder

FOLDER = RunFolder("s3://bucket/runs/d/r")


def receipt(table: str, **figures: int) -> Receipt:
    part = f"{table}.2013-04" if table else ""
    return Receipt("build_table", "flight_eta", part, figures={**figures, "slices": {"origin": 1}}, links={"Checks": f"{table}.html"})


def test_single_figures_are_handed_on_and_nothing_larger() -> None:
    assert summary_of([receipt("", rows=3)], FOLDER) == {"receipt": "s3://bucket/runs/d/r/receipts/build_table.json", "rows": 3}


def test_figures_of_several_tables_stay_apart() -> None:
    summary = summary_of([receipt("raw_a", rows=3), receipt("raw_b", rows=4)], FOLDER)
    assert (summary["raw_a.rows"], summary["raw_b.rows"]) == (3, 4)
    assert summary["raw_b.receipt"] == "s3://bucket/runs/d/r/receipts/build_table.raw_b.2013-04.json"


def test_a_title_leads_to_the_first_receipt_that_has_it() -> None:
    links = links_of([receipt("raw_a"), receipt("raw_b")], FOLDER)
    assert links == {"Receipt": "s3://bucket/runs/d/r/receipts/build_table.raw_a.2013-04.json", "Checks": "raw_a.html"}
