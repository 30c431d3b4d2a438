"""What a recipe trains: one network, or several that differ in their first weights and answer by their mean (arXiv 1612.01474)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import cast

import msgspec
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from roundtrip.training.network import Network, NetworkShape

WEIGHTS_FILE, SHAPE_FILE = "weights.safetensors", "network.json"


class Ensemble(nn.Module):
    """Numbers float32 [n, N] (NaN: missing) and categories int32 [n, C] → minutes float32 [n, 3]: median, low and high quantile."""

    def __init__(self, networks: Iterable[Network]) -> None:
        """Of networks of the same shape, fitted to the same rows."""
        super().__init__()
        self.networks = nn.ModuleList(networks)

    @property
    def first(self) -> Network:
        """The one whose preprocessing, the same in all, stands for them."""
        return cast("Network", self.networks[0])

    @property
    def gain(self) -> Tensor:
        """Median of label − baseline column over the training rows: what the baseline adds to its column."""
        return self.first.gain

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        answers = [network(numbers, categories) for network in self.networks]
        return answers[0] if len(answers) == 1 else torch.stack(answers).mean(dim=0)

    def save(self, folder: Path) -> None:
        """Write `network.json` and `weights.safetensors`."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / SHAPE_FILE).write_text(json.dumps({"networks": len(self.networks), **asdict(self.first.shape)}, indent=2))
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in self.state_dict().items()}, folder / WEIGHTS_FILE)

    @classmethod
    def load(cls, folder: Path) -> Ensemble:
        """What `save` wrote, ready to predict. Runs nothing from the files: they are JSON and plain tensors."""
        values = json.loads((folder / SHAPE_FILE).read_text())
        count = values.pop("networks")
        ensemble = cls(Network(msgspec.convert(values, NetworkShape)) for _ in range(count))
        ensemble.load_state_dict(load_file(folder / WEIGHTS_FILE))
        return ensemble.eval()
