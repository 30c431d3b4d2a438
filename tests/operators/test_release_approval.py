from operators.release_approval import side_by_side
from roundtrip.contracts.receipts import Figure

FOUND: dict[str, Figure] = {"mae": 9.876, "skill": 0.2, "skill_low": 0.1, "skill_high": 0.3, "coverage": 0.801}


def test_candidate_champion_and_baseline_stand_side_by_side() -> None:
    evaluation: dict[str, Figure] = {
        "candidate": FOUND,
        "champion": FOUND | {"mae": 10.5},
        "champion_version": "3",
        "baseline_mae": 12.0,
        "held_out_rows": 12345,
    }
    assert side_by_side(evaluation, unit="min").splitlines() == [
        "12,345 held-out rows",
        "",
        "| | MAE [min] | skill (95 %) | inside the interval |",
        "|-|-|-|-|",
        "| candidate | 9.88 | 0.200 (0.100 to 0.300) | 80.1% |",
        "| champion, version 3 | 10.50 | 0.200 (0.100 to 0.300) | 80.1% |",
        "| baseline | 12.00 | | |",
    ]


def test_before_the_first_release_there_is_no_champion() -> None:
    evaluation: dict[str, Figure] = {
        "candidate": FOUND,
        "champion": None,
        "champion_version": None,
        "baseline_mae": 12.0,
        "held_out_rows": 5,
    }
    assert "champion" not in side_by_side(evaluation, unit="min")
