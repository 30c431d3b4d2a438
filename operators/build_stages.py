"""The stages of an ingest: one task each, mapped over partitions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from airflow.sdk import Asset
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.sdk.exceptions import AirflowSkipException

from operators.job import Job, SparkJob

if TYPE_CHECKING:
    from airflow.sdk import Context

    from roundtrip.contracts.receipts import Figure

AT_ONCE = 2
"""Partitions built at a time: each job spends most of its CPU time on imports, and the machine may have two cores."""


class BuildStage(SparkJob):
    """Builds the tables of a stage for one partition, and hands the partition to the next stage.

    :param dependent: the partition itself did not land: it looks back into one that did. When nothing of it changed, its last stage is
        skipped, and what follows an ingest does not start. One that landed is always announced: its event may have been lost before.
    """

    def __init__(self, *, dependent: bool = False, **kwargs: object) -> None:
        super().__init__(job="build_table", **kwargs)  # type: ignore[arg-type]
        self.dependent = dependent

    def _hand_over(self, context: Context) -> Figure:
        context["ti"].xcom_push(key="summary", value=super()._hand_over(context))
        if self.dependent and self.outlets and all(receipt.figures["unchanged"] for receipt in self._receipts(context)):
            raise AirflowSkipException(f"nothing of {self.partition} has changed")
        return {"partition": self.partition, "dependent": self.dependent}


def build_stages(stages: Sequence[Sequence[str]], *, of: Job, emits: Asset) -> list[MappedOperator]:
    """`build_<layer>` for every stage, in order; the first for the partitions that the task `of` hands over.

    The layer is the first word of the stage's tables (raw_flights, raw_weather: `build_raw`). A stage hands over the partitions that it
    built, so one that failed is neither built further nor announced by an event of `emits`, and the others go on.
    """
    built: list[MappedOperator] = []
    for tables in stages:
        layer = tables[0].partition("_")[0]
        task = BuildStage.partial(
            task_id=f"build_{layer}",
            task_display_name=f"Build {layer}",
            arguments={"tables": ",".join(tables)},
            map_index_template="{{ task.partition }}",
            max_active_tis_per_dagrun=AT_ONCE,
            trigger_rule="all_done_min_one_success",
            outlets=[emits] if tables == stages[-1] else [],
        )
        built.append(task.expand_kwargs((built[-1] if built else of).output))
    return built
