"""A version that waits for a slot says for whose, and whether waiting helps."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.plan.fleet import adapter_files, adapter_version, base_files, base_model, endpoint, lora_adapter, standing
from tests.plan.simulation import Cluster
from tunefleet.api.conditions import Reason
from tunefleet.build.decide import decide
from tunefleet.engine.adapters_api import AdapterReport, AdaptersReport, AdapterState
from tunefleet.plan.facts import Key, ObjectRef
from tunefleet.plan.holdings import LEAVING_SECONDS

GERMAN = ObjectRef("LoRAAdapter", "ml", "german")


@pytest.fixture
def cluster() -> Cluster:
    """Three generations of one adapter, and an engine that takes two adapters (and keeps one slot empty, on CPU)."""
    files = {f"s3://adapters/german/{n}": adapter_files(f"german {n}") for n in (1, 2, 3)}
    cluster = Cluster(files={"s3://models/tiny/1": base_files("base 1"), **files})
    versions = [adapter_version("german", n) for n in (1, 2, 3)]
    cluster.add(base_model(), lora_adapter("german", versions), endpoint(adapters={"slots": 3}))
    cluster.settle()
    return cluster


def said(cluster: Cluster) -> str:
    return cluster.adapter("german").status.conditions[0].message


def loaded(cluster: Cluster) -> list[str]:
    (process,) = cluster.processes.values()
    return sorted(name[:9] for name in process.states)


def test_a_third_generation_waits_while_requests_may_still_come_for_the_first(cluster: Cluster) -> None:
    cluster.activate("german", 2)
    cluster.settle()
    cluster.activate("german", 3)
    cluster.settle()
    assert loaded(cluster) == ["german@v1", "german@v2"]
    status = cluster.adapter("german").status
    assert status.serving_version == 2
    assert standing(status.conditions) == {"Ready": ("Unknown", "Loading"), "Reconciling": ("True", "Loading")}
    assert said(cluster).startswith("version 3 waits for a slot until german@v1-")
    assert said(cluster).endswith(" may go")


def test_then_it_takes_the_slot_of_the_warm_one(cluster: Cluster) -> None:
    cluster.activate("german", 2)
    cluster.settle()
    cluster.activate("german", 3)
    cluster.settle_for(2 * LEAVING_SECONDS + 10)
    assert cluster.adapter("german").status.serving_version == 3
    assert loaded(cluster) == ["german@v2", "german@v3"]
    assert standing(cluster.adapter("german").status.conditions) == {"Ready": ("True", "Serving")}


def test_streams_of_the_first_keep_its_slot_and_the_third_says_so(cluster: Cluster) -> None:
    cluster.activate("german", 2)
    cluster.settle()
    cluster.now += timedelta(seconds=LEAVING_SECONDS + 1)
    cluster.activate("german", 3)
    facts = cluster.facts()
    ((pod, report),) = facts.reports.items()
    reports = {pod: draining(cluster, report)}
    plan = decide(replace(facts, reports=reports), GERMAN, cluster.now)
    (patch,) = plan.statuses
    ready = patch.status["conditions"][0]
    assert (ready["status"], ready["reason"]) == ("Unknown", "Loading")
    assert ready["message"].startswith(f"version 3 waits for a slot on pod {pod.name} until requests of german@v1-")
    assert patch.status["servingVersion"] == 2


def draining(cluster: Cluster, report: AdaptersReport) -> AdaptersReport:
    """The agent was told to hold versions 2 and 3, and requests still use version 1."""
    first, second = report.adapters
    (third,) = (
        d
        for held in decide(
            cluster.facts(), ObjectRef("InferenceEndpoint", "ml", "chat"), cluster.now
        ).assignments.values()
        for d in held
        if d.engine_name.startswith("german@v3-")
    )
    waits = AdapterReport(
        engine_name=third.engine_name,
        uri=third.uri,
        digest=third.digest,
        state=AdapterState.FAILED,
        reason=Reason.NO_FREE_SLOT,
    )
    going = first.model_copy(update={"state": AdapterState.DRAINING})
    return report.model_copy(update={"adapters": (second, waits, going)})


def test_the_serving_version_and_the_latest_share_two_slots_with_nobody_leaving(cluster: Cluster) -> None:
    """keepWarm gives way to what shall answer."""
    cluster.activate("german", 2)
    cluster.settle_for(LEAVING_SECONDS + 10)
    assert loaded(cluster) == ["german@v1", "german@v2"]
    cluster.activate("german", 3)
    cluster.settle()
    assert cluster.adapter("german").status.serving_version == 3
    assert "german@v1" not in loaded(cluster)


def test_a_leader_that_has_heard_nobody_keeps_the_verdict(cluster: Cluster) -> None:
    files = {"s3://adapters/late/1": adapter_files("late 1"), "s3://adapters/later/1": adapter_files("later 1")}
    cluster.files |= files
    cluster.add(lora_adapter("late"), lora_adapter("later"))
    cluster.settle()
    late = standing(cluster.adapter("later").status.conditions)
    assert late["Stalled"] == ("True", "NoFreeSlot")
    cluster.deaf = True
    assert cluster.plan(ObjectRef("LoRAAdapter", *Key("ml", "later"))).empty
