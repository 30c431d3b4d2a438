"""Trace context is read as OpenTelemetry reads it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from roundtrip.serving.gateway.trace_context import trace_of

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

digits = st.text("0123456789abcdef", min_size=2, max_size=2) | st.sampled_from(["00", "ff", "FF", "0"])
ids = st.text("0123456789abcdef", min_size=32, max_size=32) | st.sampled_from(["0" * 32, "4BF92F3577B34DA6A3CE929D0E0E4736"])
spans = st.text("0123456789abcdef", min_size=16, max_size=16) | st.sampled_from(["0" * 16, "f067aa0ba902b7"])
traceparents = st.builds(
    "{}-{}-{}-{}{}".format, digits, ids, spans, digits, st.sampled_from(["", "-", "-what-the-future-will-be-like", "x"])
)


@given(traceparents | st.text(st.characters(max_codepoint=126), max_size=60))
def test_a_traceparent_is_taken_over_exactly_when_opentelemetry_takes_it_over(given_parent: str) -> None:
    ours = trace_of([given_parent.strip().encode()], [])
    carrier = {"traceparent": given_parent.strip()}
    theirs = trace.get_current_span(TraceContextTextMapPropagator().extract(carrier)).get_span_context()
    if theirs.is_valid:
        assert (ours.trace_id, ours.sampled) == (f"{theirs.trace_id:032x}", theirs.trace_flags.sampled)
    else:
        assert ours.trace_id not in given_parent


def test_what_is_handed_on_is_a_span_of_its_own_in_the_callers_trace() -> None:
    handed_on = trace_of([PARENT.encode()], [b"congo=t61rcWkgMzE", b"rojo=00f067aa0ba902b7"])
    again = trace_of([handed_on.traceparent.encode()], [])
    assert again.trace_id == handed_on.trace_id == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert len({PARENT[36:52], handed_on.span_id, again.span_id}) == 3
    assert dict(handed_on.headers) == {
        "traceparent": handed_on.traceparent,
        "tracestate": "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7",
    }


@pytest.mark.parametrize("given_parents", [[], [PARENT.encode()] * 2])
def test_without_exactly_one_traceparent_a_trace_begins_here(given_parents: list[bytes]) -> None:
    first, second = trace_of(given_parents, [b"congo=1"]), trace_of(given_parents, [])
    assert first.trace_id != second.trace_id
    assert (first.state, first.sampled) == ("", False)


@pytest.mark.parametrize("state", [b"a=" + b"x" * 511, b"a=\n1", "a=ü".encode("latin-1")])
def test_a_tracestate_that_is_too_long_or_no_text_is_dropped(state: bytes) -> None:
    assert trace_of([PARENT.encode()], [state]).state == ""
