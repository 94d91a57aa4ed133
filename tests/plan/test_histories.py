"""Random histories: users patch, pods die, files appear, the operator is killed between any two writes.

Whatever happened, it converges within bounded rounds to one steady state in which nothing is planned; and on the way
no plan acts twice on one object, touches what is not ours, or sends traffic where nobody answers.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.plan.fleet import adapter_files, adapter_version, base_files, base_model, endpoint, lora_adapter
from tests.plan.simulation import Cluster
from tunefleet.api.lora_adapter import LoRAAdapter
from tunefleet.api.names import MANAGED_BY, MANAGER
from tunefleet.build.decide import decide
from tunefleet.plan.facts import Facts, ObjectRef
from tunefleet.plan.holdings import target_name
from tunefleet.plan.plan import Plan

pytestmark = pytest.mark.timeout(400)

NAMES = ("german", "pirate")
FOREIGN = ObjectRef("Deployment", "ml", "somebody-elses")

PEACEFUL = st.one_of(
    st.tuples(st.just("activate"), st.sampled_from(NAMES), st.integers(1, 4)),
    st.tuples(st.just("base"), st.integers(1, 2)),
    st.tuples(st.just("scale"), st.integers(1, 3)),
    st.tuples(st.just("reconcile"), st.integers(0, 2)),
    st.tuples(st.just("advance"), st.integers(1, 12), st.integers(0, 9)),
    st.tuples(st.just("run"), st.integers(1, 8)),
    st.tuples(st.just("live"), st.sampled_from((40, 400))),
    st.tuples(st.just("wait"), st.sampled_from((1, 29, 61, 400))),
    st.tuples(st.just("crash"), st.integers(0, 2), st.integers(0, 6)),
    st.tuples(st.just("hear"), st.booleans()),
)
VIOLENT = st.one_of(
    PEACEFUL,
    st.tuples(st.just("scale"), st.just(0)),
    st.tuples(st.just("kill"), st.integers(0, 5)),
    st.tuples(st.just("forget_status"), st.integers(0, 3)),
    st.tuples(st.just("delete_child"), st.integers(0, 9)),
)


def fleet() -> Cluster:
    """Two base versions; adapters with versions for both, one missing its files, one that engines refuse."""
    cluster = Cluster()
    cluster.files = {f"s3://models/tiny/{n}": base_files(f"base {n}") for n in (1, 2)}
    for name in NAMES:
        for number in (1, 2, 4):
            cluster.files[f"s3://adapters/{name}/{number}"] = adapter_files(f"{name} {number}", rank=8 * number)
    pinned = {1: 1, 2: 1, 3: 1, 4: 2}
    for name in NAMES:
        cluster.add(lora_adapter(name, [adapter_version(name, n, base) for n, base in pinned.items()]))
    cluster.add(base_model(versions=(1, 2)), endpoint())
    cluster.children[FOREIGN] = {
        "kind": "Deployment",
        "metadata": {"name": FOREIGN.name, "namespace": "ml", "uid": "foreign", "labels": {MANAGED_BY: MANAGER}},
        "spec": {"replicas": 0},
    }
    return cluster


class Operator:
    """Takes the steps of a history and looks at every plan."""

    def __init__(self, cluster: Cluster, watch: Callable[[Cluster], None] = lambda _: None) -> None:
        """`watch` looks at the cluster after every single plan and move."""
        self.cluster = cluster
        self.watch = watch

    def take(self, step: tuple[Any, ...]) -> None:
        """One step."""
        name, *arguments = step
        getattr(self, name)(*arguments)

    def activate(self, name: str, version: int) -> None:
        self.cluster.activate(name, version)

    def base(self, version: int) -> None:
        self.cluster.serve_base(version)

    def scale(self, replicas: int) -> None:
        self.cluster.scale(replicas)

    def reconcile(self, which: int) -> None:
        for ref in self._refs(which):
            plan = self.cluster.plan(ref)
            check(plan)
            self.cluster.execute(plan)
            self.watch(self.cluster)

    def run(self, rounds: int) -> None:
        """Operator and cluster in turn."""
        for _ in range(rounds):
            for which in range(3):
                self.reconcile(which)
            check_traffic(self.cluster)
            for move in list(self.cluster.steps()):
                move()
                self.watch(self.cluster)

    def live(self, seconds: int) -> None:
        """Let time pass with everything running."""
        for _ in range(4):
            self.run(3)
            self.wait(seconds // 4)
        self.run(3)

    def crash(self, which: int, writes: int) -> None:
        for ref in self._refs(which):
            plan = self.cluster.plan(ref)
            check(plan)
            if not self.cluster.execute(plan, crash_after=writes):
                return

    def advance(self, steps: int, seed: int) -> None:
        for _ in range(steps):
            moves = list(self.cluster.steps())
            random.Random(seed).choice(moves)()
            self.watch(self.cluster)
            seed += 1

    def wait(self, seconds: int) -> None:
        self.cluster.now += timedelta(seconds=seconds)

    def hear(self, agents: bool) -> None:
        """Agents report, or nothing is heard of them (a new leader, a broken network)."""
        self.cluster.deaf = not agents

    def kill(self, which: int) -> None:
        pods = self.cluster.engine_pods()
        if pods:
            self.cluster.kill_pod(pods[which % len(pods)])

    def forget_status(self, which: int) -> None:
        """Somebody wiped a status."""
        ref = self.cluster.refs()[which % len(self.cluster.refs())]
        self.cluster.forget_status(ref)

    def delete_child(self, which: int) -> None:
        """Somebody deleted something of ours."""
        ours = sorted(ref for ref in self.cluster.children if ref != FOREIGN)
        if ours:
            del self.cluster.children[ours[which % len(ours)]]

    def _refs(self, which: int) -> list[ObjectRef]:
        refs = self.cluster.refs()
        return refs[which::3] or refs


def check(plan: Plan) -> None:
    """Never two actions on one object, never on what is not ours."""
    touched = [d.ref for d in plan.delete]
    touched += [ObjectRef(m["kind"], m["metadata"]["namespace"], m["metadata"]["name"]) for m in plan.apply]
    touched += [patch.ref for patch in plan.statuses]
    assert len(touched) == len(set(touched)), touched
    assert FOREIGN not in touched


def check_traffic(cluster: Cluster) -> None:
    """Right after a round of decisions: a name that nobody answers has no active version that somebody could."""
    if cluster.deaf:
        return
    for name in NAMES:
        adapter = cluster.adapter(name)
        target = target_name(adapter)
        served = [t.engine_name for t in adapter.status.traffic]
        if target and target not in served and not any(answering(cluster, one) for one in served):
            assert not answering(cluster, target), f"{target} could answer, and {served} does not"


def answering(cluster: Cluster, engine_name: str) -> bool:
    """A ready pod of a revision that may answer holds it."""
    revisions = {r.name for r in cluster.endpoint().status.revisions if r.state in ("Serving", "Warm")}
    return any(key.name.rpartition("-")[0] in revisions for key in cluster.holders(engine_name))


def check_steady(cluster: Cluster) -> None:
    """Everything is as the specs say, or says why not, and nobody is left out who could answer."""
    for ref in cluster.refs():
        assert cluster.plan(ref).empty, cluster.plan(ref)
    for name in NAMES:
        adapter = cluster.adapter(name)
        ready = adapter.status.conditions[0]
        assert ready.type == "Ready"
        stalled = any(c.type == "Stalled" for c in adapter.status.conditions)
        if cluster.endpoint().spec.replicas == 0:
            continue
        if adapter.spec.active_version != 3 and not stalled:
            assert adapter.status.serving_version == adapter.spec.active_version
            assert ready.status == "True", ready
        if stalled:
            elsewhere = ready.reason == "BaseVersionNotServed"
            assert elsewhere or adapter.spec.active_version == 3 or _serves_another(adapter)


def _serves_another(adapter: LoRAAdapter) -> bool:
    return adapter.status.serving_version != adapter.spec.active_version


def routable(cluster: Cluster, engine_name: str) -> bool:
    """A ready pod outside draining revisions holds it."""
    draining = {r.name for r in cluster.endpoint().status.revisions if r.state == "Draining"}
    return any(not key.name.startswith(tuple(draining) or ("/",)) for key in cluster.holders(engine_name))


@given(st.lists(VIOLENT, max_size=40))
@settings(max_examples=50, deadline=None)
def test_any_history_converges(history: list[tuple[Any, ...]]) -> None:
    operator = Operator(fleet())
    for step in history:
        operator.take(step)
    operator.cluster.deaf = False
    operator.cluster.settle_for(500, step=65)
    check_steady(operator.cluster)


def watch_served(cluster: Cluster) -> None:
    """The base and every adapter have an engine that answers. Scaling down may take a pod, but never the last one."""
    serving = [r.name for r in cluster.endpoint().status.revisions if r.state == "Serving"]
    assert [name for name in serving if cluster.ready_pods(name)], "the base answers nowhere"
    for name in NAMES:
        traffic = cluster.adapter(name).status.traffic
        assert traffic, name
        assert routable(cluster, traffic[0].engine_name), f"{traffic[0].engine_name} answers nowhere"


@given(st.lists(PEACEFUL, max_size=20))
@settings(max_examples=50, deadline=None)
def test_who_is_served_stays_served(history: list[tuple[Any, ...]]) -> None:
    """No patch, rollout, roll-back, scale above zero, operator crash or passing time takes an answer away."""
    cluster = fleet()
    cluster.settle()
    operator = Operator(cluster, watch_served)
    for step in history:
        operator.take(step)
    operator.live(400)


@given(st.lists(VIOLENT, max_size=25), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_the_order_of_facts_does_not_matter(history: list[tuple[Any, ...]], shuffled: random.Random) -> None:
    cluster = fleet()
    operator = Operator(cluster)
    for step in history:
        operator.take(step)
    facts = cluster.facts()
    other = _shuffle(facts, shuffled)
    for ref in cluster.refs():
        assert _decide(facts, ref, cluster) == _decide(other, ref, cluster)


@given(st.lists(VIOLENT, max_size=25))
@settings(max_examples=50, deadline=None)
def test_deciding_again_on_what_a_plan_led_to_plans_nothing(history: list[tuple[Any, ...]]) -> None:
    cluster = fleet()
    operator = Operator(cluster)
    for step in history:
        operator.take(step)
    for ref in cluster.refs():
        plan = cluster.plan(ref)
        cluster.execute(plan)
        if plan.delete:  # a Job that is read again is deleted first and made anew after
            cluster.execute(cluster.plan(ref))
        again = cluster.plan(ref)
        assert again.empty, again


def _decide(facts: Facts, ref: ObjectRef, cluster: Cluster) -> Plan:
    return decide(facts, ref, cluster.now)


def _shuffle(facts: Facts, shuffled: random.Random) -> Facts:
    def mixed(items: Iterable[Any]) -> dict[Any, Any]:
        taken = list(items)
        shuffled.shuffle(taken)
        return dict(taken)

    return replace(
        facts,
        base_models=mixed(facts.base_models.items()),
        adapters=mixed(facts.adapters.items()),
        endpoints=mixed(facts.endpoints.items()),
        children=mixed(facts.children.items()),
        pods=mixed(facts.pods.items()),
        reports=mixed(facts.reports.items()),
        inspections=mixed(facts.inspections.items()),
    )
