"""What waits for one version at the same time travels together, and nobody pays for anybody else."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roundtrip.serving.gateway.batching import CALLS_IN_FLIGHT, Batch, MicroBatches
from roundtrip.serving.gateway.trace_context import TraceContext, current_trace
from roundtrip.serving.gateway.triton_http import NoAnswer, TritonHttp
from roundtrip.serving.tensors import Predictions, Tensors
from roundtrip.serving.triton_repository import LARGEST_BATCH
from tests.roundtrip.serving.conftest import NOBODY_LISTENS


def rows(start: int, count: int) -> Tensors:
    return {"numbers": np.arange(start, start + count, dtype=np.float32).reshape(count, 1)}


@dataclass
class Doubling:
    """Answers each row with its double, once it may; keeps the size of every call."""

    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    sizes: list[int] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0
    traces: list[TraceContext | None] = field(default_factory=list)

    async def send(self, batch: Batch) -> Predictions:
        self.sizes.append(batch.rows)
        self.traces.append(batch.trace)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await self.may_answer.wait()
        self.under_way -= 1
        doubled: Predictions = 2 * batch.tensors["numbers"].astype(np.float32)
        return doubled


@given(st.lists(st.integers(1, LARGEST_BATCH), min_size=1, max_size=40))
def test_every_request_gets_the_answers_to_its_own_rows_in_as_few_calls_as_fit(counts: list[int]) -> None:
    async def ask_all() -> tuple[list[Predictions], Doubling]:
        batches, triton = MicroBatches(), Doubling()
        asked = [asyncio.create_task(batches.ask(triton.send, rows(1000 * n, count), deadline_s=5)) for n, count in enumerate(counts)]
        await asyncio.sleep(0)
        triton.may_answer.set()
        return await asyncio.gather(*asked), triton

    answers, triton = asyncio.run(ask_all())
    for place, (answer, count) in enumerate(zip(answers, counts, strict=True)):
        np.testing.assert_array_equal(answer, 2 * rows(1000 * place, count)["numbers"])
    assert sum(triton.sizes) == sum(counts)
    assert max(triton.sizes) <= LARGEST_BATCH
    assert triton.most_under_way <= CALLS_IN_FLIGHT
    later = triton.sizes[CALLS_IN_FLIGHT:]
    assert all(one + next_one > LARGEST_BATCH for one, next_one in itertools.pairwise(later))


def test_requests_are_sent_at_once_while_fewer_than_the_calls_allowed_are_under_way() -> None:
    async def ask_five() -> list[int]:
        batches, triton = MicroBatches(), Doubling()
        asked = [asyncio.create_task(batches.ask(triton.send, rows(place, 1), deadline_s=5)) for place in range(5)]
        await asyncio.sleep(0.01)
        sizes_before_an_answer = list(triton.sizes)
        triton.may_answer.set()
        await asyncio.gather(*asked)
        assert triton.sizes == [1, 1, 3]
        return sizes_before_an_answer

    assert asyncio.run(ask_five()) == [1] * CALLS_IN_FLIGHT


def test_a_request_that_gives_up_or_is_cancelled_takes_nothing_down_with_it() -> None:
    async def ask() -> None:
        batches, triton = MicroBatches(), Doubling()
        first = [asyncio.create_task(batches.ask(triton.send, rows(place, 1), deadline_s=5)) for place in range(CALLS_IN_FLIGHT)]
        hurried = asyncio.create_task(batches.ask(triton.send, rows(10, 1), deadline_s=0.02))
        gone = asyncio.create_task(batches.ask(triton.send, rows(20, 1), deadline_s=5))
        patient = asyncio.create_task(batches.ask(triton.send, rows(30, 1), deadline_s=5))
        on_its_way = first[0]
        await asyncio.sleep(0)
        gone.cancel()
        on_its_way.cancel()
        with pytest.raises(NoAnswer) as raised:
            await hurried
        assert raised.value.reason == "late"
        triton.may_answer.set()
        assert (await patient).tolist() == [[60.0]]
        assert (await first[1]).tolist() == [[2.0]]
        assert triton.sizes == [1, 1, 1], "what gave up before it was sent is not sent"

    asyncio.run(ask())


def test_a_call_that_fails_fails_each_of_its_requests_and_no_later_one() -> None:
    async def ask() -> None:
        nobody = TritonHttp(f"http://{NOBODY_LISTENS}", "key")

        async def send_to_nobody(batch: Batch) -> Predictions:
            return await nobody.infer("tiny", "1", batch.tensors, deadline_s=batch.deadline_s, trace=None)

        batches, triton = MicroBatches(), Doubling()
        asked = [batches.ask(send_to_nobody, rows(place, 1), deadline_s=5) for place in range(10)]
        errors = await asyncio.gather(*asked, return_exceptions=True)
        assert [error.reason for error in errors if isinstance(error, NoAnswer)] == ["unreachable"] * 10
        triton.may_answer.set()
        assert (await batches.ask(triton.send, rows(7, 1), deadline_s=5)).tolist() == [[14.0]]

    asyncio.run(ask())


def test_a_call_carries_the_trace_of_a_sampled_request_where_there_is_one() -> None:
    traces = [TraceContext(f"{number:032x}", f"{number:016x}", sampled=number == 4) for number in range(1, 6)]

    async def ask_as(trace: TraceContext, batches: MicroBatches, triton: Doubling) -> None:
        current_trace.set(trace)
        await batches.ask(triton.send, rows(0, 1), deadline_s=5)

    async def ask_all() -> list[TraceContext | None]:
        batches, triton = MicroBatches(), Doubling()
        asked = [asyncio.create_task(ask_as(trace, batches, triton)) for trace in traces]
        await asyncio.sleep(0)
        triton.may_answer.set()
        await asyncio.gather(*asked)
        return triton.traces

    assert asyncio.run(ask_all()) == [traces[0], traces[1], traces[3]]
