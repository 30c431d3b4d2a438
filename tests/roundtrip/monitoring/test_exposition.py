"""The loop's series as Prometheus' own parser reads them."""

from __future__ import annotations

from dataclasses import replace

from prometheus_client.parser import text_string_to_metric_families

from roundtrip.monitoring.exposition import exposition
from roundtrip.monitoring.months import Skew
from roundtrip.monitoring.overview import UseCaseOverview
from tests.plugins.a_year import as_it_is, leave_month, the_year


def series(*overviews: UseCaseOverview) -> dict[tuple[str, ...], float]:
    """(name, label values, in the order of the labels' names) → value."""
    families = text_string_to_metric_families(exposition(overviews).decode())
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_a_year_is_told_by_its_newest_month(storage_root: str) -> None:
    found = series(the_year())
    assert found["roundtrip_live_version", "flight_eta"] == 3
    assert found["roundtrip_candidate", "canary", "flight_eta", "4"] == 1
    assert found["roundtrip_month_mae", "flight_eta"] == 10.43
    assert found["roundtrip_month_baseline_mae", "flight_eta"] == 13.59
    assert [found["roundtrip_verdict", "flight_eta", word] for word in ("unknown", "decayed", "stable", "watch")] == [1, 0, 0, 0]
    assert found["roundtrip_input_drift_effect", "schedule_padding_minutes", "flight_eta"] == 0.31
    assert (
        found["roundtrip_input_drifted", "schedule_padding_minutes", "flight_eta"],
        found["roundtrip_input_drifted", "carrier", "flight_eta"],
    ) == (1, 0)
    assert found["roundtrip_table_age_seconds", "raw_flights", "flight_eta"] == 61 * 86_400
    assert found["roundtrip_table_age_limit_seconds", "raw_flights", "flight_eta"] == 35 * 86_400
    assert found["roundtrip_quarantine_rows", "raw_flights", "flight_eta"] == 1207
    assert found["roundtrip_unknown_parts", "flight_eta"] == 0


def test_what_is_not_known_has_no_series_instead_of_a_zero(storage_root: str) -> None:
    nothing = series(replace(as_it_is(), release=None, tables=(), unknown=("PostgreSQL is away.",)))
    assert nothing == {("roundtrip_unknown_parts", "flight_eta"): 1}
    leave_month("2013-04", outcomes=0)
    without_outcomes = series(as_it_is())
    assert ("roundtrip_month_mae", "flight_eta") not in without_outcomes
    assert without_outcomes["roundtrip_month_outcomes", "flight_eta"] == 0


def test_skew_is_told_by_input(storage_root: str) -> None:
    year = the_year()
    found = series(replace(year, months=(replace(year.months[-1], skew=Skew(rows=900, features={"wind": 12})),)))
    assert found["roundtrip_input_skewed_rows", "wind", "flight_eta"] == 12


def test_every_use_case_has_series_of_its_own(storage_root: str) -> None:
    year = the_year()
    other = replace(year, use_case=replace(year.use_case, name="trips"))
    found = series(year, other)
    assert found["roundtrip_live_version", "trips"] == found["roundtrip_live_version", "flight_eta"]
