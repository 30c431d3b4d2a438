"""Train the candidate on the run's snapshot, by the recipe that tune_model chose, or as declared.

Under torchrun this is one of its ranks; started plainly it becomes torchrun. Killed and run again with the same --run-dir it goes
on from the last whole checkpoint; a training that is finished returns at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from roundtrip.contracts.end_with_parent import end_with_parent
from roundtrip.contracts.receipts import RunFolder, job_parser, receipt_for
from roundtrip.training.chosen_recipe import use_case_of_run
from roundtrip.training.ranks import Nodes, add_node_options, become_torchrun, rank, started_by_torchrun
from roundtrip.training.run_rank import follow, lead
from use_cases import use_case_named


def main(argv: Sequence[str] | None = None) -> None:
    arguments = sys.argv[1:] if argv is None else argv
    parser = job_parser("train_model", __doc__ or "")
    parser.add_argument("--ranks", type=int, help="processes to start on each machine; the recipe's by default. Under torchrun it decides")
    add_node_options(parser)
    request = parser.parse_args(arguments)
    folder = RunFolder(request.run_dir)
    use_case = use_case_of_run(use_case_named(request.use_case), folder)
    if not started_by_torchrun():
        with receipt_for(request):  # of a request that is wrong
            nodes = Nodes.asked(nodes=request.nodes, node_rank=request.node_rank, rendezvous=request.rendezvous)
            become_torchrun("jobs.train_model", arguments, ranks=request.ranks or use_case.recipe.ranks, nodes=nodes)
    end_with_parent()
    if rank() > 0:
        follow(use_case, folder)
        return
    with receipt_for(request) as receipt:
        record = lead(use_case, folder)
        receipt.inputs += record.tables
        receipt.figures |= record.figures()
        receipt.links["MLflow run"] = record.mlflow_run_url


if __name__ == "__main__":
    main()
