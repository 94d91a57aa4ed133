"""An endpoint moves to another base version together with the adapters that clients use, or not at all."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.plan.fleet import (
    adapter_files,
    adapter_version,
    base_files,
    base_model,
    condition,
    endpoint,
    lora_adapter,
    standing,
)
from tests.plan.simulation import Cluster
from tunefleet.api.inference_endpoint import Revision
from tunefleet.plan.orphans import NAMED, listed
from tunefleet.plan.versions import entry_of

NAMES = ("german", "pirate")
BASE_OF = {1: 1, 2: 2}
"""Base version of each version of an adapter."""


def serving_cluster(names: tuple[str, ...] = NAMES, versions: tuple[int, ...] = (1, 2), **spec: Any) -> Cluster:
    """Adapters with these versions, one for each base version; the first ones serve."""
    cluster = Cluster(files={f"s3://models/tiny/{n}": base_files(f"base {n}") for n in (1, 2)})
    cluster.add(base_model(versions=(1, 2)), endpoint(**spec))
    for name in names:
        cluster.files |= {f"s3://adapters/{name}/{n}": adapter_files(f"{name} {n}") for n in versions}
        cluster.add(adapter(name, versions=versions))
    cluster.settle()
    return cluster


def adapter(name: str, active: int = 1, versions: tuple[int, ...] = (1, 2)) -> Any:
    return lora_adapter(name, [adapter_version(name, n, BASE_OF[n]) for n in versions], active)


def serving_bases(cluster: Cluster) -> list[int]:
    return [r.base_model_version for r in cluster.endpoint().status.revisions if r.state == "Serving"]


def serving_versions(cluster: Cluster) -> dict[str, int | None]:
    return {name: cluster.adapter(name).status.serving_version for name in NAMES}


def stalled(cluster: Cluster) -> str:
    """The message of Stalled; fails when it is not WouldOrphan."""
    found = condition(cluster.endpoint().status.conditions, "Stalled")
    assert found is not None
    assert found.reason == "WouldOrphan"
    return found.message


def test_a_base_version_that_strands_adapters_is_not_begun() -> None:
    cluster = serving_cluster()
    cluster.serve_base(2)
    cluster.settle_for(900)
    assert standing(cluster.endpoint().status.conditions) == {
        "Ready": ("True", "Serving"),
        "Stalled": ("True", "WouldOrphan"),
    }
    assert stalled(cluster) == (
        "base version 2 would leave german, pirate without an engine, pinned to base version 1: "
        "activate versions of them that are for base version 2, or set rollout.allowOrphans"
    )
    assert len(cluster.engine_pods()) == 1
    assert serving_bases(cluster) == [1]


def test_it_goes_on_as_soon_as_they_are_promoted() -> None:
    cluster = serving_cluster()
    cluster.serve_base(2)
    cluster.settle()
    cluster.activate("german", 2)
    cluster.settle()
    assert "would leave pirate without" in stalled(cluster)
    assert standing(cluster.adapter("german").status.conditions)["Stalled"] == ("True", "BaseVersionNotServed")
    message = condition(cluster.adapter("german").status.conditions, "Stalled")
    assert message is not None
    assert "chat version 1 (WouldOrphan) is served" in message.message
    cluster.activate("pirate", 2)
    cluster.settle()
    assert serving_bases(cluster) == [2]
    assert serving_versions(cluster) == {"german": 2, "pirate": 2}
    assert standing(cluster.endpoint().status.conditions) == {"Ready": ("True", "Serving")}


@pytest.mark.parametrize("forth", [True, False], ids=["forth", "back"])
@pytest.mark.parametrize("endpoint_first", [True, False])
def test_base_and_adapters_move_as_a_unit(forth: bool, endpoint_first: bool) -> None:
    """At no moment does a served name answer nowhere, and the base moves only to where the adapters are loaded."""
    cluster = serving_cluster()
    if not forth:
        move(cluster, 2, endpoint_first=True)
        cluster.settle_for(600)
    target = 2 if forth else 1
    move(cluster, target, endpoint_first=endpoint_first)
    for _ in range(30):
        for ref in cluster.refs():
            cluster.execute(cluster.plan(ref))
            assert_answered(cluster)
            assert "Stalled" not in standing(cluster.endpoint().status.conditions)
            if serving_bases(cluster) == [target]:
                assert all(loaded_for(cluster, name, target) for name in NAMES)
        cluster.advance()
    cluster.settle()
    assert serving_bases(cluster) == [target]
    assert serving_versions(cluster) == dict.fromkeys(NAMES, target)


def move(cluster: Cluster, version: int, *, endpoint_first: bool) -> None:
    """What one `kubectl apply` of all three objects does."""
    if endpoint_first:
        cluster.serve_base(version)
    for name in NAMES:
        cluster.activate(name, version)
    if not endpoint_first:
        cluster.serve_base(version)


def loaded_for(cluster: Cluster, name: str, base: int) -> bool:
    """Some ready pod of that base version holds the adapter's version for it."""
    entry = entry_of(cluster.adapter(name).status.versions, base)
    assert entry is not None
    assert entry.digest is not None
    return bool(cluster.holders(f"{name}@v{base}-{entry.digest.removeprefix('sha256:')[:8]}"))


def assert_answered(cluster: Cluster) -> None:
    for name in NAMES:
        (traffic,) = cluster.adapter(name).status.traffic
        assert cluster.holders(traffic.engine_name), f"{traffic.engine_name} answers nowhere"


