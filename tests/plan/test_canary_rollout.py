"""A canary as a user meets it: status, conditions, history and Events of a LoRAAdapter."""

from typing import Any

import pytest

from tests.plan.fleet import (
    adapter_files,
    adapter_version,
    base_files,
    base_model,
    digest,
    endpoint,
    lora_adapter,
    standing,
)
from tests.plan.simulation import Cluster
from tunefleet.api.lora_adapter import LoRAAdapterStatus
from tunefleet.engine.adapters_api import AdapterState
from tunefleet.plan.demand import LONG_POLL_SECONDS
from tunefleet.plan.facts import ObjectRef

GERMAN = ObjectRef("LoRAAdapter", "ml", "german")
STEPS = [{"weight": 10, "durationSeconds": 60}, {"weight": 50, "durationSeconds": 60}]
ANALYSIS = {"minRequests": 20, "maxErrorRate": 0.05, "maxTimeToFirstTokenRatio": 1.5}


def cluster_with(replicas: int = 1, **rollout: Any) -> Cluster:
    """Version 1 serves, 2 to 4 wait."""
    files = {f"s3://adapters/german/{n}": adapter_files(f"german {n}") for n in (1, 2, 3, 4)}
    cluster = Cluster(files={"s3://models/tiny/1": base_files("base 1"), **files})
    versions = [adapter_version("german", n) for n in (1, 2, 3, 4)]
    cluster.add(base_model(), lora_adapter("german", versions, rollout={"steps": STEPS, **rollout}))
    cluster.add(endpoint(replicas=replicas))
    cluster.settle()
    return cluster


def status(cluster: Cluster) -> LoRAAdapterStatus:
    return cluster.adapter("german").status


def weights(cluster: Cluster) -> dict[int, int]:
    return {share.version: share.weight for share in status(cluster).traffic}


def history(cluster: Cluster) -> list[tuple[int | None, int, str]]:
    return [(t.from_version, t.to_version, t.cause.partition(":")[0]) for t in status(cluster).history]


def messages(cluster: Cluster, reason: str) -> list[str]:
    return [e.message for e in cluster.events if e.ref == GERMAN and e.reason == reason]


def test_going_back_takes_no_steps_and_going_up_again_does() -> None:
    cluster = cluster_with()
    cluster.set_rollout("german", skipStepsFor=2)
    cluster.activate("german", 2)
    cluster.settle()
    assert weights(cluster) == {2: 100}
    cluster.activate("german", 1)
    cluster.settle()
    assert weights(cluster) == {1: 100}
    cluster.set_rollout("german", skipStepsFor=None)
    cluster.activate("german", 2)
    cluster.settle()
    assert weights(cluster) == {1: 90, 2: 10}


def test_the_first_version_takes_no_steps() -> None:
    cluster = cluster_with()
    assert weights(cluster) == {1: 100}
    assert history(cluster) == [(None, 1, "Promoted")]


def test_a_good_version_is_promoted_in_steps() -> None:
    cluster = cluster_with(analysis=ANALYSIS)
    cluster.activate("german", 2)
    cluster.settle()
    assert (weights(cluster), status(cluster).serving_version) == ({1: 90, 2: 10}, 1)
    assert standing(status(cluster).conditions) == {"Ready": ("Unknown", "Canary"), "Reconciling": ("True", "Canary")}
    cluster.ask("german", 400)
    cluster.settle_for(60)
    assert weights(cluster) == {1: 50, 2: 50}
    cluster.ask("german", 400)
    cluster.settle_for(60)
    assert (weights(cluster), status(cluster).canary) == ({2: 100}, None)
    assert standing(status(cluster).conditions) == {"Ready": ("True", "Serving")}
    assert history(cluster) == [(None, 1, "Promoted"), (1, 2, "Promoted")]
    told = messages(cluster, "Canary")
    assert [text.partition(" (")[0].partition(" since")[0] for text in told] == [
        "version 2 gets 10 %",
        "step 1 is over",
        "step 2 is over",
    ]
    assert "(80 requests, 0 errors, median time to first token" in told[1]


def test_a_version_that_fails_is_taken_back() -> None:
    cluster = cluster_with(analysis=ANALYSIS)
    cluster.failing = {digest("german 2")}
    cluster.activate("german", 2)
    cluster.settle()
    cluster.ask("german", 200)
    cluster.settle()
    assert (weights(cluster), status(cluster).serving_version) == ({1: 100}, 1)
    assert standing(status(cluster).conditions) == {
        "Ready": ("True", "Serving"),
        "Stalled": ("True", "CanaryWorse"),
        "RolledBack": ("True", "CanaryWorse"),
    }
    assert history(cluster)[-1] == (2, 1, "CanaryWorse")
    (told,) = [e for e in cluster.events if e.reason == "CanaryWorse"]
    assert told.type == "Warning"
    assert "40 of 40 requests failed" in told.message
    assert "Set activeVersion to 1" in told.message
    cluster.settle_for(4000)
    assert weights(cluster) == {1: 100}, "it stays so"


def test_a_slow_version_is_taken_back() -> None:
    cluster = cluster_with(analysis=ANALYSIS)
    cluster.slow = {digest("german 2")}
    cluster.activate("german", 2)
    cluster.settle()
    cluster.ask("german", 400)
    cluster.settle_for(60)
    assert history(cluster)[-1] == (2, 1, "CanaryWorse")
    assert "maxTimeToFirstTokenRatio is 1.5" in status(cluster).history[-1].cause


