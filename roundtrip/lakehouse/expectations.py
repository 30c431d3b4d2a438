"""A table's checks, run by Great Expectations on a frame.

Great Expectations puts all counts and aggregates of one call into one query; a key's uniqueness takes one more. What it would do
besides, one query for each column that lists no unexpected value, is not asked for (`_YES_OR_NO`). Its import takes 3 s of CPU time:
`import_ahead` does it while Spark is working.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame

from roundtrip.contracts.errors import BadDefinition
from roundtrip.lakehouse.contract_checks import column_checks, row_checks, type_checks
from roundtrip.lakehouse.definitions import Check, TableDefinition
from roundtrip.lakehouse.session import refuse_outage

if TYPE_CHECKING:
    from great_expectations.core import ExpectationValidationResult
    from great_expectations.datasource.fluent.interfaces import Batch
    from great_expectations.expectations.expectation import Expectation

SAMPLE_ROWS = 5
"""Rows shown of those that miss a check."""

ResultFormat = dict[str, object]
_YES_OR_NO: ResultFormat = {"result_format": "BOOLEAN_ONLY"}
_COUNTED: ResultFormat = {"result_format": "BASIC", "partial_unexpected_count": 0}


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """What one check found."""

    check: Check
    passed: bool
    found: str
    """The observed value, or how many rows were not as expected."""
    sample: tuple[str, ...] = ()
    """A missed check: some of the rows that were not as expected, each its key and the value: 'trip a, minutes 601'."""


def import_ahead() -> None:
    """Start the import in the background; `run_checks` waits for it."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    threading.Thread(target=import_module, args=("great_expectations",), daemon=True).start()


def run_checks(frame: DataFrame, definition: TableDefinition, *, name: str) -> list[CheckResult]:
    """What schema.yaml and checks.yaml ask of the table's columns in `frame`, in this order, one result per check.

    Only the columns are judged while they are not as declared: nothing can be said of their values then.
    Raises BadDefinition for a check of checks.yaml that can't run on this frame (column, argument), ServiceUnavailable when the Spark
    server goes away.
    """
    batch = _batch(frame, name)
    columns = _results(batch, column_checks(definition), _COUNTED)
    if _all_passed(columns):
        columns += _results(batch, type_checks(definition), _COUNTED)
    if not _all_passed(columns):
        return columns
    rows = _results(batch, row_checks(definition), _YES_OR_NO) + _results(batch, definition.checks, _COUNTED)
    return columns + _with_samples(batch, rows, definition.key)


def _with_samples(batch: Batch, results: Sequence[CheckResult], key: Sequence[str]) -> list[CheckResult]:
    """The missed ones again, with rows: a pass that is made only where there are any."""
    sampled: ResultFormat = {
        "result_format": "SUMMARY",
        "partial_unexpected_count": SAMPLE_ROWS,
        "unexpected_index_column_names": list(key),
    }
    again = iter(_results(batch, [result.check for result in results if not result.passed], sampled))
    return [result if result.passed else next(again) for result in results]


def _batch(frame: DataFrame, name: str) -> Batch:
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations as gx
    from great_expectations.data_context.types.base import DataContextConfig, InMemoryStoreBackendDefaults, ProgressBarsConfig

    # by default each context leaves a folder for a site of its own in the temporary folder
    in_memory = InMemoryStoreBackendDefaults(init_temp_docs_sites=False)
    config = DataContextConfig(store_backend_defaults=in_memory, progress_bars=ProgressBarsConfig(globally=False))
    context = gx.get_context(mode="ephemeral", project_config=config)
    # persist would cache the frame a second time, and never let it go
    asset = context.data_sources.add_spark("lakehouse", persist=False).add_dataframe_asset(name)
    return asset.add_batch_definition_whole_dataframe("partition").get_batch(batch_parameters={"dataframe": frame})


def _results(batch: Batch, checks: Sequence[Check], result_format: ResultFormat) -> list[CheckResult]:
    if not checks:
        return []
    from great_expectations import ExpectationSuite

    suite = ExpectationSuite("checks", expectations=[_expectation(check, place) for place, check in enumerate(checks)])
    by_place = {_place(result): result for result in batch.validate(suite, result_format=result_format).results}
    return [_result(check, by_place[place]) for place, check in enumerate(checks)]


def _expectation(check: Check, place: int) -> Expectation:
    from great_expectations.exceptions.exceptions import ExpectationNotFoundError
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
    from pydantic.v1 import ValidationError

    try:
        return ExpectationConfiguration(type=f"expect_{check.expect}", kwargs=dict(check.arguments), meta={"place": place}).to_domain_obj()
    except (ExpectationNotFoundError, ValidationError) as error:
        raise BadDefinition(f"check {check.text}: {error}. See greatexpectations.io/expectations.") from None


def _place(result: ExpectationValidationResult) -> int:
    assert result.expectation_config is not None and result.expectation_config.meta is not None  # _expectation set both
    return int(result.expectation_config.meta["place"])


def _result(check: Check, result: ExpectationValidationResult) -> CheckResult:
    problem = result.exception_info or {}
    messages = [entry for entry in (problem, *problem.values()) if isinstance(entry, dict) and entry.get("exception_message")]
    if messages:
        refuse_outage(str(messages))  # Great Expectations catches every exception
        raise BadDefinition(f"check {check.text} can't run: {messages[0]['exception_message']}. Correct it in checks.yaml.")
    rows: Sequence[Mapping[str, object]] = result.result.get("partial_unexpected_index_list") or ()
    sample = tuple(", ".join(f"{name} {'NULL' if value is None else value}" for name, value in row.items()) for row in rows)
    return CheckResult(check=check, passed=bool(result.success), found=_found(result.result), sample=sample)


def _found(observed: Mapping[str, object]) -> str:
    if "observed_value" in observed:
        return str(observed["observed_value"])
    if "unexpected_count" not in observed:
        return "as declared"
    if observed["unexpected_count"] is None:  # Great Expectations counts nothing where there are no rows
        return "no rows"
    return f"{observed['unexpected_count']:,} of {observed['element_count']:,} rows not as expected"


def _all_passed(results: Sequence[CheckResult]) -> bool:
    return all(result.passed for result in results)
