"""What a version folder holds, and what its build refuses."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from roundtrip.contracts.errors import CompileFailed, ParityFailed
from roundtrip.registry.version_folder import write_manifest
from roundtrip.serving.compile import build_version, check_version, rtx_compile_gate, rtx_python
from roundtrip.serving.scoring import Scorer
from roundtrip.serving.speed import ROWS
from roundtrip.training.ensemble import Ensemble
from tests.roundtrip.serving.tiny_version import ROW, tiny_contract, tiny_network

REAL = {name: [value] for name, value in ROW.items()}


def test_a_contract_without_categories_gives_a_graph_without_that_input(tmp_path: Path) -> None:
    contract = tiny_contract(with_categories=False)
    build_version(tiny_network(contract, seed=3), contract, tmp_path)
    assert [entry.name for entry in onnx.load(tmp_path / "model.onnx").graph.input] == ["numbers"]
    assert "categories" not in (tmp_path / "config.pbtxt").read_text()
    assert Scorer(tmp_path).predict({"delay_minutes": [1.0, None]}).shape == (2, 3)


def test_networks_of_an_ensemble_are_averaged_inside_the_graph(home: Path, tmp_path: Path) -> None:
    contract = tiny_contract()
    networks = [tiny_network(contract, seed=seed) for seed in (1, 2)]
    build_version(Ensemble(networks), contract, tmp_path)
    check_version(Ensemble(networks), tmp_path, REAL)
    with pytest.raises(ParityFailed):
        check_version(networks[0], tmp_path, REAL)


@pytest.mark.parametrize("rows", [1, 2, 1000])
def test_a_graph_takes_any_number_of_rows(built_versions: dict[str, Path], rows: int) -> None:
    assert Scorer(built_versions["1"]).predict({name: [value] * rows for name, value in ROW.items()}).shape == (rows, 3)


def test_a_version_that_was_built_from_another_network_fails_its_check(home: Path, built_versions: dict[str, Path]) -> None:
    with pytest.raises(ParityFailed):
        check_version(tiny_network(tiny_contract(), seed=1), built_versions["2"], REAL)


def test_the_receipt_says_when_there_was_no_rtx_build(home: Path, built_versions: dict[str, Path]) -> None:
    compiled = check_version(tiny_network(tiny_contract(), seed=1), built_versions["1"], REAL)
    assert (compiled.engine, compiled.why) == ("onnxruntime", "there is no NVIDIA GPU with TensorRT here")
    assert {(timing.engine, timing.rows) for timing in compiled.timings} == {(name, n) for name in ("pytorch", "onnxruntime") for n in ROWS}
    assert compiled.rtx_build == f"not built: {home}/tensorrt_rtx/bin/python is not installed"


@pytest.mark.skipif(not rtx_python().exists(), reason="TensorRT-RTX's environment (.roundtrip/tensorrt_rtx) is optional")
def test_tensorrt_rtx_compiles_the_graph_and_refuses_one_that_it_cannot(built_versions: dict[str, Path], tmp_path: Path) -> None:
    assert rtx_compile_gate(built_versions["1"] / "model.onnx", rtx_python()).startswith("built: ")
    strings = helper.make_tensor_value_info("text", TensorProto.STRING, ["rows", 1])
    graph = helper.make_graph([helper.make_node("Identity", ["text"], ["same"])], "strings", [strings],
                              [helper.make_tensor_value_info("same", TensorProto.STRING, ["rows", 1])])  # fmt: skip
    onnx.save(helper.make_model(graph), tmp_path / "model.onnx")
    with pytest.raises(CompileFailed):
        rtx_compile_gate(tmp_path / "model.onnx", rtx_python())


def test_two_contracts_never_share_a_triton_model(tmp_path: Path, built_versions: dict[str, Path]) -> None:
    from roundtrip.serving.triton_repository import put_version

    other = tmp_path / "other"
    other.mkdir()
    contract = tiny_contract(with_categories=False)
    build_version(tiny_network(contract, seed=3), contract, other)
    write_manifest(other)
    names = {put_version(tmp_path / "triton", folder, "tiny", version) for version, folder in (*built_versions.items(), ("3", other))}
    assert len(names) == 2
    assert len(list((tmp_path / "triton").glob("tiny-*/config.pbtxt"))) == 2
