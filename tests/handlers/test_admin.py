"""The operator's own HTTP port."""

import asyncio

import pytest
from aiohttp.test_utils import TestClient, TestServer

from tunefleet.handlers.admin import application
from tunefleet.handlers.health import Health
from tunefleet.reconcile.metrics import Metrics


async def ask(health: Health, path: str) -> tuple[int, str]:
    """Status and text."""
    async with TestClient(TestServer(application(health, Metrics().registry))) as client:
        answer = await client.get(path)
        return answer.status, await answer.text()


async def test_a_healthy_process_says_so() -> None:
    assert await ask(Health(), "/healthz") == (200, "ok\n")
    assert await ask(Health(), "/readyz") == (200, "standing by\n")


async def test_a_leader_is_ready_once_everything_is_listed() -> None:
    health = Health()
    health.lead(0, lambda: 0.0)
    assert await ask(health, "/readyz") == (503, "listing\n")
    health.beat()
    assert await ask(health, "/readyz") == (200, "leading\n")


async def test_a_problem_is_told_in_words() -> None:
    health = Health()
    health.lead(5, lambda: 0.0)
    health.beat()
    assert await ask(health, "/healthz") == (503, "0 of 5 watches are alive\n")


async def test_metrics_have_no_labels_that_could_hold_a_secret() -> None:
    metrics = Metrics()
    metrics.wrote("apply", "Secret")
    metrics.finished("BaseModel", 0.1, ValueError("sk-secret"))
    metrics.gauge("queue_depth", "Keys that wait.", lambda: 3.0)
    async with TestClient(TestServer(application(Health(), metrics.registry))) as client:
        text = await (await client.get("/metrics")).text()
    assert 'tunefleet_operator_writes_total{kind="Secret",verb="apply"} 1.0' in text
    assert 'tunefleet_operator_reconciles_total{kind="BaseModel",result="ValueError"} 1.0' in text
    assert "tunefleet_operator_queue_depth 3.0" in text
    assert "sk-secret" not in text


@pytest.mark.parametrize("path", ["/", "/debug"])
async def test_there_is_nothing_else(path: str) -> None:
    assert (await ask(Health(asyncio.get_running_loop().time), path))[0] == 404
