"""What leading starts with, and what the heartbeat tells."""

from typing import Any

import pytest

from tunefleet.handlers.health import Health
from tunefleet.handlers.leading import Events, MissingCrdsError, check_crds
from tunefleet.kube.client import ApiError
from tunefleet.kube.resources import Resource


class Kinds:
    """An API server that knows some kinds."""

    def __init__(self, *known: str) -> None:
        self._known = known

    async def list(self, resource: Resource, _namespace: str | None) -> None:
        """As Client.list does, without items."""
        if resource.plural not in self._known:
            raise ApiError(404, "NotFound", "the server could not find the requested resource")


class Controller:
    """Counts."""

    resyncs = 0

    def resync_soon(self) -> None:
        self.resyncs += 1


async def test_missing_crds_are_named_with_the_command_that_helps() -> None:
    await check_crds(Kinds("basemodels", "loraadapters", "inferenceendpoints"), ())  # type: ignore[arg-type]
    with pytest.raises(MissingCrdsError, match=r"does not know LoRAAdapter.*kubectl apply --server-side -f crds/"):
        await check_crds(Kinds("basemodels"), ("ns",))  # type: ignore[arg-type]


@pytest.mark.parametrize(("namespace", "seen"), [("system", True), ("somewhere-else", False)])
async def test_only_our_own_lease_is_our_heartbeat(namespace: str, seen: bool) -> None:
    health = Health()
    events: Any = Events(Controller(), health, "system")  # type: ignore[arg-type]
    events.lease_seen({"metadata": {"name": "tunefleet-operator", "namespace": namespace}})
    assert health.synced.is_set() == seen


async def test_the_second_list_of_leases_means_that_events_were_lost() -> None:
    controller = Controller()
    events = Events(controller, Health(), "system")  # type: ignore[arg-type]
    events.lease_listed()
    assert controller.resyncs == 0
    events.lease_listed()
    assert controller.resyncs == 1
