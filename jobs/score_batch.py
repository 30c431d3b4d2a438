"""Score a partition's features with the live version, check the predictions and publish them. Exit code 10 when no version is live yet."""

from __future__ import annotations

from collections.abc import Sequence

from roundtrip.contracts.names import checked_partition
from roundtrip.contracts.receipts import RunFolder, job_parser, receipt_for
from roundtrip.contracts.use_cases import UseCase
from roundtrip.lakehouse.audit import audit
from roundtrip.lakehouse.checks_page import Audited
from roundtrip.lakehouse.definitions import definition_of
from roundtrip.lakehouse.expectations import import_ahead
from roundtrip.lakehouse.publish import Provenance, publish
from roundtrip.lakehouse.session import spark_session
from roundtrip.serving.score_partition import ScoredPartition, score_partition
from use_cases import use_case_named


def main(argv: Sequence[str] | None = None) -> None:
    parser = job_parser("score_batch", __doc__ or "")
    parser.add_argument("--partition", required=True, help="month to score, such as 2013-04")
    request = parser.parse_args(argv)
    with receipt_for(request) as receipt:
        use_case, partition = use_case_named(request.use_case), checked_partition(request.partition)
        scored = score_partition(use_case, partition)
        import_ahead()
        receipt.inputs.append(scored.features)
        with spark_session() as spark:
            # sent to the server once: the audit and the publishing read it several times
            rows = spark.createDataFrame(scored.rows).localCheckpoint()
            audit(rows, _audited(use_case, partition, scored), folder=RunFolder(request.run_dir), receipt=receipt)
            published = publish(
                spark,
                rows,
                use_case_name=use_case.name,
                table=use_case.predictions_table,
                partition=partition,
                transaction=request.run_dir,
            )
        receipt.outputs.append(published)
        receipt.figures.update(version=scored.version, rows=published.rows)


def _audited(use_case: UseCase, partition: str, scored: ScoredPartition) -> Audited:
    features = scored.features
    return Audited(
        definition=definition_of(use_case.name, use_case.predictions_table),
        partition=partition,
        rows=scored.rows.num_rows,
        broken=0,
        came_from=f"version {scored.version} of the model",
        provenance=Provenance(tables={f"{features.table} {partition}": features.version}),
    )


if __name__ == "__main__":
    main()
