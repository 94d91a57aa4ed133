"""Which revisions took the traffic over, why, and what brings each back."""

import json
from dataclasses import replace
from typing import Any

from tests.plan.fleet import adapter_files, base_files, base_model, endpoint, lora_adapter
from tests.plan.simulation import Cluster
from tunefleet.api.inference_endpoint import InferenceEndpointSpec, RevisionRecord
from tunefleet.plan.endpoint_history import MAX_CHANGES, RevisionSpec, Takeover, differences, history
from tunefleet.plan.facts import ObjectRef

LATER = "2026-11-21T13:00:00Z"


def serving_cluster(**spec: Any) -> Cluster:
    cluster = Cluster(
        files={
            "s3://models/tiny/1": base_files("base 1"),
            "s3://models/tiny/2": base_files("base 2"),
            "s3://adapters/german/1": adapter_files("german 1"),
            "s3://adapters/wide/1": adapter_files("wide 1", rank=48),
        }
    )
    cluster.add(base_model(versions=(1, 2)), lora_adapter("german"), leaving(**spec))
    cluster.settle()
    return cluster


def leaving(version: int = 1, **spec: Any) -> Any:
    return endpoint(version=version, **{"rollout": {"allowOrphans": True}, **spec})


def records(cluster: Cluster) -> tuple[RevisionRecord, ...]:
    return cluster.endpoint().status.history


def told(cluster: Cluster) -> list[tuple[str, tuple[str, ...]]]:
    return [(record.cause, record.changes) for record in records(cluster)]


def spec(version: int = 1, **fields: Any) -> InferenceEndpointSpec:
    return leaving(version, **fields).spec  # type: ignore[no-any-return]


def takeover(name: str, *, wanted: bool = True) -> Takeover:
    return Takeover(name, None, wanted, None)


def test_forth_and_back_is_told_with_what_changed() -> None:
    cluster = serving_cluster()
    cluster.add(leaving(2, engine={"dtype": "float16"}, adapters={"maxRank": 64}))
    cluster.settle()
    cluster.add(leaving())
    cluster.settle()
    forth = ("model.version: 1 -> 2", "adapters.maxRank: Auto -> 64", "engine.dtype: auto -> float16")
    back = ("model.version: 2 -> 1", "adapters.maxRank: 64 -> Auto", "engine.dtype: float16 -> auto")
    assert told(cluster) == [("Created", ()), ("Changed", forth), ("RolledBack", back)]
    first, second, third = records(cluster)
    assert (second.from_name, third.from_name) == (first.name, second.name)
    assert third.name == first.name
    assert [e.message for e in cluster.events if e.ref.kind == "InferenceEndpoint" and "RolledBack" in e.message] == [
        f"RolledBack: revision {first.name} answers: {'; '.join(back)}"
    ]


def test_a_record_is_what_makes_its_revision_again() -> None:
    cluster = serving_cluster(engine={"maxModelLength": 512}, adapters={"selector": {"matchLabels": {}}})
    first = records(cluster)[0]
    cluster.add(leaving(2))
    cluster.settle()
    cluster.add(leaving(**json.loads(first.spec) | {"model": {"name": "tiny", "version": 1}}))
    cluster.settle()
    assert records(cluster)[-1].name == first.name


def test_a_steady_state_adds_nothing() -> None:
    cluster = serving_cluster()
    before = records(cluster)
    cluster.settle_for(900)
    assert records(cluster) == before
    assert all(cluster.plan(ref).empty for ref in cluster.refs())


def test_a_wiped_status_begins_anew() -> None:
    cluster = serving_cluster()
    cluster.forget_status(ObjectRef("InferenceEndpoint", "ml", "chat"))
    cluster.settle()
    assert told(cluster) == [("Created", ())]


def test_a_pool_that_grew_by_itself_says_so() -> None:
    cluster = serving_cluster()
    cluster.add(lora_adapter("wide"))
    cluster.settle()
    assert told(cluster)[1:] == [("Adapters needed more slots or a higher rank", ("adapters.maxRank: 16 -> 64",))]