@pytest.mark.parametrize("version", [1, 3])
def test_a_version_that_was_taken_back_is_forgotten_with_another_active_one(version: int) -> None:
    cluster = cluster_with(analysis=ANALYSIS)
    cluster.failing = {digest("german 2")}
    cluster.activate("german", 2)
    cluster.settle()
    cluster.ask("german", 200)
    cluster.settle()
    cluster.activate("german", version)
    cluster.settle()
    assert "RolledBack" not in standing(status(cluster).conditions)
    assert weights(cluster) == ({1: 100} if version == 1 else {1: 90, 3: 10})


def test_what_was_taken_back_can_be_had_all_the_same() -> None:
    cluster = cluster_with(analysis=ANALYSIS)
    cluster.failing = {digest("german 2")}
    cluster.activate("german", 2)
    cluster.settle()
    cluster.ask("german", 200)
    cluster.settle()
    cluster.set_rollout("german", skipStepsFor=2)
    cluster.settle()
    assert weights(cluster) == {2: 100}
    assert standing(status(cluster).conditions) == {"Ready": ("True", "Serving")}


def test_an_abort_is_told_and_the_version_stays_loaded_while_gateways_may_still_send() -> None:
    cluster = cluster_with()
    cluster.activate("german", 2)
    cluster.settle()
    (name,) = [t.engine_name for t in status(cluster).traffic if t.version == 2]
    cluster.activate("german", 1)
    cluster.settle()
    assert (weights(cluster), history(cluster)[-1]) == ({1: 100}, (2, 1, "CanaryAborted"))
    assert cluster.holders(name)
    cluster.settle_for(60)
    assert not cluster.holders(name), "a canary is no former version to keep warm"
    assert messages(cluster, "Canary")[-1] == "version 2 left at 10 %, because activeVersion went back"


def test_going_back_to_a_former_version_takes_no_steps() -> None:
    cluster = cluster_with()
    cluster.activate("german", 2)
    cluster.settle_for(200)
    assert weights(cluster) == {2: 100}
    cluster.activate("german", 3)
    cluster.settle()
    assert weights(cluster) == {2: 90, 3: 10}
    cluster.activate("german", 1)
    cluster.settle()
    assert weights(cluster) == {1: 100}
    assert history(cluster)[-2:] == [(3, 2, "CanarySuperseded"), (2, 1, "RolledBack")]


def test_it_begins_when_every_engine_holds_it() -> None:
    cluster = cluster_with(replicas=2)
    cluster.activate("german", 2)
    cluster.reconcile()
    slow = cluster.processes[cluster.engine_pods()[1]]
    cluster.advance()
    (name,) = [name for name in slow.states if name.startswith("german@v2-")]
    slow.states[name] = AdapterState.FETCHING
    cluster.execute(cluster.plan(GERMAN))
    assert weights(cluster) == {1: 100}
    slow.states[name] = AdapterState.LOADED
    cluster.execute(cluster.plan(GERMAN))
    assert weights(cluster) == {1: 90, 2: 10}


def test_a_canary_without_pods_waits() -> None:
    cluster = cluster_with()
    cluster.activate("german", 2)
    cluster.settle()
    (process,) = cluster.processes.values()
    (name,) = [name for name in process.states if name.startswith("german@v2-")]
    process.states[name] = AdapterState.FETCHING
    cluster.execute(cluster.plan(GERMAN))
    assert weights(cluster) == {1: 100}
    assert standing(status(cluster).conditions)["Reconciling"] == ("True", "Loading")
    cluster.settle()
    assert weights(cluster) == {1: 90, 2: 10}
    assert history(cluster) == [(None, 1, "Promoted")]


def test_an_outage_of_the_serving_version_promotes_nothing() -> None:
    cluster = cluster_with()
    cluster.activate("german", 2)
    cluster.settle()
    (process,) = cluster.processes.values()
    (name,) = [name for name in process.states if name.startswith("german@v1-")]
    process.states[name] = AdapterState.FAILED
    cluster.execute(cluster.plan(GERMAN))
    assert (weights(cluster), status(cluster).serving_version) == ({1: 90, 2: 10}, 1)


def test_a_new_leader_writes_nothing_before_it_has_heard() -> None:
    cluster = cluster_with(analysis=ANALYSIS)
    cluster.activate("german", 2)
    cluster.settle()
    former = status(cluster)
    cluster.deaf = True
    cluster.execute(cluster.plan(GERMAN))
    assert status(cluster).canary == former.canary
    assert status(cluster).traffic == former.traffic


def test_requests_alone_write_nothing_but_looks() -> None:
    cluster = cluster_with(analysis=ANALYSIS)
    cluster.activate("german", 2)
    cluster.settle()
    written = 0
    for _ in range(64):
        cluster.ask("german", 20)
        plan = cluster.plan(GERMAN)
        written += len(plan.statuses)
        cluster.execute(plan)
    assert written == 4, "at 20, 40, 80 and 160 or more of 256 requests"


def test_it_is_decided_again_when_a_step_ends() -> None:
    timed = cluster_with()
    timed.activate("german", 2)
    timed.settle()
    assert timed.plan(GERMAN).requeue_after == 60
    judged = cluster_with(analysis=ANALYSIS)
    judged.activate("german", 2)
    judged.settle()
    assert judged.plan(GERMAN).requeue_after == LONG_POLL_SECONDS


def test_more_than_one_endpoint_and_gateway_are_one_canary() -> None:
    cluster = cluster_with(analysis=ANALYSIS)
    cluster.add(endpoint("other"))
    cluster.failing = {digest("german 2")}
    cluster.settle()
    cluster.activate("german", 2)
    cluster.settle()
    first, *_ = cluster.gateways.values()
    cluster.ask("german", 100)
    first.restart()
    cluster.settle()
    assert status(cluster).canary is not None
    assert weights(cluster) == {1: 90, 2: 10}, "ten requests at the gateway that did not restart are too few"
    cluster.ask("german", 50)
    cluster.settle()
    assert weights(cluster) == {1: 100}
