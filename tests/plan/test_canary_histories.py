"""Random histories with canaries: promotions that cross, pauses, skips, errors, dead pods, clocks that jump, gateways
that restart and an operator that is killed between any two writes.
"""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.plan.fleet import adapter_files, adapter_version, base_files, base_model, digest, endpoint, lora_adapter
from tests.plan.simulation import Cluster
from tests.plan.test_histories import NAMES, Operator, check, check_steady, watch_served
from tunefleet.api.lora_adapter import LoRAAdapter
from tunefleet.plan.versions import entry_of

pytestmark = pytest.mark.timeout(400)

STEPS = [{"weight": 10, "durationSeconds": 60}, {"weight": 50, "durationSeconds": 60}]
ANALYSIS = {"minRequests": 10, "maxErrorRate": 0.1, "maxTimeToFirstTokenRatio": 1.5}
FAILING, SLOW = 5, 6
"""Versions that load well, and answer badly."""
GOOD = (1, 2, 4)

PEACEFUL = st.one_of(
    st.tuples(st.just("activate"), st.sampled_from(NAMES), st.sampled_from((1, 2, 3, 4, FAILING, SLOW))),
    st.tuples(st.just("ask"), st.sampled_from(NAMES), st.sampled_from((3, 30, 300))),
    st.tuples(st.just("ask"), st.sampled_from(NAMES), st.sampled_from((100, 1000))),
    st.tuples(st.just("pause"), st.sampled_from(NAMES), st.booleans()),
    st.tuples(st.just("base"), st.integers(1, 2)),
    st.tuples(st.just("scale"), st.integers(1, 3)),
    st.tuples(st.just("run"), st.integers(1, 8)),
    st.tuples(st.just("live"), st.sampled_from((40, 400))),
    st.tuples(st.just("wait"), st.sampled_from((1, 29, 61, 400, 10**6, -(10**5)))),
    st.tuples(st.just("crash"), st.integers(0, 2), st.integers(0, 6)),
    st.tuples(st.just("hear"), st.booleans()),
    st.tuples(st.just("restart_gateway"), st.integers(0, 1)),
    st.tuples(st.just("steps"), st.sampled_from(NAMES), st.sampled_from((1, 2))),
)
VIOLENT = st.one_of(
    PEACEFUL,
    st.tuples(st.just("skip"), st.sampled_from(NAMES), st.sampled_from((1, 2, FAILING))),
    st.tuples(st.just("steps"), st.sampled_from(NAMES), st.just(0)),
    st.tuples(st.just("scale"), st.just(0)),
    st.tuples(st.just("kill"), st.integers(0, 5)),
    st.tuples(st.just("forget_status"), st.integers(0, 3)),
    st.tuples(st.just("delete_child"), st.integers(0, 9)),
)


def fleet() -> Cluster:
    """One adapter that is judged, one that only takes its time."""
    cluster = Cluster()
    cluster.files = {f"s3://models/tiny/{n}": base_files(f"base {n}") for n in (1, 2)}
    pinned = {1: 1, 2: 1, 3: 1, 4: 2, FAILING: 1, SLOW: 1}
    for name in NAMES:
        for number in (*GOOD, FAILING, SLOW):
            cluster.files[f"s3://adapters/{name}/{number}"] = adapter_files(f"{name} {number}")
        rollout = {"steps": STEPS, "analysis": ANALYSIS} if name == "german" else {"steps": STEPS}
        listed = [adapter_version(name, n, base) for n, base in pinned.items()]
        cluster.add(lora_adapter(name, listed, rollout=rollout))
    cluster.failing = {digest(f"{name} {FAILING}") for name in NAMES}
    cluster.slow = {digest(f"{name} {SLOW}") for name in NAMES}
    cluster.add(base_model(versions=(1, 2)), endpoint())
    return cluster


class Canaries(Operator):
    """Looks at every decision about an adapter in the moment it is taken."""

    def ask(self, name: str, requests: int) -> None:
        self.cluster.ask(name, requests)

    def pause(self, name: str, paused: bool) -> None:
        self.cluster.set_rollout(name, paused=paused)

    def skip(self, name: str, version: int) -> None:
        self.cluster.set_rollout(name, skipStepsFor=version)

    def steps(self, name: str, count: int) -> None:
        self.cluster.set_rollout(name, steps=STEPS[:count])

    def restart_gateway(self, which: int) -> None:
        list(self.cluster.gateways.values())[which].restart()

    def reconcile(self, which: int) -> None:
        for ref in self._refs(which):
            former = {name: self.cluster.adapter(name) for name in NAMES}
            plan = self.cluster.plan(ref)
            check(plan)
            self.cluster.execute(plan)
            for name in NAMES:
                check_decision(self.cluster, former[name], self.cluster.adapter(name))
            self.watch(self.cluster)


