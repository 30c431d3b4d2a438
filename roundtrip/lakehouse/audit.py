"""The checks of checks.yaml, run by Great Expectations on a frame before it is published.

Great Expectations is imported on first use: it takes 3–4 s of CPU time. `import_ahead` does it while Spark is working.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame

from roundtrip.contracts.errors import BadDefinition
from roundtrip.lakehouse.definitions import Check

if TYPE_CHECKING:
    from great_expectations.core import ExpectationValidationResult
    from great_expectations.expectations.expectation import Expectation


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """What one check found."""

    check: Check
    passed: bool
    found: str
    """The observed value, or how many rows were not as expected."""


def import_ahead() -> None:
    """Start the import in the background; `audit` waits for it."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    threading.Thread(target=import_module, args=("great_expectations",), daemon=True).start()


def audit(frame: DataFrame, checks: Sequence[Check], *, name: str) -> list[CheckResult]:
    """One result per check, in order; raises BadDefinition for a check that can't run on this frame (column, argument)."""
    if not checks:
        return []
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_spark("lakehouse").add_dataframe_asset(name)
    batch = asset.add_batch_definition_whole_dataframe("partition").get_batch(batch_parameters={"dataframe": frame})
    suite = gx.ExpectationSuite(name, expectations=[_expectation(check, place) for place, check in enumerate(checks)])
    # no examples of unexpected values: each would be one more pass, and the quarantine holds the rows that matter
    validated = batch.validate(suite, result_format={"result_format": "BASIC", "partial_unexpected_count": 0})
    by_place = {_place(result): result for result in validated.results}
    return [_result(check, by_place[place], name) for place, check in enumerate(checks)]


def _expectation(check: Check, place: int) -> Expectation:
    from great_expectations.exceptions.exceptions import ExpectationNotFoundError
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
    from pydantic.v1 import ValidationError

    try:
        return ExpectationConfiguration(type=f"expect_{check.expect}", kwargs=dict(check.arguments), meta={"place": place}).to_domain_obj()
    except (ExpectationNotFoundError, ValidationError) as error:
        raise BadDefinition(f"check {check.expect!r} {check.arguments}: {error}. See greatexpectations.io/expectations.") from None


def _place(result: ExpectationValidationResult) -> int:
    assert result.expectation_config is not None and result.expectation_config.meta is not None  # _expectation set both
    return int(result.expectation_config.meta["place"])


def _result(check: Check, result: ExpectationValidationResult, name: str) -> CheckResult:
    problem = result.exception_info or {}
    messages = [entry for entry in (problem, *problem.values()) if isinstance(entry, dict) and entry.get("exception_message")]
    if messages:
        raise BadDefinition(f"check {check.expect!r} of {name} can't run: {messages[0]['exception_message']}")
    if "observed_value" in result.result:
        return CheckResult(check=check, passed=bool(result.success), found=str(result.result["observed_value"]))
    unexpected, rows = result.result["unexpected_count"], result.result["element_count"]
    return CheckResult(check=check, passed=bool(result.success), found=f"{unexpected:,} of {rows:,} rows not as expected")
