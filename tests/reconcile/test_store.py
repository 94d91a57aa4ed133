"""What is known, whatever order it is heard in."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reconcile.objects import SETTINGS, base_model, node, pod
from tunefleet.plan.facts import Key, ObjectRef
from tunefleet.reconcile.store import Store

BASE = ObjectRef("BaseModel", "ns", "chat")


@pytest.fixture
def store() -> Store:
    """Empty."""
    return Store(SETTINGS)


def test_news_is_what_differs_in_what_anybody_looks_at(store: Store) -> None:
    assert store.put(base_model(version=1))
    assert not store.put(base_model(version=1))
    assert not store.put(base_model(version=2, managedFields=[{"manager": "kubectl"}]))
    assert store.put(base_model(version=3, labels={"team": "a"}))


def test_an_older_state_never_replaces_a_newer_one(store: Store) -> None:
    store.put(base_model(version=10, labels={"new": "yes"}))
    assert not store.put(base_model(version=9, labels={"new": "no"}))
    assert store.facts().base_models[Key("ns", "chat")].metadata.labels == {"new": "yes"}


def test_what_was_deleted_does_not_come_back_but_its_successor_does(store: Store) -> None:
    store.put(base_model(uid="first", version=1))
    assert store.remove(BASE, "first")
    assert not store.put(base_model(uid="first", version=2))
    assert store.put(base_model(uid="second", version=3))
    assert not store.remove(BASE, "first")
    assert store.seen(BASE) == ("second", "3")


def test_a_list_finds_deletions_that_nobody_told_of_and_spares_what_is_newer(store: Store) -> None:
    store.put(base_model("gone", uid="a", version=5))
    store.put(base_model("kept", uid="b", version=6))
    store.put(base_model("younger", uid="c", version=20))
    store.replace_all("BaseModel", None, [base_model("kept", uid="b", version=6)], "10")
    assert {ref.name for ref in store.refs("BaseModel")} == {"kept", "younger"}


def test_a_list_of_one_namespace_says_nothing_of_others(store: Store) -> None:
    store.put(base_model(version=1))
    store.replace_all("BaseModel", "another", [], "10")
    assert store.seen(BASE)


@given(st.data())
def test_any_order_of_states_leads_to_the_last(data: st.DataObject) -> None:
    """Repeated, late and lost events of one object; its deletion is the last word for its uid."""
    heard = data.draw(st.lists(st.integers(1, 20), min_size=1))
    deleted = data.draw(st.booleans())
    store = Store(SETTINGS)
    events = [("put", version) for version in heard] + ([("delete", 0)] if deleted else [])
    random.Random(data.draw(st.integers(0, 100))).shuffle(events)
    for what, version in events:
        if what == "put":
            store.put(base_model(version=version, labels={"state": str(version)}))
        else:
            store.remove(BASE, "uid-1")
    known = store.facts().base_models.get(Key("ns", "chat"))
    assert (known is None) == deleted
    assert known is None or known.metadata.labels == {"state": str(max(heard))}


def test_a_kubelets_heartbeat_is_no_news(store: Store) -> None:
    assert store.put(node(version=1))
    assert not store.put(node(version=2, conditions=[{"type": "Ready", "lastHeartbeatTime": "now"}]))
    assert store.put(node(version=3, allocatable={"nvidia.com/gpu": "1"}))
    known = store.facts().nodes["node"]
    assert (known.allocatable, known.schedulable) == ({"nvidia.com/gpu": "1"}, False)
    assert known.taints == ({"key": "gpu", "effect": "NoSchedule"},)


def test_what_nobody_reads_is_not_kept(store: Store) -> None:
    store.put(pod())
    kept = store.facts().pods[Key("ns", "pod")]
    assert "managedFields" not in kept["metadata"]
    assert "resourceVersion" not in kept["metadata"]


def test_the_data_of_a_secret_is_not_kept(store: Store) -> None:
    secret = {"kind": "Secret", "metadata": {**base_model()["metadata"]}, "data": {"key": "aHVzaA=="}}
    store.put(secret)
    assert "aHVzaA==" not in repr(store.facts())


def test_the_fleets_keys_are_not_shown() -> None:
    assert "ooo" not in repr(SETTINGS)


def test_an_object_that_cannot_be_read_is_left_as_it_was(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    store.put(base_model(version=1))
    broken = base_model(version=2)
    broken["spec"]["versions"] = "sk-very-secret"
    assert not store.put(broken)
    assert Key("ns", "chat") in store.facts().base_models
    assert "spec.versions" in caplog.text
    assert "sk-very-secret" not in caplog.text


def test_facts_are_a_moment_and_a_view_is_the_present(store: Store) -> None:
    facts, view = store.facts(), store.view()
    store.put(base_model())
    assert not facts.base_models
    assert view.base_models
