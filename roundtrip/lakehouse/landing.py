"""The landing zone: where producers lay files, and how a run claims them.

A producer writes `<storage root>/landing/<use case>/<feed>/<partition>/<source>.<format>` for every source (formats: source_files.py),
then the marker `_READY`.
A run that claims the partition turns the marker into `_TAKEN`, which holds the run folder's URI: the same run, tried again,
finds what it claimed before; another run doesn't. Laying `_READY` again (corrected files) lets the next run claim it again.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Sequence

from roundtrip.contracts import storage
from roundtrip.contracts.errors import BadFile, MissingSource, NothingLanded
from roundtrip.contracts.names import MONTH, checked_name, checked_partition
from roundtrip.contracts.settings import settings
from roundtrip.contracts.use_cases import Feed
from roundtrip.lakehouse.source_files import FORMATS, SourceFile

log = logging.getLogger(__name__)

READY = "_READY"
TAKEN = "_TAKEN"


def landing_uri(use_case_name: str, feed_name: str) -> str:
    """The feed's folder in the landing zone."""
    parts = checked_name(use_case_name, what="use case"), checked_name(feed_name, what="feed")
    return storage.join(settings().storage_root, "landing", *parts)


def source_uri(use_case_name: str, feed_name: str, partition: str, source: str) -> str:
    """Where the source's CSV of the partition lands."""
    parts = checked_partition(partition), f"{checked_name(source, what='source')}.csv"
    return storage.join(landing_uri(use_case_name, feed_name), *parts)


def landed_file(use_case_name: str, feed_name: str, partition: str, source: str) -> SourceFile:
    """The source's file of the partition; raises MissingSource when there is none, BadFile when there are several."""
    csv = source_uri(use_case_name, feed_name, partition, source)
    stem = csv.removesuffix("csv")
    found = [entry for entry in storage.list_objects(stem) if entry.uri.removeprefix(stem) in FORMATS]
    if not found:
        raise MissingSource(f"{csv} has not landed, nor in another format ({', '.join(FORMATS)}): deliver it before the marker.")
    if len(found) > 1:
        names = " and ".join(entry.uri.rsplit("/", 1)[1] for entry in found)
        raise BadFile(f"{source} {partition} has landed as {names} in {csv.rsplit('/', 1)[0]}: leave one of them, and remove the others.")
    return SourceFile(found[0].uri, found[0].etag, found[0].size)


def land(use_case_name: str, feed: Feed, partition: str, files: dict[str, bytes]) -> None:
    """What a producer does: write the CSV of every source of the partition, then the marker."""
    for source, content in files.items():
        storage.write_bytes(source_uri(use_case_name, feed.name, partition, source), content)
    _mark(use_case_name, feed, partition)


def land_again(use_case_name: str, feed: Feed, partitions: Collection[str]) -> list[str]:
    """Lay the marker again beside those of `partitions` that have landed before, and give them, sorted: the next run builds them again."""
    again = sorted(landed(use_case_name, feed).intersection(partitions))
    for partition in again:
        _mark(use_case_name, feed, partition)
    return again


def landed(use_case_name: str, feed: Feed) -> set[str]:
    """Partitions of the feed that have a marker, claimed or not."""
    return {partition for partition, marker in _markers(use_case_name, feed)}


def claim(use_case_name: str, feed: Feed, *, run_folder: str, partitions: Sequence[str] | None = None) -> list[str]:
    """Claim partitions for the run and give them, sorted: those with `_READY`, or exactly `partitions`, taken before or not.

    Raises NothingLanded when there is none, MissingSource when one of `partitions` has never landed.
    """
    where = landing_uri(use_case_name, feed.name)
    markers = _markers(use_case_name, feed)
    if partitions is None:
        chosen = {partition for partition, marker in markers if marker == READY or _is_taken_by(run_folder, where, partition)}
    else:
        chosen = set(partitions)
        absent = sorted(chosen - {partition for partition, _ in markers})
        if absent:
            raise MissingSource(
                f"{', '.join(absent)} has not landed: no {READY} or {TAKEN} below {where}/. Land it, or ask for other months."
            )
    if not chosen:
        raise NothingLanded(f"no partition with {READY} below {where}/: nothing to do.")
    for partition in chosen:
        storage.write_bytes(storage.join(where, partition, TAKEN), run_folder.encode())
        storage.delete(storage.join(where, partition, READY))
    return sorted(chosen)


def _mark(use_case_name: str, feed: Feed, partition: str) -> None:
    storage.write_bytes(storage.join(landing_uri(use_case_name, feed.name), checked_partition(partition), READY), b"")


def _markers(use_case_name: str, feed: Feed) -> set[tuple[str, str]]:
    """(partition, name) of every marker of the feed.

    A marker in a folder that is no month raises BadPartition when nothing else waits; else it is passed over with a
    warning: a producer's slip in one folder does not hold up the months of the others.
    """
    places = [entry.uri.rsplit("/", 2)[1:] for entry in storage.list_objects(landing_uri(use_case_name, feed.name) + "/")]
    found = {(folder, name) for folder, name in places if name in (READY, TAKEN)}
    months = {(folder, name) for folder, name in found if re.fullmatch(MONTH, folder)}
    for folder, _ in sorted(found - months):
        log.warning("%s.%s: a marker lies in folder %r, which is no month such as 2013-04: passed over", use_case_name, feed.name, folder)
        if not any(name == READY for _, name in months):
            checked_partition(folder)
    return months


def _is_taken_by(run_folder: str, where: str, partition: str) -> bool:
    taken = storage.join(where, partition, TAKEN)
    return storage.exists(taken) and storage.read_bytes(taken).decode() == run_folder
