"""The monitoring that ships asks only for what the service tells, and all of it is documented."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from detect_api.core.metrics import Metrics
from detect_api.core.worker_metrics import WorkerMetrics

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "deploy" / "monitoring"
OPERATIONS = (ROOT / "docs" / "OPERATIONS.md").read_text()


def told() -> set[str]:
    """Every name of a metric, as documented: counters with their ``_total``."""
    registries: list[CollectorRegistry] = [Metrics().registry, WorkerMetrics().registry]
    return {
        metric.name + ("_total" if metric.type == "counter" else "")
        for registry in registries
        for metric in registry.collect()
    }


def alerts() -> list[dict[str, Any]]:
    rules: dict[str, Any] = yaml.safe_load((MONITORING / "alerts.yaml").read_text())
    return [rule for group in rules["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((MONITORING / "grafana-dashboard.json").read_text())
    return loaded


def asked(expression: str) -> set[str]:
    names = set(re.findall(r"\bdetect_api_\w+", expression))
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_what_is_told_and_has_a_page_in_the_runbook(rule: dict[str, Any]) -> None:
    assert asked(rule["expr"]) <= told()
    assert f"### {rule['alert']}\n" in OPERATIONS
    assert rule["annotations"]["summary"]


def test_every_panel_asks_for_what_is_told() -> None:
    expressions = [t["expr"] for p in dashboard()["panels"] for t in p["targets"]]
    assert expressions
    for expression in expressions:
        assert asked(expression), expression
        assert asked(expression) <= told(), expression


def test_every_metric_is_on_the_dashboard_or_in_an_alert_and_documented() -> None:
    shown = {n for p in dashboard()["panels"] for t in p["targets"] for n in asked(t["expr"])}
    shown |= {name for rule in alerts() for name in asked(rule["expr"])}
    assert told() <= shown
    assert {name for name in told() if f"`{name}`" not in OPERATIONS} == set()
