"""Tunefleet on the local cluster, installed once by its chart, and one endpoint that most tests share."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from dev.demo.prepare import (
    MODELS,
    SYSTEM_NAMESPACE,
    image_references,
    install,
    make_namespace,
    service_address,
    start_storage,
    upload_models,
)
from dev.demo.prepare import (
    NAMESPACE as DEMO_NAMESPACE,
)
from dev.settings import Settings
from dev.shell import Shell

from .fleet import KINDS, Fleet, adapter, base_model, endpoint

NAMESPACE = "tunefleet-e2e"
TOOL_CALLS = [
    "--enable-auto-tool-choice",
    "--tool-call-parser=xlam",
    "--structured-outputs-config.backend=xgrammar",
    "--structured-outputs-config.disable_any_whitespace=true",
]
"""Tools that are called by a model that was not trained for it: its answer is held to the tool's schema, and may not be
blanks without end."""


@pytest.fixture(scope="session")
def fleet(shell: Shell) -> Iterator[Fleet]:
    """The operator and the gateway run; the namespace holds nothing but a storage server with the models.

    Served names are unique in a cluster, so the demo's objects make room.
    """
    images = image_references()
    shell.kubectl("delete", "namespace", DEMO_NAMESPACE, "--ignore-not-found", "--wait", quiet=True)
    install(shell, images)
    make_namespace(shell, NAMESPACE)
    upload_models(start_storage(shell, images, NAMESPACE))
    expected = json.loads((MODELS / "expected.json").read_text())
    yield Fleet(shell, NAMESPACE, service_address(shell, SYSTEM_NAMESPACE, "tunefleet-gateway"), expected)
    shell.kubectl("delete", "-n", NAMESPACE, KINDS, "--all", "--wait", quiet=True)
    shell.kubectl("delete", "namespace", NAMESPACE, "--wait", quiet=True)


@pytest.fixture(autouse=True)
async def _clients_are_closed(fleet: Fleet) -> AsyncIterator[None]:
    """Clients belong to a test's event loop and end with it."""
    yield
    await fleet.close_clients()


@pytest.fixture(scope="session")
def serving(fleet: Fleet) -> Fleet:
    """tiny-chat with two versions of its base, and the adapters german (two versions), formal and pirate."""
    fleet.apply(
        base_model("tiny-chat", "s3://models/base/v1", "s3://models/base/v2"),
        endpoint(
            "tiny-chat",
            engine={"maxModelLength": 2048, "maxConcurrentRequests": 16, "extraArgs": TOOL_CALLS},
            rollout={"allowOrphans": True},  # its base moves alone, adapters stay on warm pods
        ),
        adapter("german", "s3://models/german/v1", "s3://models/german/v2"),
        adapter("formal", "s3://models/formal/v1"),
        adapter("pirate", "s3://models/pirate/v1"),
    )
    for name in ("inferenceendpoint/tiny-chat", "loraadapter/german", "loraadapter/formal", "loraadapter/pirate"):
        fleet.wait(name, "condition=Ready", 300)
    return fleet


@pytest.fixture(scope="session")
def audit_log(cluster: Settings) -> Path:
    """Every write to the API server, one JSON object a line."""
    return cluster.audit_log
