"""Score a partition's features with the live version, and publish the predictions. Exit code 10 when no version is live yet."""

from __future__ import annotations

from collections.abc import Sequence

from roundtrip.contracts.names import checked_partition
from roundtrip.contracts.receipts import job_parser, receipt_for
from roundtrip.lakehouse.publish import publish
from roundtrip.lakehouse.session import spark_session
from roundtrip.serving.score_partition import score_partition
from use_cases import use_case_named


def main(argv: Sequence[str] | None = None) -> None:
    parser = job_parser("score_batch", __doc__ or "")
    parser.add_argument("--partition", required=True, help="month to score, such as 2013-04")
    request = parser.parse_args(argv)
    with receipt_for(request) as receipt:
        use_case, partition = use_case_named(request.use_case), checked_partition(request.partition)
        scored = score_partition(use_case, partition)
        receipt.inputs.append(scored.features)
        with spark_session() as spark:
            published = publish(
                spark,
                spark.createDataFrame(scored.rows),
                use_case_name=use_case.name,
                table=use_case.predictions_table,
                partition=partition,
                transaction=request.run_dir,
            )
        receipt.outputs.append(published)
        receipt.figures.update(version=scored.version, rows=published.rows)


if __name__ == "__main__":
    main()
