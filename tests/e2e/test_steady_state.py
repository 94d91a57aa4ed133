"""With nothing changing the operator writes nothing but its Lease, by the API server's own audit log."""

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .fleet import Fleet, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SECONDS = 120
RESTING = {"Serving", "Warm"}
"""States of revisions that nothing is going to happen to."""
OPERATOR = "system:serviceaccount:tunefleet-system:tunefleet-operator"
WRITES = {"create", "update", "patch", "delete", "deletecollection"}


def _writes(log: Path, offset: int) -> Iterator[dict[str, Any]]:
    with log.open() as lines:
        lines.seek(offset)
        for line in lines:
            event = json.loads(line)
            if event["user"]["username"] == OPERATOR and event["verb"] in WRITES:
                yield event


def _what(event: dict[str, Any]) -> str:
    about = event["objectRef"]
    return f"{event['verb']} {about['resource']}/{about.get('subresource', '')} {about.get('name', '')}"


def _rests(fleet: Fleet) -> bool:
    """What tests before this one changed has come to rest: old revisions drain for a while before they go."""
    endpoint = fleet.get("inferenceendpoint/tiny-chat")
    seen = endpoint["status"]["observedGeneration"] == endpoint["metadata"]["generation"]
    return seen and {revision["state"] for revision in endpoint["status"]["revisions"]} <= RESTING


async def test_a_steady_fleet_sees_no_write_but_the_lease(serving: Fleet, audit_log: Path) -> None:
    serving.patch("inferenceendpoint/tiny-chat", {"rollout": {"keepWarm": 10 * SECONDS}})  # what is Warm stays so
    for name in ("inferenceendpoint/tiny-chat", "loraadapter/german"):
        await asyncio.to_thread(serving.wait, name, "condition=Ready")
    await asyncio.to_thread(until, lambda: _rests(serving), "no revision drains", 100)
    offset = await asyncio.to_thread(os.path.getsize, audit_log)
    await asyncio.sleep(SECONDS)  # the behaviour is the absence of writes over a time, so time has to pass
    writes = [_what(event) for event in _writes(audit_log, offset)]
    renewals = [w for w in writes if w.endswith("leases/ tunefleet-operator")]
    assert renewals, "the audit log shows no renewal of the Lease: it does not see this operator's writes"
    assert [w for w in writes if w not in renewals] == []
