"""What MLflow calls to load a registered version as a pyfunc: `mlflow.pyfunc.load_model("models:/flight_eta@champion").predict(frame)`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from roundtrip.contracts.model_contract import ModelContract
from roundtrip.training.training_record import CONTRACT_FILE

if TYPE_CHECKING:
    import pandas as pd

    from roundtrip.training.ensemble import Ensemble


class PyfuncModel:
    """A network behind MLflow's interface: a frame of the contract's inputs in, a frame of its outputs out."""

    def __init__(self, network: Ensemble, contract: ModelContract) -> None:
        self.network = network
        self.contract = contract

    def predict(self, rows: pd.DataFrame) -> pd.DataFrame:
        import pandas as pd

        from roundtrip.serving.parity import network_answer

        columns = {name: rows[name].tolist() for name in rows.columns}
        answers = network_answer(self.network, self.contract, columns)
        return pd.DataFrame(answers, index=rows.index, columns=[output.name for output in self.contract.outputs])


def _load_pyfunc(path: str) -> PyfuncModel:
    """MLflow's entry point, by this name; `path` is the folder with the version's files."""
    from roundtrip.training.ensemble import Ensemble

    contract = ModelContract.from_json((Path(path) / CONTRACT_FILE).read_bytes())
    return PyfuncModel(Ensemble.load(Path(path)), contract)
