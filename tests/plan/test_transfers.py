"""How far transfers are reaches the conditions of who waits for them."""

from dataclasses import dataclass, field

from tests.plan.fleet import adapter_files, base_files, base_model, condition, endpoint, lora_adapter
from tests.plan.simulation import Cluster
from tunefleet.api.conditions import Reason
from tunefleet.engine.adapters_api import AdaptersReport, AdapterState
from tunefleet.plan.facts import Key


@dataclass
class SlowCluster(Cluster):
    """Transfers stand still at a percentage."""

    percent: int | None = None
    adapter_percents: list[int] = field(default_factory=list)
    reason: Reason | None = None

    def report(self, key: Key) -> AdaptersReport | None:
        told = super().report(key)
        if told is None:
            return None
        if self.percent is not None:
            return told.model_copy(
                update={"engine": told.engine.model_copy(update={"ready": False, "fetched": self.percent})}
            )
        number = sorted(self.processes).index(key)
        adapters = tuple(a.model_copy(update=self._change(number)) for a in told.adapters)
        return told.model_copy(update={"adapters": adapters})

    def _change(self, number: int) -> dict[str, object]:
        if self.reason:
            return {"state": AdapterState.FAILED, "reason": self.reason, "message": "it is so"}
        if self.adapter_percents:
            return {"state": AdapterState.FETCHING, "progress": self.adapter_percents[number]}
        return {}


def fleet(**slow: object) -> SlowCluster:
    files = {"s3://models/tiny/1": base_files("base"), "s3://adapters/german/1": adapter_files("one")}
    cluster = SlowCluster(files=files, **slow)  # type: ignore[arg-type]
    cluster.add(base_model(), lora_adapter("german"), endpoint(replicas=2))
    for _ in range(12):
        cluster.reconcile()
        cluster.advance()
    return cluster


def test_the_endpoint_says_how_much_of_the_base_is_there() -> None:
    ready = condition(fleet(percent=45).endpoint().status.conditions, "Ready")
    assert ready is not None
    assert "45 % of the base fetched" in ready.message


def test_an_adapter_says_how_far_the_slowest_pod_is() -> None:
    cluster = fleet()
    cluster.adapter_percents = [70, 40]
    cluster.reconcile()
    ready = condition(cluster.adapter("german").status.conditions, "Ready")
    assert ready is not None
    assert "on 0 of 2 engine pods, 40 % fetched" in ready.message


def test_wrong_weights_are_nothing_that_a_retry_mends() -> None:
    for reason in (Reason.WRONG_WEIGHTS, Reason.NO_EFFECT, Reason.DISK_FULL):
        stalled = condition(fleet(reason=reason).adapter("german").status.conditions, "Stalled")
        assert stalled is not None
        assert stalled.reason == reason
