"""Versions on the real Triton: loaded beside each other while requests go on, refused when their digest is wrong."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from roundtrip.contracts.errors import ProbeFailed, ServiceUnavailable
from roundtrip.contracts.settings import settings
from roundtrip.serving.scoring import Scorer
from roundtrip.serving.tensors import Tensors, tensors_of
from roundtrip.serving.triton_client import TritonClient
from roundtrip.serving.triton_repository import put_version, remove_version, versions_of
from tests.roundtrip.serving.gateway_process import Triton
from tests.roundtrip.serving.tiny_version import ROW

pytestmark = pytest.mark.stack


@dataclass
class Requests:
    """What a thread that asks without a pause saw."""

    tensors: Tensors
    expected: np.ndarray
    answered: int = 0
    wrong: list[str] = field(default_factory=list)

    def ask(self, triton: Triton, model: str, stop: threading.Event) -> None:
        with TritonClient(triton.address, settings().triton_admin_key) as client:
            while not stop.is_set():
                try:
                    if not np.array_equal(client.infer(model, "1", self.tensors, deadline_s=2), self.expected):
                        self.wrong.append("another answer")
                except ProbeFailed as error:
                    self.wrong.append(str(error))
                self.answered += 1


def rows_of(folder: Path) -> tuple[Tensors, np.ndarray]:
    scorer = Scorer(folder)
    tensors = tensors_of(*scorer.contract.encode({name: [value] for name, value in ROW.items()}))
    return tensors, scorer.answer(tensors)


def test_a_second_version_comes_and_goes_beside_the_first_without_one_failed_request(
    triton: Triton, built_versions: dict[str, Path]
) -> None:
    model = put_version(triton.repository, built_versions["1"], triton.use_case_name, "1")
    triton.client.load(model)
    requests, stop = Requests(*rows_of(built_versions["1"])), threading.Event()
    threads = [threading.Thread(target=requests.ask, args=(triton, model, stop)) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        put_version(triton.repository, built_versions["2"], triton.use_case_name, "2")
        triton.client.load(model)
        assert triton.client.ready_versions(model) == {"1", "2"}
        tensors, expected = rows_of(built_versions["2"])
        np.testing.assert_allclose(triton.client.infer(model, "2", tensors, deadline_s=2), expected, rtol=1e-6)
        assert remove_version(triton.repository, model, "2")
        triton.client.load(model)
        triton.client.wait_until_gone(model, "2")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert requests.wrong == []
    assert requests.answered > 20


def test_a_version_with_a_flipped_bit_does_not_load_and_the_first_goes_on(triton: Triton, built_versions: dict[str, Path]) -> None:
    model = put_version(triton.repository, built_versions["1"], triton.use_case_name, "1")
    triton.client.load(model)
    put_version(triton.repository, built_versions["2"], triton.use_case_name, "2")
    damaged = triton.repository / model / "2" / "model.onnx"
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(ProbeFailed, match="SHA-256"):
        triton.client.load(model)
    tensors, expected = rows_of(built_versions["1"])
    np.testing.assert_allclose(triton.client.infer(model, "1", tensors, deadline_s=2), expected, rtol=1e-6)


def test_loading_needs_the_admin_key(triton: Triton, built_versions: dict[str, Path]) -> None:
    model = put_version(triton.repository, built_versions["1"], triton.use_case_name, "1")
    with TritonClient(triton.address, "guessed") as client, pytest.raises((ProbeFailed, ServiceUnavailable)):
        client.load(model)
    assert triton.client.ready_versions(model) == set()


def test_a_version_that_is_put_twice_is_there_once(triton: Triton, built_versions: dict[str, Path]) -> None:
    names = {put_version(triton.repository, built_versions["1"], triton.use_case_name, "1") for _ in range(2)}
    assert versions_of(triton.repository, triton.use_case_name) == [(name, "1") for name in names]
