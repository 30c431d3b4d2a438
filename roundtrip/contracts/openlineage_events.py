"""What a job read and wrote, told in OpenLineage's words when its receipt is written.

Told to `<ROUNDTRIP_HOME>/openlineage/events.jsonl`, or to whom OpenLineage's own settings name: OPENLINEAGE_URL, OPENLINEAGE_CONFIG,
OPENLINEAGE__TRANSPORT__…, openlineage.yml. OPENLINEAGE_DISABLED=true tells nobody. The client is imported on first use: it takes 0.16 s
of processor time in a process that has boto3.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, uuid5

from roundtrip.contracts.settings import settings

if TYPE_CHECKING:
    from openlineage.client import OpenLineageClient
    from openlineage.client.event_v2 import InputDataset, OutputDataset, Run, RunEvent

    from roundtrip.contracts.receipts import Receipt

log = logging.getLogger(__name__)

LONGEST_WAIT_S = 2.0
"""Seconds that a job waits for a backend. One that is away costs no more than that, and fails no job."""
NAMESPACE = "roundtrip"
_PRODUCER = "urn:roundtrip"
_SETTINGS = ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG", "OPENLINEAGE__TRANSPORT")
"""Variables by which OpenLineage's client finds a backend."""


def tell(receipt: Receipt, run_folder: str) -> None:
    """Emit the job's START, and its COMPLETE or FAIL. Nothing is raised: what goes wrong is logged."""
    if os.environ.get("OPENLINEAGE_DISABLED", "").lower().strip() == "true":
        return
    try:
        client, events = _client(), events_of(receipt, run_folder)
    except Exception:
        log.exception("OpenLineage events can't be told with these settings: correct them, or set OPENLINEAGE_DISABLED=true")
        return
    telling = threading.Thread(target=_emit, args=(client, events), daemon=True)
    telling.start()
    telling.join(LONGEST_WAIT_S)
    if telling.is_alive():
        log.warning("the OpenLineage backend did not answer in %s s: events of %s may be lost", LONGEST_WAIT_S, receipt.job)


def events_of(receipt: Receipt, run_folder: str) -> list[RunEvent]:
    """START and the end of a job; its run id follows from run folder, job and start, so a retry is another run of the same job."""
    from openlineage.client.event_v2 import Job, RunEvent, RunState

    part = f".{receipt.part}" if receipt.part else ""
    job = Job(namespace=NAMESPACE, name=f"{receipt.use_case}.{receipt.job}{part}")
    end = RunState.FAIL if receipt.answer == "failed" else RunState.COMPLETE
    started = datetime.fromisoformat(receipt.started_at)
    moments = ((RunState.START, started), (end, started + timedelta(seconds=receipt.seconds)))
    run, inputs, outputs = _run(receipt, run_folder, job.name), _inputs(receipt), _outputs(receipt)
    return [
        RunEvent(
            eventType=state, eventTime=at.isoformat(), run=run, job=job, inputs=inputs, outputs=outputs, producer=_PRODUCER
        )
        for state, at in moments
    ]  # fmt: skip


def _client() -> OpenLineageClient:
    from openlineage.client import OpenLineageClient
    from openlineage.client.transport.file import FileConfig, FileTransport

    files = (Path("openlineage.yml"), Path("~/.openlineage/openlineage.yml").expanduser())
    if any(name.startswith(_SETTINGS) for name in os.environ) or any(file.is_file() for file in files):
        return OpenLineageClient()
    kept = settings().home_path / "openlineage" / "events.jsonl"
    kept.parent.mkdir(parents=True, exist_ok=True)
    return OpenLineageClient(transport=FileTransport(FileConfig(log_file_path=str(kept), append=True)))


def _emit(client: OpenLineageClient, events: Sequence[RunEvent]) -> None:
    try:
        for event in events:
            client.emit(event)
    except Exception:
        log.exception("OpenLineage events could not be told")


def _run(receipt: Receipt, run_folder: str, job_name: str) -> Run:
    from openlineage.client.event_v2 import Run
    from openlineage.client.facet_v2 import RunFacet, error_message_run, parent_run

    dag = run_folder.rstrip("/").rpartition("/")[0].rpartition("/")[2]
    parent = parent_run.ParentRunFacet(
        run=parent_run.Run(runId=str(uuid5(NAMESPACE_URL, run_folder))), job=parent_run.Job(namespace=NAMESPACE, name=dag)
    )
    facets: dict[str, RunFacet] = {"parent": parent}
    if receipt.answer == "failed":
        facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(message=receipt.reason, programmingLanguage="Python")
    return Run(runId=str(uuid5(NAMESPACE_URL, f"{run_folder} {job_name} {receipt.started_at}")), facets=facets)


def _inputs(receipt: Receipt) -> list[InputDataset]:
    """Tables at their versions, then landed files, whose version is their SHA-256."""
    from openlineage.client.event_v2 import InputDataset
    from openlineage.client.facet_v2 import dataset_version_dataset

    versions = [(table.uri, str(table.version)) for table in receipt.inputs] + list(receipt.files.items())
    return [
        InputDataset(*_place(uri), facets={"version": dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=version)})
        for uri, version in versions
    ]


def _outputs(receipt: Receipt) -> list[OutputDataset]:
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import dataset_version_dataset, output_statistics_output_dataset

    return [
        OutputDataset(
            *_place(table.uri),
            facets={"version": dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=str(table.version))},
            outputFacets={"outputStatistics": output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=table.rows)},
        )
        for table in receipt.outputs
    ]


def _place(uri: str) -> tuple[str, str]:
    """Namespace and name as OpenLineage spells them: `s3://bucket` and the key, `file` and the path (openlineage.io/docs/spec/naming)."""
    parts = urlsplit(uri)
    return ("file", parts.path) if parts.scheme == "file" else (f"{parts.scheme}://{parts.netloc}", parts.path.strip("/"))
