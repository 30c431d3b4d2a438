"""The page that a task's link "Checks" opens: what was asked of a partition, what was found, and what the table is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from html import escape

from roundtrip.lakehouse.definitions import Column, TableDefinition
from roundtrip.lakehouse.expectations import CheckResult
from roundtrip.lakehouse.publish import Provenance

STYLE = """
:root { color-scheme: light dark; --text: #1b1f24; --dim: #59636e; --ground: #fff; --line: #d8dee4; --good: #116329; --bad: #a40e26;
  --warned: #7d4e00; --panel: #f6f8fa }
@media (prefers-color-scheme: dark) { :root { --text: #e6edf3; --dim: #9198a1; --ground: #0d1117; --line: #30363d; --good: #57ab5a;
  --bad: #ff7b72; --warned: #d4a72c; --panel: #161b22 } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; color: var(--text);
  background: var(--ground) }
a { color: inherit }
h1 { font-size: 1.5rem; margin-bottom: .25rem } h2 { font-size: 1.1rem; margin-top: 2rem }
.scrolls { overflow-x: auto } table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .4rem .8rem .4rem 0; border-bottom: 1px solid var(--line);
  overflow-wrap: break-word }
th { color: var(--dim); font-weight: 500; white-space: nowrap } td:first-child { white-space: nowrap }
code { font: 13px/1.5 ui-monospace, monospace } dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.5rem }
dt { color: var(--dim) } dd { margin: 0; overflow-wrap: anywhere }
.sample { background: var(--panel); border-radius: 6px; padding: .4rem .8rem; margin: .4rem 0 0; list-style: none }
.sample li + li { border-top: 1px solid var(--line) }
.passed { color: var(--good) } .failed { color: var(--bad); font-weight: 600 } .warned { color: var(--warned); font-weight: 600 }
"""

_STATES = {"fails": "failed", "warns": "warned"}


@dataclass(frozen=True, kw_only=True)
class Audited:
    """A partition before it is published, and where it comes from."""

    definition: TableDefinition
    partition: str
    rows: int
    """All rows, those in quarantine too."""
    broken: int
    """Rows in quarantine, which the checks did not see."""
    came_from: str
    """What to correct where the rows are wrong: the landed file, the query, the job."""
    provenance: Provenance

    @property
    def title(self) -> str:
        return f"{self.definition.name} {self.partition}"


def checks_page(audited: Audited, results: Sequence[CheckResult]) -> str:
    """A self-contained HTML page; all of its text that comes from files or data is escaped."""
    title = escape(f"{audited.definition.use_case_name}.{audited.title}")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Checks of {title}</title><style>{STYLE}</style><h1>{title}</h1>{_verdict(results)}"
        f"<h2>Checks</h2>{_checks(audited.definition, results)}<h2>The table</h2>{_about(audited.definition)}"
        f"<h2>Columns</h2>{_columns(audited.definition.columns)}<h2>Rows</h2>{_rows(audited)}</html>"
    )


def _verdict(results: Sequence[CheckResult]) -> str:
    counts = {state: sum(_state(result) == state for result in results) for state in ("failed", "warned", "passed")}
    told = [f'<span class="{state}">{count} {state}</span>' for state, count in counts.items() if count]
    stopped = ": this content was not published" if counts["failed"] else ""
    return f"<p>Of {len(results)} checks {', '.join(told)}{stopped}.</p>"


def _checks(definition: TableDefinition, results: Sequence[CheckResult]) -> str:
    """The missed ones first; those of schema.yaml that passed are only counted: the table of columns says what they ask."""
    missed = [result for result in results if not result.passed]
    passed = [result for result in results if result.passed and result.check in definition.checks]
    rows = [(_badge(result), escape(result.check.text), _seen(result), escape(result.check.because)) for result in (*missed, *passed)]
    rest = f"<p>{len(results) - len(rows)} more passed: the columns, types, values and key are as schema.yaml says (below).</p>"
    return (_table(("Result", "Expectation", "Found", "Because"), rows) if rows else "") + rest


def _seen(result: CheckResult) -> str:
    lines = "".join(f"<li><code>{escape(row)}</code>" for row in result.sample)
    return escape(result.found) + (f'<ul class="sample">{lines}</ul>' if lines else "")


def _about(definition: TableDefinition) -> str:
    reads = ", ".join(f"{table}{f' (and {back} months back)' if back else ''}" for table, back in definition.reads.items())
    made = {"file of the source": definition.source, "query over": reads, "job": definition.written_by}
    facts = {
        "One row is": definition.grain,
        "Owner": definition.owner,
        "Key": ", ".join(definition.key),
        "Freshness": f"the newest month ended at most {definition.freshness / timedelta(days=1):g} days ago",
        "Contract": f"version {definition.version}, definition {definition.digest}",
        "Made by": ", ".join(f"{how} {what}" for how, what in made.items() if what),
    }
    rules = {"Rejected is a row that": "; ".join(rule.otherwise for rule in definition.rules)}
    return _facts(facts | {name: text for name, text in rules.items() if text})


def _columns(columns: Iterable[Column]) -> str:
    rows = [
        (
            f"<code>{escape(column.name)}</code>",
            escape(column.type),
            escape(column.unit),
            "may be missing" if column.nullable else "always",
            escape(_range(column)),
            escape(column.meaning),
        )
        for column in columns
    ]
    return _table(("Column", "Type", "Unit", "Present", "Values", "Meaning"), rows)


def _range(column: Column) -> str:
    if column.values:
        return ", ".join(column.values)
    low, high = (f"{bound:g}" if bound is not None else "…" for bound in (column.minimum, column.maximum))
    ranged = "" if (low, high) == ("…", "…") else f"{low} to {high}"
    return ranged or (f"none that {column.otherwise}" if column.must else "")


def _rows(audited: Audited) -> str:
    provenance = audited.provenance
    facts = {
        "Read": f"{audited.rows:,}",
        "In quarantine": f"{audited.broken:,}" + (f" (table {audited.definition.quarantine})" if audited.broken else ""),
        "Checked": f"{audited.rows - audited.broken:,}",
        "Came from": audited.came_from,
    }
    facts |= {f"SHA-256 of {uri.rsplit('/', 1)[1]}": digest for uri, digest in provenance.files.items()}
    read = "; ".join(f"{month} at version {version}" for month, version in provenance.tables.items())
    return _facts(facts | ({"Made from": read} if read else {}))


def _badge(result: CheckResult) -> str:
    state = _state(result)
    return f'<span class="{state}">{state}</span>'


def _state(result: CheckResult) -> str:
    return "passed" if result.passed else _STATES[result.check.level]


def _facts(facts: dict[str, str]) -> str:
    return "<dl>" + "".join(f"<dt>{escape(name)}<dd>{escape(text)}" for name, text in facts.items()) + "</dl>"


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are HTML."""
    head = "".join(f"<th>{title}" for title in titles)
    body = "".join("<tr>" + "".join(f"<td>{cell}" for cell in row) for row in rows)
    return f'<div class="scrolls"><table><thead><tr>{head}<tbody>{body}</table></div>'
