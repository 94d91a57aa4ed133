"""The fleet's keys, against a real API server."""

import asyncio
import base64
import json

import pytest

from dev.shell import Shell
from tunefleet.kube.client import Client
from tunefleet.kube.fence import Unfenced
from tunefleet.kube.writer import Writer
from tunefleet.reconcile.fleet_keys import FleetKeysError, ensure_fleet_keys, read_keys


@pytest.mark.apiserver
async def test_keys_are_made_once_and_kept(api: Client, kubectl: Shell, namespace: str) -> None:
    first = await ensure_fleet_keys(Writer(api, Unfenced()), namespace)
    again = await ensure_fleet_keys(Writer(api, Unfenced()), namespace)
    assert first == again
    assert first.operator != first.gateway
    stored = json.loads(kubectl.kubectl("get", "secret", "tunefleet-fleet", "-n", namespace, "-o", "json"))["data"]
    assert base64.b64decode(stored["gatewayKey"]) == first.gateway
    assert base64.b64decode(stored["operatorKey"]) == first.operator


@pytest.mark.apiserver
async def test_processes_that_start_together_agree(api: Client, namespace: str) -> None:
    found = await asyncio.gather(*(ensure_fleet_keys(Writer(api, Unfenced()), namespace) for _ in range(4)))
    assert len(set(found)) == 1


@pytest.mark.parametrize("data", [{}, {"operatorKey": "c2hvcnQ=", "gatewayKey": "c2hvcnQ="}, {"operatorKey": "!"}])
def test_a_secret_without_usable_keys_is_refused_with_advice(data: dict[str, str]) -> None:
    with pytest.raises(FleetKeysError, match="delete it to have new ones made"):
        read_keys({"data": data})
