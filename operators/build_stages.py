"""The stages of an ingest: one task each, mapped over partitions."""

from __future__ import annotations

from collections.abc import Sequence

from airflow.sdk import Asset
from airflow.sdk.definitions.mappedoperator import MappedOperator

from operators.job import Job, SparkJob

AT_ONCE = 2
"""Partitions built at a time: each job spends most of its CPU time on imports, and the machine may have two cores."""


def build_stages(stages: Sequence[Sequence[str]], *, of: Job, emits: Asset) -> list[MappedOperator]:
    """`build_<layer>` for every stage, in order; the first for the partitions that the task `of` hands over.

    The layer is the first word of the stage's tables (raw_flights, raw_weather: `build_raw`). A stage hands over the partitions that it
    built, so one that failed is neither built further nor announced by an event of `emits`, and the others go on.
    """
    built: list[MappedOperator] = []
    for tables in stages:
        layer = tables[0].partition("_")[0]
        task = SparkJob.partial(
            task_id=f"build_{layer}",
            task_display_name=f"Build {layer}",
            job="build_table",
            arguments={"tables": ",".join(tables)},
            hands_over="partition",
            map_index_template="{{ task.partition }}",
            max_active_tis_per_dagrun=AT_ONCE,
            trigger_rule="all_done_min_one_success",
            outlets=[emits] if tables == stages[-1] else [],
        )
        built.append(task.expand(partition=(built[-1] if built else of).output))
    return built
