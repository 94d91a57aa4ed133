"""Pods replaced a few at a time: how many there may be, how many there must be, and who serves meanwhile."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.plan.fleet import adapter_files, adapter_version, base_files, base_model, endpoint, lora_adapter
from tests.plan.simulation import Cluster
from tunefleet.plan.facts import Key
from tunefleet.plan.surge import Crew, Limits, Shares, shares

NAMES = ("german", "pirate")
REPLICAS = 3


def crew(name: str, state: Any, replicas: int, good: int | None = None, **more: bool) -> Crew:
    count = replicas if good is None else good
    return Crew(name, state, replicas, replicas, count, **{"peer": True, **more})


def limits(surge: int = 1, unavailable: int = 0) -> Limits:
    return Limits(REPLICAS, surge, unavailable)


def test_a_new_revision_begins_with_what_may_be_added() -> None:
    found = shares([crew("old", "Serving", 3), crew("new", None, 0)], "new", limits())
    assert found == Shares({"old": 3, "new": 1}, frozenset({"old"}), joins=True)


def test_an_old_pod_goes_when_gateways_know_of_a_good_new_one() -> None:
    starting = shares([crew("old", "Serving", 3), crew("new", "Progressing", 1)], "new", limits())
    assert starting is not None
    assert starting.replicas == {"old": 3, "new": 1}
    joined = shares([crew("old", "Serving", 3), crew("new", "Serving", 1)], "new", limits())
    assert joined is not None
    assert joined.replicas == {"old": 2, "new": 1}, "the next new one comes when the old one is gone"
    gone = shares([crew("old", "Serving", 2), crew("new", "Serving", 1)], "new", limits())
    assert gone is not None
    assert gone.replicas == {"old": 2, "new": 2}


def test_the_old_revision_is_through_when_enough_new_ones_are_good() -> None:
    found = shares([crew("old", "Serving", 1), crew("new", "Serving", 3)], "new", limits())
    assert found == Shares({"old": 0, "new": 3}, frozenset(), joins=True)


def test_without_surge_an_old_pod_goes_first() -> None:
    found = shares([crew("old", "Serving", 3), crew("new", None, 0)], "new", limits(0, 1))
    assert found is not None
    assert found.replicas == {"old": 2, "new": 0}
    found = shares([crew("old", "Serving", 2), crew("new", "Progressing", 0)], "new", limits(0, 1))
    assert found is not None
    assert found.replicas == {"old": 2, "new": 1}


def test_warm_pods_make_room_first_unless_an_adapter_needs_them() -> None:
    crews = [crew("old", "Serving", 3), crew("warm", "Warm", 3), crew("new", None, 0)]
    found = shares(crews, "new", limits())
    assert found is not None
    assert found.replicas == {"old": 3, "warm": 0, "new": 0}
    crews[1] = crew("warm", "Warm", 3, pinned=True)
    found = shares(crews, "new", limits())
    assert found is not None
    assert found.replicas == {"old": 3, "new": 1}


@pytest.mark.parametrize("which", ["old", "new"])
def test_what_is_no_peer_stands_whole(which: str) -> None:
    crews = [crew("old", "Serving", 3, peer=which != "old"), crew("new", None, 0, peer=which != "new")]
    assert shares(crews, "new", limits()) is None


def test_whole_is_the_rule() -> None:
    assert shares([crew("old", "Serving", 3), crew("new", None, 0)], "new", limits(3)) is None


def test_half_way_and_then_another_base_keeps_both_until_it_stands() -> None:
    crews = [crew("old", "Serving", 2), crew("new", "Serving", 1), crew("other", "Progressing", 3, 2, peer=False)]
    both = Shares({"old": 2, "new": 1}, frozenset({"old", "new"}), joins=False)
    assert shares(crews, "other", limits()) == both
    assert shares(crews[:2], None, limits()) == both, "a spec that names nothing changes nothing"
    crews[2] = crew("other", "Progressing", 3, peer=False)
    found = shares(crews, "other", limits())
    assert found is not None
    assert found.beside == frozenset()


COUNTS = st.integers(0, 4)
STATES = st.sampled_from(("Serving", "Warm", "Draining", "Progressing"))
CREWS = st.lists(
    st.builds(
        lambda name, state, replicas, pods, good, peer, pinned: Crew(
            name, state, replicas, pods, min(pods, good), peer, pinned
        ),
        st.sampled_from("abcd"), STATES, COUNTS, COUNTS, COUNTS, st.booleans(), st.booleans(),
    ),
    max_size=4, unique_by=lambda c: c.name,
)  # fmt: skip


@given(CREWS, st.sampled_from("abcd"), st.integers(1, 4), st.integers(0, 3), st.integers(0, 3))
def test_no_share_is_out_of_bounds(found: list[Crew], wanted: str, replicas: int, surge: int, unavailable: int) -> None:
    bounds = Limits(replicas, surge, unavailable)
    shared = shares(found, wanted, bounds)
    if shared is None:
        return
    by_name = {c.name: c for c in found}
    assert all(count >= 0 for count in shared.replicas.values())
    for name, count in shared.replicas.items():
        if name != wanted:
            assert count <= by_name[name].replicas, "only the wanted one grows"
    if shared.joins:
        good = by_name[wanted].good if by_name[wanted].state == "Serving" else 0
        olds = [c for c in found if c.state == "Serving" and c.name != wanted]
        remaining = sum(shared.replicas[c.name] for c in olds)
        assert remaining == min(sum(c.replicas for c in olds), max(0, bounds.least - good))


def serving_cluster(replicas: int = REPLICAS, **rollout: Any) -> Cluster:
    cluster = Cluster(files={f"s3://models/tiny/{n}": base_files(f"base {n}") for n in (1, 2)})
    cluster.add(base_model(versions=(1, 2)), chat(0, replicas, rollout))
    for name in NAMES:
        cluster.files |= {f"s3://adapters/{name}/{n}": adapter_files(f"{name} {n}") for n in (1, 2)}
        cluster.add(lora_adapter(name, [adapter_version(name, n) for n in (1, 2)]))
    cluster.settle()
    return cluster


def chat(length: int, replicas: int, rollout: dict[str, Any], version: int = 1) -> Any:
    """An endpoint whose engine settings are a number."""
    engine = {"maxModelLength": 100 + length}
    return endpoint(version=version, replicas=replicas, engine=engine, rollout={"allowOrphans": True, **rollout})


class Watcher:
    """Looks at a cluster after each single write and move."""

    def __init__(self, cluster: Cluster, least: int, most: int) -> None:
        self.cluster, self.least, self.most = cluster, least, most

    def look(self) -> None:
        """Enough pods answer, not too many are there, and every adapter is answered."""
        revisions = self.cluster.endpoint().status.revisions
        serving = [r.name for r in revisions if r.state == "Serving"]
        ready = sum(len(self.cluster.ready_pods(name)) for name in serving)
        assert ready >= self.least, f"{ready} of {serving}"
        assert len(self._pods()) <= self.most
        for name in NAMES:
            (traffic,) = self.cluster.adapter(name).status.traffic
            pods = {key.name.rpartition("-")[0] for key in self.cluster.holders(traffic.engine_name)}
            assert pods & set(serving), f"{traffic.engine_name} answers on {pods}, {serving} serve"

    def _pods(self) -> list[Key]:
        """Of Deployments that stand; a deleted one's are on their way out."""
        alive = {child["metadata"]["uid"] for child in self.cluster.children.values()}
        pods = self.cluster.pods
        return [k for k in self.cluster.engine_pods() if pods[k]["metadata"]["ownerReferences"][0]["uid"] in alive]

    def run(self, rounds: int) -> None:
        """Operator and cluster in turn."""
        for _ in range(rounds):
            for ref in self.cluster.refs():
                self.cluster.execute(self.cluster.plan(ref))
                self.look()
            for move in list(self.cluster.steps()):
                move()
                self.look()


