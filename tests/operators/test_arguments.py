from argparse import ArgumentParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.arguments import command_line, receipt_parts
from roundtrip.contracts.errors import BadRequest

HARMFUL = ["2013-01; rm -rf /", "$(id)", "`id`", "' OR 1=1 --", "2013-01\n", "../../etc", "--run-dir", "2013-01 --use-case x"]


@pytest.mark.parametrize("name", ["feed", "minutes", "parallel", "partition", "partitions", "ranks", "tables", "trials", "version"])
@pytest.mark.parametrize("value", HARMFUL)
def test_shell_sql_paths_and_options_are_refused(name: str, value: str) -> None:
    with pytest.raises(BadRequest):
        command_line({name: value})


@given(
    st.text(min_size=1), st.sampled_from(["feed", "minutes", "parallel", "partition", "partitions", "ranks", "tables", "trials", "version"])
)
def test_whatever_is_accepted_stays_one_word_of_plain_characters(value: str, name: str) -> None:
    try:
        words = command_line({name: value})
    except BadRequest:
        return
    assert words == [f"--{name}", value]
    assert not set(value) - set("abcdefghijklmnopqrstuvwxyz0123456789_-., ")
    assert not value.startswith("-")


def test_an_argument_that_renders_empty_is_left_out() -> None:
    assert command_line({"feed": "operations", "partitions": ""}) == ["--feed", "operations"]


@pytest.mark.parametrize("text", ["..2013-06", "2013-01..2013-03,2013-05", "2013-01"])
def test_partitions_may_be_a_list_or_all_up_to_a_month(text: str) -> None:
    assert command_line({"partitions": text}) == ["--partitions", text]


@pytest.mark.parametrize("ranks", ["0", "9", "-1", "1.5", "two", "²"])
def test_ranks_that_are_no_whole_number_in_the_limits_are_refused_with_the_limit(ranks: str) -> None:
    with pytest.raises(BadRequest, match="from 1 to 8"):
        command_line({"ranks": ranks})


@pytest.mark.parametrize(("name", "text", "limits"), [
    ("trials", "201", "0 to 200"), ("trials", "-1", "0 to 200"), ("minutes", "0", "1 to 1440"), ("parallel", "9", "1 to 8"),
    ("version", "0", "1 to 2147483647"),
])  # fmt: skip
def test_a_budget_out_of_its_limits_is_refused_with_the_limits(name: str, text: str, limits: str) -> None:
    with pytest.raises(BadRequest, match=limits):
        command_line({name: text})


@pytest.mark.parametrize("name", ["by", "override-by", "override-reason", "why"])
@pytest.mark.parametrize("text", ["--run-dir=/elsewhere", "-x", "x" * 201, "two\nlines"])
def test_a_free_text_is_no_option_and_one_line(name: str, text: str) -> None:
    with pytest.raises(BadRequest):
        command_line({name: text})


@given(st.text(min_size=1, max_size=250))
def test_a_free_text_that_is_accepted_reaches_the_job_as_it_is(text: str) -> None:
    try:
        words = command_line({"override-by": "Ada", "override-reason": text})
    except BadRequest:
        return
    parser = ArgumentParser()
    parser.add_argument("--override-by")
    parser.add_argument("--override-reason")
    assert vars(parser.parse_args(words)) == {"override_by": "Ada", "override_reason": text}


def test_a_job_of_several_tables_leaves_a_receipt_for_each() -> None:
    assert receipt_parts({"tables": "raw_a,raw_b", "partition": "2013-04"}) == ["raw_a.2013-04", "raw_b.2013-04"]
    assert receipt_parts({"partition": "2013-04"}) == [""]
