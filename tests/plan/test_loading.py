"""When an adapter sleeps, and what wakes it."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from tests.plan.fleet import adapter_files, adapter_version, base_files, base_model, endpoint, lora_adapter, standing
from tests.plan.gateways import Gateway
from tests.plan.simulation import Cluster
from tunefleet.api.lora_adapter import LoRAAdapter
from tunefleet.plan.demand import AdapterDemand, DemandReport
from tunefleet.plan.facts import Facts, Key, ObjectRef
from tunefleet.plan.loading import Sleep, sleep
from tunefleet.plan.times import rfc3339

IDLE = 600
REF = ObjectRef("LoRAAdapter", "ml", "german")


@dataclass
class Telling(Gateway):
    """A gateway that tells what the test says."""

    since: str = ""
    demand: list[AdapterDemand] = field(default_factory=list)

    def report(self) -> DemandReport:
        return replace_report(super().report(), self)


def replace_report(report: DemandReport, gateway: Telling) -> DemandReport:
    return report.model_copy(update={"since": gateway.since, "adapters": tuple(gateway.demand)})


@pytest.fixture
def cluster() -> Cluster:
    """A sleeper, one that stays awake, and two gateways since the beginning."""
    return fleet()


def fleet(**spec: Any) -> Cluster:
    files = {f"s3://adapters/{name}/{n}": adapter_files(f"{name} {n}") for name in ("german", "pirate") for n in (1, 2)}
    cluster = Cluster(files={"s3://models/tiny/1": base_files("base 1"), **files})
    cluster.gateways = {Key("tunefleet-system", f"g{n}"): Telling(since=rfc3339(cluster.now)) for n in range(2)}
    versions = [adapter_version("german", n) for n in (1, 2)]
    loading = {"minReplicas": 0, "idleSeconds": IDLE}
    cluster.add(
        base_model(), lora_adapter("german", versions, loading=loading), lora_adapter("pirate"), endpoint(**spec)
    )
    cluster.settle()
    return cluster


def ask(cluster: Cluster, *, waiting: int = 0, in_flight: int = 0, gateway: int = 0) -> None:
    """A request now, at one of the gateways."""
    telling = cluster.gateways[Key("tunefleet-system", f"g{gateway}")]
    assert isinstance(telling, Telling)
    now = rfc3339(cluster.now)
    telling.demand = [
        AdapterDemand(namespace="ml", name="german", waiting=waiting, in_flight=in_flight, last_asked=now)
    ]


def pass_time(cluster: Cluster, seconds: float) -> None:
    cluster.now += timedelta(seconds=seconds)
    cluster.settle()


def engine_name(adapter: LoRAAdapter) -> str:
    return adapter.status.traffic[0].engine_name


def test_it_is_loaded_and_verified_once_before_it_sleeps(cluster: Cluster) -> None:
    german = cluster.adapter("german")
    assert standing(german.status.conditions) == {"Ready": ("True", "Serving")}
    assert cluster.holders(engine_name(german))
    assert cluster.plan(REF).requeue_after == IDLE


def test_it_sleeps_when_nobody_asked_for_it_and_its_neighbour_does_not(cluster: Cluster) -> None:
    name = engine_name(cluster.adapter("german"))
    pass_time(cluster, IDLE - 1)
    assert cluster.holders(name)
    pass_time(cluster, 1)
    german = cluster.adapter("german")
    assert standing(german.status.conditions) == {"Ready": ("True", "ScaledToZero")}
    assert german.status.asleep_since == rfc3339(cluster.now)
    assert german.status.conditions[0].message == (
        f"asleep since {rfc3339(cluster.now)}: nobody asked for it for {IDLE} s; a request loads it"
    )
    assert (german.status.loaded.ready, german.status.loaded.desired) == (0, 0)
    assert engine_name(german) == name, "gateways know the model, and hold requests for it"
    assert not any(name in process.states for process in cluster.processes.values())
    assert cluster.holders(engine_name(cluster.adapter("pirate")))
    assert all(cluster.plan(ref).empty for ref in cluster.refs())


@pytest.mark.parametrize("gateway", [0, 1])
def test_a_request_wakes_it(cluster: Cluster, gateway: int) -> None:
    pass_time(cluster, IDLE)
    cluster.now += timedelta(seconds=60)
    ask(cluster, waiting=1, gateway=gateway)
    cluster.settle()
    german = cluster.adapter("german")
    assert german.status.asleep_since is None
    assert standing(german.status.conditions) == {"Ready": ("True", "Serving")}
    assert cluster.holders(engine_name(german))
    ask(cluster, gateway=gateway)
    pass_time(cluster, IDLE - 1)
    assert cluster.holders(engine_name(german))
    pass_time(cluster, 1)
    assert cluster.adapter("german").status.asleep_since == rfc3339(cluster.now)


def test_a_request_whose_client_left_already_wakes_it_too(cluster: Cluster) -> None:
    pass_time(cluster, IDLE)
    cluster.now += timedelta(seconds=1)
    ask(cluster)
    cluster.settle()
    assert cluster.adapter("german").status.asleep_since is None


def test_a_long_answer_keeps_it_awake(cluster: Cluster) -> None:
    ask(cluster, in_flight=1)
    pass_time(cluster, 3 * IDLE)
    assert cluster.adapter("german").status.asleep_since is None


def test_any_gateway_that_was_asked_keeps_it_awake(cluster: Cluster) -> None:
    cluster.now += timedelta(seconds=IDLE - 1)
    ask(cluster, gateway=1)
    pass_time(cluster, 2)
    assert cluster.adapter("german").status.asleep_since is None


def decided(cluster: Cluster, facts: Facts) -> Sleep:
    return sleep(facts, cluster.adapter("german"), cluster.now)


def test_what_nobody_knows_puts_nothing_to_sleep(cluster: Cluster) -> None:
    cluster.now += timedelta(seconds=2 * IDLE)
    facts = cluster.facts()
    assert decided(cluster, facts).since is not None
    assert decided(cluster, replace(facts, gateways={})) == Sleep(), "no gateway at all"
    silent = {**facts.gateways, Key("tunefleet-system", "new"): None}
    assert decided(cluster, replace(facts, gateways=silent)) == Sleep(), "one has not told yet"
    young = {**facts.gateways, Key("tunefleet-system", "new"): DemandReport(etag="b-1", since=rfc3339(cluster.now))}
    assert decided(cluster, replace(facts, gateways=young)) == Sleep(earliest=IDLE), "one knows nothing of before"
    older = {**facts.gateways, Key("tunefleet-system", "old"): DemandReport(etag="b-1")}
    assert decided(cluster, replace(facts, gateways=older)) == Sleep(), "one does not say since when it counts"


def test_what_nobody_knows_wakes_nothing(cluster: Cluster) -> None:
    pass_time(cluster, IDLE)
    since = cluster.adapter("german").status.asleep_since
    facts = replace(cluster.facts(), gateways={})
    assert decided(cluster, facts) == Sleep(since)


def test_a_promotion_wakes_it_and_the_new_version_sleeps_after_it_was_verified(cluster: Cluster) -> None:
    pass_time(cluster, IDLE)
    cluster.activate("german", 2)
    cluster.settle()
    german = cluster.adapter("german")
    assert (german.status.serving_version, german.status.asleep_since) == (2, None)
    assert cluster.holders(engine_name(german))
    pass_time(cluster, IDLE)
    german = cluster.adapter("german")
    assert german.status.serving_version == 2
    assert standing(german.status.conditions) == {"Ready": ("True", "ScaledToZero")}
    assert engine_name(german).startswith("german@v2-")


def test_a_version_that_is_refused_wakes_nothing(cluster: Cluster) -> None:
    pass_time(cluster, IDLE)
    german = cluster.adapter("german")
    versions = [adapter_version("german", n) for n in (1, 2, 3)]
    latest = lora_adapter("german", versions, active=3, loading=german.spec.loading.dump())
    cluster.add(latest)
    cluster.settle()
    assert standing(cluster.adapter("german").status.conditions) == {
        "Ready": ("True", "ScaledToZero"),
        "Stalled": ("True", "SourceNotFound"),
    }


def test_min_replicas_wake_it(cluster: Cluster) -> None:
    pass_time(cluster, IDLE)
    german = cluster.adapter("german")
    spec = german.spec.model_copy(update={"loading": german.spec.loading.model_copy(update={"min_replicas": 1})})
    cluster.add(german.model_copy(update={"spec": spec}))
    cluster.settle()
    german = cluster.adapter("german")
    assert german.status.asleep_since is None
    assert cluster.holders(engine_name(german))


def test_it_sleeps_on_while_its_endpoint_has_no_pods(cluster: Cluster) -> None:
    pass_time(cluster, IDLE)
    cluster.scale(0)
    cluster.settle()
    assert standing(cluster.adapter("german").status.conditions) == {"Ready": ("True", "ScaledToZero")}


def test_the_base_version_of_a_sleeper_stays_for_when_it_wakes() -> None:
    cluster = fleet(rollout={"allowOrphans": True, "keepWarm": 60})
    cluster.files["s3://models/tiny/2"] = base_files("base 2")
    cluster.add(base_model(versions=(1, 2)))
    del cluster.adapters[Key("ml", "pirate")]
    pass_time(cluster, IDLE)
    cluster.serve_base(2)
    cluster.settle_for(200)
    assert {r.base_model_version: r.state for r in cluster.endpoint().status.revisions} == {1: "Warm", 2: "Serving"}
    ask(cluster, waiting=1)
    cluster.settle()
    assert cluster.holders(engine_name(cluster.adapter("german")))


def test_a_sleeper_leaves_its_slot_to_others_and_gets_one_again() -> None:
    cluster = fleet(adapters={"slots": 2})
    assert standing(cluster.adapter("german").status.conditions) == {"Ready": ("True", "Serving")}
    assert standing(cluster.adapter("pirate").status.conditions)["Stalled"] == ("True", "NoFreeSlot")
    pass_time(cluster, IDLE)
    assert standing(cluster.adapter("pirate").status.conditions) == {"Ready": ("True", "Serving")}
    ask(cluster, waiting=1)
    cluster.settle()
    german = cluster.adapter("german")
    assert cluster.holders(engine_name(german)), "nobody asks for the other one"