def test_a_version_that_comes_with_the_base_is_waited_for_not_stalled() -> None:
    """New versions of adapters arrive in the same apply: pods start at once, traffic waits until they are read."""
    cluster = serving_cluster(versions=(1,))
    for name in NAMES:
        cluster.add(adapter(name, active=2))
    cluster.serve_base(2)
    cluster.settle_for(200)
    assert {r.base_model_version: r.state for r in cluster.endpoint().status.revisions} == {
        1: "Serving",
        2: "Progressing",
    }
    ready = cluster.endpoint().status.conditions[0]
    assert (ready.status, ready.reason) == ("Unknown", "Progressing")
    assert ready.message.endswith("1 of 1 replicas ready, active versions of german, pirate still to be read")
    for name in NAMES:
        cluster.files[f"s3://adapters/{name}/2"] = adapter_files(f"{name} 2")
    cluster.settle_for(600)
    assert serving_bases(cluster) == [2]
    assert serving_versions(cluster) == {"german": 2, "pirate": 2}


def test_a_refused_version_for_the_new_base_keeps_the_old_one() -> None:
    cluster = serving_cluster()
    cluster.files["s3://adapters/bad/2"] = adapter_files("bad 2", non_finite=("x",))
    cluster.files["s3://adapters/bad/1"] = adapter_files("bad 1")
    cluster.add(adapter("bad"))
    cluster.settle()
    for name in (*NAMES, "bad"):
        cluster.activate(name, 2)
    cluster.serve_base(2)
    cluster.settle_for(900)
    assert "would leave bad without" in stalled(cluster)
    assert serving_bases(cluster) == [1]


def test_turning_back_an_adapter_while_the_new_base_starts_frees_its_pods() -> None:
    cluster = serving_cluster()
    move(cluster, 2, endpoint_first=True)
    cluster.reconcile()
    assert [r.state for r in cluster.endpoint().status.revisions] == ["Serving", "Progressing"]
    cluster.activate("pirate", 1)
    cluster.settle()
    assert "would leave pirate without" in stalled(cluster)
    assert [r.state for r in cluster.endpoint().status.revisions] == ["Serving"]


def test_told_to_it_leaves_them_on_the_pods_that_they_have() -> None:
    cluster = serving_cluster(rollout={"allowOrphans": True})
    cluster.serve_base(2)
    cluster.settle_for(900)
    assert {r.base_model_version: r.state for r in cluster.endpoint().status.revisions} == {1: "Warm", 2: "Serving"}
    assert_answered(cluster)


def test_an_adapter_that_another_endpoint_serves_is_not_left() -> None:
    cluster = serving_cluster()
    cluster.add(endpoint("old"))
    cluster.settle()
    cluster.serve_base(2)
    cluster.settle()
    assert serving_bases(cluster) == [2]
    cluster.serve_base(2, "old")
    cluster.settle()
    assert condition(cluster.endpoint("old").status.conditions, "Stalled") is not None


def test_two_endpoints_do_not_leave_an_adapter_to_each_other() -> None:
    cluster = serving_cluster()
    cluster.add(endpoint("other"))
    cluster.settle()
    cluster.serve_base(2)
    cluster.serve_base(2, "other")
    cluster.settle_for(300)
    for name in ("chat", "other"):
        assert condition(cluster.endpoint(name).status.conditions, "Stalled") is not None


def test_nobody_is_asked_where_nothing_serves() -> None:
    cluster = serving_cluster(names=())
    cluster.serve_base(2)
    cluster.settle()
    assert serving_bases(cluster) == [2]


def test_a_message_names_a_few() -> None:
    names = [f"adapter-{n}" for n in range(NAMED + 3)]
    assert listed(names) == "adapter-0, adapter-1, adapter-2, adapter-3, adapter-4 and 3 more"
    assert listed(names[:NAMED]) == "adapter-0, adapter-1, adapter-2, adapter-3, adapter-4"


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("base"), st.sampled_from((1, 2))),
        st.tuples(st.just("activate"), st.sampled_from(NAMES), st.sampled_from((1, 2))),
        st.tuples(st.just("advance")),
        st.tuples(st.just("reconcile")),
    ),
    max_size=40,
)


@given(STEPS)
@settings(max_examples=60, deadline=None)
def test_no_order_of_patches_strands_an_adapter(steps: list[tuple[Any, ...]]) -> None:
    """When the base moves, every adapter that clients use has its active version for it loaded or on its way."""
    cluster = serving_cluster()
    for step in steps:
        match step:
            case ("base", version):
                cluster.serve_base(version)
            case ("activate", name, version):
                cluster.activate(name, version)
            case ("advance",):
                cluster.advance()
            case _:
                reconcile_watching(cluster)
        assert_answered(cluster)


def reconcile_watching(cluster: Cluster) -> None:
    for ref in cluster.refs():
        before = serving_revisions(cluster)
        cluster.execute(cluster.plan(ref))
        for revision in serving_revisions(cluster):
            if revision.name not in {r.name for r in before}:
                assert_nobody_left(cluster, before, revision)


def serving_revisions(cluster: Cluster) -> list[Revision]:
    return [r for r in cluster.endpoint().status.revisions if r.state == "Serving"]


def assert_nobody_left(cluster: Cluster, before: list[Revision], latest: Revision) -> None:
    for name in NAMES:
        found = cluster.adapter(name)
        pinned = BASE_OF[found.status.serving_version or 0]
        if pinned in {r.base_model_version for r in before} and pinned != latest.base_model_version:
            assert BASE_OF[found.spec.active_version] == latest.base_model_version, name
