"""A Spark Connect session: short retries, UTC, stopped however the work ends."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark import StorageLevel
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.connect.client.retries import DefaultPolicy

from roundtrip.contracts.errors import ServiceUnavailable
from roundtrip.contracts.settings import settings

_GONE = ("UNAVAILABLE", "stopped SparkContext", "SESSION_NOT_FOUND", "NO_ACTIVE_SESSION", "SESSION_CLOSED", "SESSION_CHANGED")
"""What an error says when the server is away, or is back and has forgotten the session (tried with 4.2.0)."""
_computed: list[DataFrame] = []
"""Kept until the session is stopped. pyspark 4.2 calls the server when the garbage collector finds such a frame, in whichever thread that
is: in one that gRPC was starting, the call waited for a lock that its starter held, for good."""


@contextmanager
def spark_session() -> Iterator[SparkSession]:
    """A new session on the server of SPARK_REMOTE; raises ServiceUnavailable when the server is away or goes away.

    Every session is stopped: one that is not can hang its process at exit. One at a time in a process: pyspark 4.2 gives a
    checkpoint to the process's active session, whichever session the frame is of (DATAFRAME_NOT_FOUND).
    """
    # pyspark logs each failed statement again with its whole plan and both stack traces, before it raises it
    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)
    session = SparkSession.builder.remote(settings().spark_remote).create()
    # the default retries for ten minutes and more; the task's own retry is the one that a person sees
    session.client.set_retry_policies([DefaultPolicy(max_retries=4, initial_backoff=200, max_backoff=2000)])
    try:
        with outages_named():
            session.conf.set("spark.sql.session.timeZone", "UTC")
            session.conf.set("spark.sql.connect.serverStacktrace.enabled", "false")
            yield session
    finally:
        session.stop()
        _computed.clear()


def computed(frame: DataFrame) -> DataFrame:
    """The rows of `frame`, computed now, to be read as often as one likes; the server lets go of them with the session.

    They lie on its disk. In its memory, the default, they can't make room for a task that reads them: a hundred times a month's flights
    were more than its heap. It is a checkpoint, not a cache: Spark shares cached plans between sessions, and would answer for a file
    that landed again.
    """
    _computed.append(frame.localCheckpoint(storageLevel=StorageLevel.DISK_ONLY))
    return _computed[-1]


@contextmanager
def outages_named() -> Iterator[None]:
    """Turns Spark's ways of saying that the server, or the session on it, is gone into ServiceUnavailable."""
    try:
        yield
    except PySparkException as error:
        refuse_outage(str(error), error)
        raise


def refuse_outage(told: str, cause: Exception | None = None) -> None:
    """Raise ServiceUnavailable where an error's text says that the server, or the session on it, is gone."""
    if any(sign in told for sign in _GONE):
        remedy = "see `roundtrip status` and .roundtrip/logs/spark.log; what the job did so far is safe to run again."
        raise ServiceUnavailable(f"the Spark server does not answer: {remedy}") from cause
