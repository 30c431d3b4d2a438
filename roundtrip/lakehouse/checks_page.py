"""The page that a task's link "Checks" opens: what was asked of a partition, why, and what was found."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from roundtrip.lakehouse.audit import CheckResult
from roundtrip.lakehouse.definitions import TableDefinition

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #1b1f24; background: #fff }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .4rem .8rem; border-bottom: 1px solid #d8dee4 }
.passed { color: #116329 } .failed { color: #a40e26; font-weight: 600 } .warned { color: #7d4e00; font-weight: 600 }
"""


def checks_page(definition: TableDefinition, partition: str, results: Sequence[CheckResult], rows: int, broken: int) -> str:
    """A self-contained HTML page. `rows` counts all rows, `broken` those in quarantine, which the checks did not see."""
    title = escape(f"{definition.use_case_name}.{definition.name} {partition}")
    contract = f"{broken:,} of {rows:,} rows break the row contract" + (f" (see table {definition.quarantine})" if broken else "")
    body = "".join(_row(result) for result in results)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Checks of {title}</title><style>{_STYLE}</style>'
        f"<h1>Checks of {title}</h1><p>{escape(definition.grain)}. {escape(contract)}.</p>"
        f"<table><thead><tr><th>Result<th>Expectation<th>Found<th>Because</tr></thead><tbody>{body}</tbody></table></html>"
    )


def _row(result: CheckResult) -> str:
    state = "passed" if result.passed else {"fails": "failed", "warns": "warned"}[result.check.level]
    arguments = ", ".join(f"{name}: {value}" for name, value in result.check.arguments.items())
    cells = (f"{result.check.expect.replace('_', ' ')} ({arguments})", result.found, result.check.because)
    return f'<tr><td class="{state}">{state}' + "".join(f"<td>{escape(cell)}" for cell in cells) + "</tr>"