def check_decision(cluster: Cluster, former: LoRAAdapter, latest: LoRAAdapter) -> None:
    """What one write may do to an adapter's traffic."""
    status = latest.status
    assert sum(share.weight for share in status.traffic) == (100 if status.traffic else 0)
    for share in status.traffic:
        entry = entry_of(status.versions, share.version)
        assert entry is not None
        assert entry.accepted
    if status.traffic != former.status.traffic:
        assert {share.version for share in status.traffic} <= {status.serving_version, former.spec.active_version}
    if status.serving_version != former.status.serving_version:
        assert status.serving_version == former.spec.active_version, "nothing serves that was not asked for"
    new = {s.engine_name for s in status.traffic} - {s.engine_name for s in former.status.traffic}
    assert all(cluster.holders(name) for name in new), "nothing gets traffic that no engine holds"
    running = status.canary is not None and status.canary.state in ("Progressing", "Paused")
    shared = [share.weight for share in status.traffic if share.version != status.serving_version]
    assert shared == ([status.canary.weight] if running and status.canary else [])


def finish(operator: Canaries) -> None:
    """Everybody is heard, nobody pauses, clients ask: until nothing moves any more."""
    cluster = operator.cluster
    cluster.deaf = False
    for name in NAMES:
        cluster.set_rollout(name, paused=False)
    for _ in range(8):
        for name in NAMES:
            cluster.ask(name, 60)
        operator.wait(65)
        operator.run(3)
    cluster.settle()
    check_steady(cluster)
    for name in NAMES:
        status = cluster.adapter(name).status
        assert status.canary is None or status.canary.state in ("RolledBack", "Waiting"), status.canary
        rolled_back = [c for c in status.conditions if c.type == "RolledBack"]
        assert bool(rolled_back) == (status.canary is not None and status.canary.state == "RolledBack")


@given(st.lists(VIOLENT, max_size=30))
@settings(max_examples=25, deadline=None)
@example([("activate", "german", 2), ("run", 8), ("forget_status", 1), ("activate", "german", FAILING)])
@example([("activate", "german", FAILING), ("run", 8), ("kill", 0), ("ask", "german", 300), ("run", 8)])
def test_any_history_with_canaries_converges(history: list[tuple[Any, ...]]) -> None:
    operator = Canaries(fleet())
    for step in history:
        operator.take(step)
    finish(operator)


def watch_bad(cluster: Cluster) -> None:
    """Nobody is left without an answer, and a version that is judged and bad never serves."""
    watch_served(cluster)
    assert cluster.adapter("german").status.serving_version not in (FAILING, SLOW)


@given(st.lists(PEACEFUL, max_size=20))
@settings(max_examples=25, deadline=None)
@example([("activate", "german", FAILING), ("live", 400), ("ask", "german", 1000), ("live", 400)])
@example([("activate", "german", SLOW), ("live", 40), ("ask", "german", 1000), ("hear", False), ("live", 400)])
def test_a_bad_version_is_never_promoted_and_who_is_served_stays_served(history: list[tuple[Any, ...]]) -> None:
    cluster = fleet()
    cluster.settle()
    operator = Canaries(cluster, watch_bad)
    for step in history:
        operator.take(step)
    finish(operator)


@given(st.lists(VIOLENT, max_size=20))
@settings(max_examples=25, deadline=None)
def test_deciding_again_on_what_a_canary_led_to_plans_nothing(history: list[tuple[Any, ...]]) -> None:
    cluster = fleet()
    operator = Canaries(cluster)
    for step in history:
        operator.take(step)
    for name in NAMES:
        (ref,) = [ref for ref in cluster.refs() if (ref.kind, ref.name) == ("LoRAAdapter", name)]
        cluster.execute(cluster.plan(ref))
        plan = cluster.plan(ref)
        cluster.execute(plan)
        assert cluster.plan(ref).statuses == ()
