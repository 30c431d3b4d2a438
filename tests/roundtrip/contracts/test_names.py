import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roundtrip.contracts.errors import BadName, BadPartition
from roundtrip.contracts.names import checked_name, checked_partition, checked_partitions, folder_name, months_back, months_between

months = st.builds("{:04d}-{:02d}".format, st.integers(1900, 2099), st.integers(1, 12))


@pytest.mark.parametrize("name", ["", "Flights", "a-b", "a.b", "../etc", "a;drop table", "a b", "$(id)", "a" * 64, "1a", "a\n"])
def test_a_name_that_could_leave_its_place_is_refused(name: str) -> None:
    with pytest.raises(BadName, match="lower_snake_case"):
        checked_name(name, what="use case")


@pytest.mark.parametrize(
    "partition", ["2013-13", "2013-00", "2013", "2013-1", "13-01", "2013-01-01", "2013-01; rm -rf /", "2013-04\n", "20１3-04"]
)
def test_what_is_no_month_is_refused_with_its_value(partition: str) -> None:
    with pytest.raises(BadPartition, match="2013-04") as refused:
        checked_partition(partition)
    assert repr(partition) in str(refused.value)


def test_lists_and_ranges_of_months_are_sorted_and_distinct() -> None:
    assert checked_partitions("2013-05, 2012-12..2013-02,2013-01") == ["2012-12", "2013-01", "2013-02", "2013-05"]


@pytest.mark.parametrize("text", ["", " , ", "2013-04..2013-02", "2013-01..", "..2013-01..2013-02", "' OR 1=1"])
def test_a_list_that_names_no_months_is_refused(text: str) -> None:
    with pytest.raises(BadPartition):
        checked_partitions(text)


@given(months, months)
def test_a_range_holds_both_ends_and_every_month_once(one: str, other: str) -> None:
    first, last = sorted((one, other))
    found = months_between(first, last)
    assert found[0] == first
    assert found[-1] == last
    assert found == sorted(set(found))
    assert len(found) == (int(last[:4]) - int(first[:4])) * 12 + int(last[5:]) - int(first[5:]) + 1


@given(st.text(min_size=1, max_size=300))
def test_a_folder_name_is_one_safe_part_of_a_path(text: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_=-][A-Za-z0-9_.=-]{0,128}", folder_name(text))


def test_distinct_run_ids_have_distinct_folders() -> None:
    assert folder_name("scheduled__2013-04") == "scheduled__2013-04"
    assert len({folder_name(text) for text in ("a:b", "a-b", "a+b", "a" * 121, "a" * 122)}) == 5


def test_the_months_before_reach_over_the_year() -> None:
    assert months_back("2013-02", 2) == ["2012-12", "2013-01", "2013-02"]
    assert months_back("2013-02", 0) == ["2013-02"]
