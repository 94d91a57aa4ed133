"""The dashboard and the rules ask for metrics that there are, and Prometheus and the chart understand them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.test_keys import CHART, arguments, objects
from tests.promtool import promtool
from tunefleet.gateway.names import FAMILIES, WORKER_STARTS

MONITORING = CHART / "monitoring"
RULES = MONITORING / "rules.yaml"
DASHBOARD = MONITORING / "dashboard.json"
CASES = Path(__file__).parent / "rules_cases.yaml"
_METRIC = re.compile(r"\b(?:model:)?((?:tunefleet|gen_ai|process)_[a-z0-9_]+)(:[a-z0-9_:]+)?")
_OF_THE_CLIENT = {"process_cpu_seconds_total", "process_resident_memory_bytes"}
Json = dict[str, Any]


def known() -> set[str]:
    """Names of series that a gateway has."""
    found = set(_OF_THE_CLIENT)
    for family in (*FAMILIES, WORKER_STARTS):
        ends = ("_bucket", "_sum", "_count") if family.kind == "histogram" else ("",)
        found |= {family.name + end for end in ends}
    return found


def labels() -> set[str]:
    return {label for family in FAMILIES for label in family.labels}


def asked_for(expression: str) -> set[str]:
    """Metrics in an expression, without those that the rules record and without labels."""
    return {match[1] for match in _METRIC.finditer(expression) if not match[2]} - labels()


def rules() -> list[Json]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def test_rules_ask_for_metrics_that_there_are() -> None:
    asked = {name for rule in rules() for name in asked_for(rule["expr"])}
    assert asked
    assert asked - known() == set()


def test_rules_use_what_they_record() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    used = {match[0] for rule in rules() for match in _METRIC.finditer(rule["expr"]) if match[2]}
    assert used <= recorded


def test_alerts_say_what_to_do() -> None:
    for rule in rules():
        if "alert" in rule:
            assert rule["labels"]["severity"] in {"warning", "critical"}
            assert rule["annotations"].keys() == {"summary", "description"}


def test_the_dashboard_asks_for_metrics_that_there_are() -> None:
    board = json.loads(DASHBOARD.read_text())
    asked = {name for panel in board["panels"] for target in panel["targets"] for name in asked_for(target["expr"])}
    (variable,) = (v for v in board["templating"]["list"] if v["name"] == "model")
    assert asked_for(variable["query"]["query"]) | asked <= known()
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


@pytest.mark.cluster
def test_prometheus_takes_the_rules() -> None:
    done = promtool("check", "rules", str(RULES))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.cluster
def test_alerts_come_when_they_should(tmp_path: Path) -> None:
    cases = {**yaml.safe_load(CASES.read_text()), "rule_files": [str(RULES)]}
    path = tmp_path / "cases.yaml"
    path.write_text(yaml.safe_dump(cases))
    done = promtool("test", "rules", str(path))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.cluster
def test_prometheus_takes_every_query_of_the_dashboard(tmp_path: Path) -> None:
    expressions = [t["expr"] for panel in json.loads(DASHBOARD.read_text())["panels"] for t in panel["targets"]]
    filled = [text.replace("$__rate_interval", "5m").replace("$model", ".*") for text in expressions]
    found = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(filled)]
    path = tmp_path / "panels.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": found}]}))
    done = promtool("check", "rules", str(path))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.apiserver
def test_the_chart_makes_what_is_asked_for() -> None:
    plain = {o["kind"] for o in objects("gateway.auth=open")}
    assert not plain & {"PodMonitor", "PrometheusRule", "ConfigMap"}
    asked = ("gateway.auth=open", "monitoring.podMonitor=true", "monitoring.rules=true", "monitoring.dashboard=true")
    found = {o["kind"]: o for o in objects(*asked, "monitoring.labels.release=x")}
    assert found["PrometheusRule"]["spec"] == yaml.safe_load(RULES.read_text())
    assert found["PrometheusRule"]["metadata"]["labels"]["release"] == "x"
    (board,) = found["ConfigMap"]["data"].values()
    assert json.loads(board) == json.loads(DASHBOARD.read_text())
    assert found["PodMonitor"]["spec"]["podMetricsEndpoints"] == [{"port": "admin", "path": "/metrics"}]


@pytest.mark.apiserver
def test_the_gateway_is_told_where_lines_and_spans_go() -> None:
    assert "--audit=stdout" in arguments("gateway.auth=open")
    assert "--audit=off" in arguments("gateway.auth=open", "gateway.audit=false")  # how YAML 1.1 reads `off`
    told = arguments("gateway.auth=open", "gateway.audit=off", "gateway.otelEndpoint=http://collector:4318")
    assert {"--audit=off", "--otel-endpoint=http://collector:4318"} <= set(told)