SURGES = st.sampled_from(({"maxSurge": 1}, {"maxSurge": 2}, {"maxSurge": 0, "maxUnavailable": 1},
                          {"maxSurge": 1, "maxUnavailable": 1}))  # fmt: skip
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("engine"), st.integers(0, 2), st.integers(0, 12)),
        st.tuples(st.just("activate"), st.sampled_from(NAMES), st.sampled_from((1, 2))),
    ),
    max_size=4,
)


@pytest.mark.timeout(400)
@given(SURGES, CHANGES)
@settings(max_examples=25, deadline=None)
def test_never_too_few_good_pods_nor_too_many(rollout: dict[str, Any], changes: list[tuple[Any, ...]]) -> None:
    """Whatever engine settings follow each other however fast, with promotions in between; and it ends."""
    cluster = serving_cluster(**rollout)
    unavailable = rollout.get("maxUnavailable", 0)
    watcher = Watcher(cluster, REPLICAS - unavailable, REPLICAS + rollout["maxSurge"])
    for change in changes:
        match change:
            case ("engine", length, rounds):
                cluster.add(chat(length, REPLICAS, rollout))
                watcher.run(rounds)
            case _:
                cluster.activate(*change[1:])
                watcher.run(2)
    watcher.run(25)
    cluster.settle_for(400)
    (revision,) = cluster.endpoint().status.revisions
    assert (revision.state, revision.ready_replicas) == ("Serving", REPLICAS)
    assert all(cluster.plan(ref).empty for ref in cluster.refs())


