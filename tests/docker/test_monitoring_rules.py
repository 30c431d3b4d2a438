"""The alert rules for Prometheus: each links a section of the runbook that exists, asks for series that exist, and rings when it should."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from plugins.pages.runbook import RUNBOOK, anchor_of
from roundtrip.contracts.settings import REPOSITORY
from roundtrip.monitoring.exposition import exposition
from roundtrip.serving.gateway.metrics import Metrics
from tests.plugins.a_year import the_year

RULES = REPOSITORY / "docker" / "monitoring" / "roundtrip_rules.yaml"
TRIED = RULES.with_name("roundtrip_rules_test.yaml")
PROMTOOL = shutil.which("promtool", path=f"{REPOSITORY}/.roundtrip/promtool/usr/bin") or shutil.which("promtool")

with_promtool = pytest.mark.skipif(PROMTOOL is None, reason="no promtool: `make promtool`, or install Debian's package prometheus")


def rules() -> list[dict[str, str | dict[str, str]]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def promtool(*arguments: str) -> str:
    finished = subprocess.run([str(PROMTOOL), *arguments], cwd=RULES.parent, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


@with_promtool
def test_prometheus_takes_the_rules() -> None:
    assert f"{len(rules())} rules found" in promtool("check", "rules", RULES.name)


@with_promtool
def test_each_rule_rings_when_it_should_and_not_before() -> None:
    assert "SUCCESS" in promtool("test", "rules", TRIED.name)


def test_each_rule_is_tried_both_ways() -> None:
    tests = [entry for test in yaml.safe_load(TRIED.read_text())["tests"] for entry in test["alert_rule_test"]]
    for rule in rules():
        rings = {bool(entry.get("exp_alerts")) for entry in tests if entry["alertname"] == rule["alert"]}
        assert rings >= {True} and (rings == {True, False} or rule["alert"] == "RoundtripCandidatePaused"), rule["alert"]


def test_each_rule_links_a_section_of_the_runbook() -> None:
    sections = {anchor_of(line.lstrip("# ")) for line in RUNBOOK.read_text().splitlines() if line.startswith("## ")}
    for rule in rules():
        annotations = rule["annotations"]
        assert isinstance(annotations, dict)
        begin, _, anchor = annotations["runbook_url"].partition("#")
        assert begin == "{{ $externalLabels.airflow_url }}/roundtrip/runbook" and anchor in sections, rule["alert"]


def test_the_rules_ask_for_series_that_there_are(storage_root: str, tmp_path: Path) -> None:
    known = set(re.findall(r"^# TYPE (\w+)", exposition([the_year()]).decode(), re.MULTILINE))
    known |= {sample.name for metric in Metrics().registry.collect() for sample in metric.samples}
    known |= {f"{metric.name}_total" for metric in Metrics().registry.collect() if metric.type == "counter"}
    known |= {metric.name for metric in Metrics().registry.collect()}
    asked = {name for rule in rules() for name in re.findall(r"\b(?:roundtrip|gateway)_\w+", str(rule["expr"]))}
    assert asked and asked <= known
