"""Flags in MLflow the model versions whose training data was corrected since, with a tag for each such month."""

from __future__ import annotations

from collections.abc import Mapping

from roundtrip.registry.mlflow_run import client


def superseded_tag(partition: str) -> str:
    """The tag of a month; its value says which table's version was pinned, and which replaced it."""
    return f"superseded.{partition}"


def flag_superseded(use_case_name: str, partition: str, versions: Mapping[str, str]) -> None:
    """Flag each version with what changed (roundtrip/lakehouse/dependents.py); once more is the same as once."""
    for version, changed in versions.items():
        client().set_model_version_tag(use_case_name, version, superseded_tag(partition), changed)
