"""Triton's model repository: `<repository>/<model>/config.pbtxt` and `<repository>/<model>/<version>/…`, derived from a version folder.

All versions of a Triton model share its config.pbtxt. So a model's name carries the digest of its configuration
(`flight_eta-1f0c33ab`): versions of one contract lie side by side in one model, and a version with another contract becomes
another model beside it, which leaves the live version's configuration alone.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from roundtrip.contracts.model_contract import ModelContract
from roundtrip.registry.version_folder import verify
from roundtrip.serving.tensors import TensorSpec, input_specs, output_spec

CONFIG_FILE = "config.pbtxt"
LARGEST_BATCH = 1024
"""Rows of one Triton request at most: also the largest batch of the gateway and of a TensorRT profile."""

_BACKEND = Path(__file__).parent / "triton_backend" / "model.py"
_ENGINES = {
    "onnxruntime": 'backend: "python"\ninstance_group [ { kind: KIND_CPU count: 1 } ]',
    "tensorrt": 'backend: "tensorrt"\ndefault_model_filename: "model.plan"\ninstance_group [ { kind: KIND_GPU count: 1 } ]',
}


def config_text(contract: ModelContract, engine: str) -> str:
    """config.pbtxt of a model of this contract, served by `engine` (onnxruntime or tensorrt)."""
    inputs = ",\n".join(_tensor(spec) for spec in input_specs(contract))
    return (
        f"{_ENGINES[engine]}\n"
        f"max_batch_size: {LARGEST_BATCH}\n"
        f"input [\n{inputs}\n]\n"
        f"output [\n{_tensor(output_spec(contract))}\n]\n"
        "version_policy { all { } }\n"
        "dynamic_batching { }\n"
    )


def model_name(use_case_name: str, folder: Path) -> str:
    """Triton's name of the model that serves the version in `folder`."""
    return f"{use_case_name}-{hashlib.sha256((folder / CONFIG_FILE).read_bytes()).hexdigest()[:8]}"


@contextmanager
def sole_writer(repository: Path) -> Iterator[None]:
    """Hold the repository while its files change and Triton takes them in; waits for whoever holds it.

    A release job and a gateway's repair may meet here. Triton 2.51 hangs for good on a model whose files go while it loads them.
    """
    repository.mkdir(parents=True, exist_ok=True)
    with (repository / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def put_version(repository: Path, folder: Path, use_case_name: str, version: str) -> str:
    """Copy the version folder into the repository beside what is there; gives Triton's name of its model.

    A version that is there and verifies stays as it is. Raises DigestMismatch when `folder` does not verify.
    """
    digest = verify(folder)
    name = model_name(use_case_name, folder)
    model, place = repository / name, repository / name / version
    model.mkdir(parents=True, exist_ok=True)
    if not (model / CONFIG_FILE).exists():
        _copy_whole(folder / CONFIG_FILE, model / CONFIG_FILE)
    if _manifest_digest(place) == digest:
        return name
    with tempfile.TemporaryDirectory(dir=model, prefix=".put-") as scratch:
        copy = Path(scratch) / version
        shutil.copytree(folder, copy)
        verify(copy, digest=digest)
        shutil.copyfile(_BACKEND, copy / "model.py")
        if place.exists():
            shutil.rmtree(place)
        copy.rename(place)
    return name


def versions_of(repository: Path, use_case_name: str) -> list[tuple[str, str]]:
    """(model, version) of everything that the repository holds of a use case."""
    found = repository.glob(f"{use_case_name}-*/*")
    return sorted((place.parent.name, place.name) for place in found if place.is_dir() and place.name.isdigit())


def remove_version(repository: Path, model: str, version: str) -> bool:
    """Remove the version from the repository; gives whether other versions of the model remain there."""
    place = repository / model / version
    if place.exists():
        shutil.rmtree(place)
    remaining = [other for other in (repository / model).glob("*") if other.name.isdigit()]
    if not remaining:
        shutil.rmtree(repository / model, ignore_errors=True)
    return bool(remaining)


def _tensor(spec: TensorSpec) -> str:
    return f'  {{ name: "{spec.name}" data_type: {spec.triton_type} dims: [ {spec.width} ] }}'


def _manifest_digest(place: Path) -> str | None:
    manifest = place / "manifest.json"
    return hashlib.sha256(manifest.read_bytes()).hexdigest() if manifest.exists() else None


def _copy_whole(source: Path, target: Path) -> None:
    partial = target.with_name(f".{target.name}.partial")
    shutil.copyfile(source, partial)
    partial.replace(target)