def test_the_last_record_follows_a_spec_that_makes_no_new_revision() -> None:
    cluster = serving_cluster()
    cluster.add(leaving(2))
    cluster.settle()
    cluster.add(leaving(2, adapters={"selector": {"matchLabels": {"team": "a"}}}))
    cluster.settle()
    last = records(cluster)[-1]
    assert len(records(cluster)) == 2
    assert json.loads(last.spec)["adapters"]["selector"] == {"matchLabels": {"team": "a"}}
    assert last.changes == ("model.version: 1 -> 2", "adapters.selector.matchLabels.team: none -> a")
    assert json.loads(records(cluster)[0].spec)["adapters"]["selector"] == {"matchLabels": {}}


def test_a_revision_that_starts_is_no_record_yet() -> None:
    cluster = serving_cluster()
    cluster.nodes_are_full = True
    cluster.add(leaving(2))
    cluster.settle()
    assert len(records(cluster)) == 1
    assert '"version":1' in records(cluster)[0].spec


def test_only_so_many_are_remembered() -> None:
    found: tuple[RevisionRecord, ...] = ()
    for number in range(6):
        found = history(found, takeover(f"r{number}"), spec(number + 1, rollout={"historyLimit": 3}), LATER)
    assert [record.name for record in found] == ["r2", "r3", "r4", "r5"]
    assert history(found, takeover("r5"), spec(6, rollout={"historyLimit": 0}), LATER) == (
        found[-1].model_copy(update={"changes": ("model.version: 5 -> 6",)}),
    )


def test_one_that_answers_because_nothing_else_does_is_as_it_was() -> None:
    found = history((), takeover("r1"), spec(1), LATER)
    found = history(found, takeover("r2"), spec(2), LATER)
    *_, last = history(found, takeover("r1", wanted=False), spec(2), LATER)
    assert last.cause == "Nothing else answered"
    assert last.spec == found[0].spec


def test_one_of_which_nothing_is_known_is_not_told() -> None:
    assert history((), takeover("r1", wanted=False), spec(1), LATER) == ()


def test_one_whose_record_is_lost_is_told_as_it_runs() -> None:
    cluster = serving_cluster()
    facts = replace(cluster.facts())
    from tunefleet.plan.observed import observed_revisions

    (revision,) = observed_revisions(facts, cluster.endpoint())
    (record,) = history((), Takeover(revision.name, revision.parameters, False, None), spec(2), LATER)
    written = json.loads(record.spec)
    assert written["model"] == {"name": "tiny", "version": 1}
    assert written["engine"]["image"] == "tunefleet/runtime:1"
    assert written["adapters"]["maxRank"] == 16


def test_a_spec_too_long_to_remember_is_left_out() -> None:
    long = spec(1, engine={"extraArgs": [f"--flag-{n}={'x' * 490}" for n in range(60)]})
    (record,) = history((), takeover("r1"), long, LATER)
    assert record.spec == ""
    assert RevisionSpec.recorded(record) is None
    assert history((record,), takeover("r1"), long, LATER) == (record,)


def test_differences_name_what_came_and_went() -> None:
    former = {"a": 1, "b": {"c": "x", "d": [1]}, "e": None}
    latest = {"a": 1, "b": {"c": "y", "d": [1, 2]}, "f": True}
    assert list(differences(former, latest)) == ["b.c: x -> y", "b.d: [1] -> [1,2]", "f: none -> true"]


def test_many_changes_are_counted() -> None:
    found = history((), takeover("r1"), spec(1), LATER)
    labels = {f"label-{n}": "x" for n in range(16)}
    changed = spec(2, adapters={"selector": {"matchLabels": labels}}, engine={"maxModelLength": 999})
    (_, last) = history(found, takeover("r2"), changed, LATER)
    assert len(last.changes) <= MAX_CHANGES
    assert "model.version: 1 -> 2" in last.changes
