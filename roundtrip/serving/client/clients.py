"""The two clients, one blocking, one for asyncio. What they do is written once, as a generator of requests that is sent the responses."""

from __future__ import annotations

import uuid
from collections.abc import Generator, Sequence
from types import TracebackType
from typing import Self, TypeVar

import httpx
import msgspec
from tenacity import AsyncRetrying, Retrying

from roundtrip.contracts.errors import RequestRefused, RowRefused
from roundtrip.contracts.names import checked_name
from roundtrip.contracts.settings import settings
from roundtrip.serving.client.answers import Answer, Prediction, Unanswered, accepted, predictions_in
from roundtrip.serving.client.retrying import Deadline, gave_up, tries
from roundtrip.serving.client.served_contract import Row, ServedContract

DEADLINE_S = 10.0
"""Seconds that a call may take, retries included, where it is not told otherwise."""

T = TypeVar("T")
Requests = Generator[httpx.Request, httpx.Response, T]


class _Caller:
    """What both clients know, and the requests that they make.

    :param use_case: name of the use case
    :param url: address of the gateway, http://host:port; that of the settings when left out
    :param key: API key; that of the settings when left out
    :param deadline_s: seconds that a call may take, with all its requests, tries and waits
    """

    def __init__(self, use_case: str, *, url: str = "", key: str = "", deadline_s: float = DEADLINE_S) -> None:
        self.use_case = checked_name(use_case, what="use case")
        self.url = (url or settings().gateway_url).rstrip("/")
        self.deadline_s = deadline_s
        self._key = key or settings().gateway_key
        self._kept: ServedContract | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.use_case!r}, url={self.url!r})"

    def _describing(self) -> Requests[ServedContract]:
        response = yield httpx.Request("GET", f"{self.url}/v2/models/{self.use_case}")
        self._kept = ServedContract.from_json(response.content)
        return self._kept

    def _predicting(self, rows: Sequence[Row]) -> Requests[Answer]:
        contract, checked = yield from self._checking(rows)
        request_id, most = uuid.uuid4().hex, contract.parameters.most_rows
        predictions: list[Prediction] = []
        for start in range(0, len(checked), most):
            content = msgspec.json.encode({"instances": checked[start : start + most]})
            headers = {"Content-Type": "application/json", "X-Request-ID": request_id}
            response = yield httpx.Request("POST", f"{self.url}/v1/models/{self.use_case}:predict", headers=headers, content=content)
            predictions += predictions_in(response)
        return Answer(use_case=self.use_case, request_id=request_id, predictions=tuple(predictions))

    def _checking(self, rows: Sequence[Row]) -> Requests[tuple[ServedContract, list[dict[str, float | str]]]]:
        """The contract and the rows as they are sent. Only the contract that is live now refuses a row, not one that was read earlier."""
        if self._kept is not None:
            try:
                return self._kept, self._kept.checked(rows)
            except RowRefused:
                self._kept = None
        contract = yield from self._describing()
        return contract, contract.checked(rows)

    def _prepared(self, request: httpx.Request, deadline: Deadline) -> httpx.Request:
        """The request for its next try: the key, and what is left of the deadline."""
        request.headers.update({"X-API-Key": self._key} | deadline.header())
        request.extensions["timeout"] = httpx.Timeout(deadline.left_s).as_dict()
        return request


class Client(_Caller):
    """Blocking. Threads may share one; as a context manager it closes its connections."""

    def __init__(self, use_case: str, *, url: str = "", key: str = "", deadline_s: float = DEADLINE_S) -> None:
        super().__init__(use_case, url=url, key=key, deadline_s=deadline_s)
        self._http = httpx.Client()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def contract(self) -> ServedContract:
        """What the live version takes and gives. Raises ServiceUnavailable, RequestRefused."""
        return self._done(self._describing(), Deadline(self.deadline_s))

    def predict(self, rows: Sequence[Row], *, deadline_s: float | None = None) -> Answer:
        """The answer for all rows, in as many requests as it takes, all of one request id.

        `deadline_s`: seconds that this call may take, instead of the client's. Raises RowRefused before anything is sent, RequestRefused
        (a 4xx, never tried again), ServiceUnavailable when the deadline passes.
        """
        return self._done(self._predicting(rows), Deadline(deadline_s or self.deadline_s))

    def _done(self, requests: Requests[T], deadline: Deadline) -> T:
        try:
            request = next(requests)
            while True:
                request = requests.send(tries(Retrying, deadline)(self._try, request, deadline))
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        except Unanswered as last:
            raise gave_up(self.url, deadline, last) from last
        except RequestRefused:
            self._kept = None  # another version, with another contract, may be live by now
            raise

    def _try(self, request: httpx.Request, deadline: Deadline) -> httpx.Response:
        try:
            return accepted(self._http.send(self._prepared(request, deadline)))
        except httpx.TransportError as error:
            raise Unanswered(f"{type(error).__name__} {error}") from error


class AsyncClient(_Caller):
    """For asyncio. As an asynchronous context manager it closes its connections."""

    def __init__(self, use_case: str, *, url: str = "", key: str = "", deadline_s: float = DEADLINE_S) -> None:
        super().__init__(use_case, url=url, key=key, deadline_s=deadline_s)
        self._http = httpx.AsyncClient()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def contract(self) -> ServedContract:
        """As `Client.contract`."""
        return await self._done(self._describing(), Deadline(self.deadline_s))

    async def predict(self, rows: Sequence[Row], *, deadline_s: float | None = None) -> Answer:
        """As `Client.predict`."""
        return await self._done(self._predicting(rows), Deadline(deadline_s or self.deadline_s))

    async def _done(self, requests: Requests[T], deadline: Deadline) -> T:
        try:
            request = next(requests)
            while True:
                request = requests.send(await tries(AsyncRetrying, deadline)(self._try, request, deadline))
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        except Unanswered as last:
            raise gave_up(self.url, deadline, last) from last
        except RequestRefused:
            self._kept = None  # another version, with another contract, may be live by now
            raise

    async def _try(self, request: httpx.Request, deadline: Deadline) -> httpx.Response:
        try:
            return accepted(await self._http.send(self._prepared(request, deadline)))
        except httpx.TransportError as error:
            raise Unanswered(f"{type(error).__name__} {error}") from error