def test_the_status_tells_of_both_and_the_history_of_the_end() -> None:
    cluster = serving_cluster(maxSurge=1)
    first = cluster.endpoint().status.revisions[0].name
    cluster.add(chat(1, REPLICAS, {"maxSurge": 1}))
    while len([r for r in cluster.endpoint().status.revisions if r.state == "Serving"]) < 2:
        cluster.reconcile()
        cluster.advance()
    status = cluster.endpoint().status
    old, new = status.revisions
    assert status.selector == f"tunefleet.io/revision in ({old.name},{new.name})"
    assert status.replicas == old.replicas + new.replicas
    assert status.ready_replicas >= REPLICAS
    assert [record.name for record in status.history] == [first]
    assert status.conditions[0].message == f"revision {new.name}: 1 of 3 replicas ready"
    cluster.settle()
    assert [record.name for record in cluster.endpoint().status.history] == [first, new.name]
    assert cluster.endpoint().status.selector == f"tunefleet.io/revision={new.name}"


def test_another_base_stands_whole_all_the_same() -> None:
    cluster = serving_cluster(maxSurge=1)
    cluster.add(chat(0, REPLICAS, {"maxSurge": 1}, version=2))
    cluster.settle()
    assert {r.base_model_version: (r.state, r.replicas) for r in cluster.endpoint().status.revisions} == {
        1: ("Warm", REPLICAS),
        2: ("Serving", REPLICAS),
    }


def test_adapters_that_do_not_all_fit_on_each_pod_stand_whole() -> None:
    """Two adapters and one slot for them: each pod has one of them."""
    rollout = {"maxSurge": 1}
    cluster = serving_cluster(**rollout)
    cluster.add(chat(0, REPLICAS, rollout).model_copy(update={"spec": slots(chat(0, REPLICAS, rollout).spec)}))
    cluster.settle_for(400)
    cluster.add(chat(1, REPLICAS, rollout).model_copy(update={"spec": slots(chat(1, REPLICAS, rollout).spec)}))
    for _ in range(4):
        cluster.reconcile()
        cluster.advance()
    assert len(cluster.engine_pods()) == 2 * REPLICAS


def slots(spec: Any) -> Any:
    """One for adapters; on CPU one more stays empty."""
    return spec.model_copy(update={"adapters": spec.adapters.model_copy(update={"slots": 2})})


def test_a_new_revision_that_never_answers_takes_no_old_pod() -> None:
    cluster = serving_cluster(maxSurge=1)
    cluster.nodes_are_full = True
    cluster.add(chat(1, REPLICAS, {"maxSurge": 1}))
    cluster.settle_for(600)
    states = {r.state: r.ready_replicas for r in cluster.endpoint().status.revisions}
    assert states == {"Serving": REPLICAS, "Progressing": 0}
