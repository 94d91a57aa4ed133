"""FallbackReady: what of a fallback is missing or not allowed is said, and what gateways may read goes with it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.plan.fleet import NAMESPACE, START, base_files, base_model, condition, endpoint, standing
from tests.plan.simulation import Cluster
from tunefleet.api.inference_endpoint import InferenceEndpoint
from tunefleet.plan.dependents import dependents
from tunefleet.plan.facts import Facts, Key, ObjectRef
from tunefleet.plan.fallback_standing import fallback_standing
from tunefleet.plan.inference_endpoint import SECRET_RETRY_SECONDS, decide

EXTERNAL = {"url": "https://models.example.com/v1", "model": "org/model", "secretRef": {"name": "provider"}}
SECRET = Key(NAMESPACE, "provider")
CHAT = Key(NAMESPACE, "chat")


def told(*endpoints: InferenceEndpoint, secrets: dict[Key, bool] | None = None) -> tuple[str, str] | None:
    """Status and reason of the first endpoint's FallbackReady."""
    known = {Key(e.metadata.namespace, e.metadata.name): e for e in endpoints}
    found = fallback_standing(endpoints[0], known, secrets or {})
    return (found[0], found[1].reason.value) if found else None


def spare(**spec: Any) -> InferenceEndpoint:
    return endpoint("spare", **spec)


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ([], [], ("True", "Resolved")),
        (["eu"], [], ("True", "Resolved")),
        (["eu", "us"], ["us"], ("True", "Resolved")),
        ([], ["us"], ("True", "Resolved")),
        (["eu"], ["us"], ("False", "RegionNotAllowed")),
    ],
)
def test_another_endpoint(ours: list[str], theirs: list[str], expected: tuple[str, str]) -> None:
    one = endpoint(fallback={"endpointRef": {"name": "spare"}}, placement={"regions": ours})
    assert told(one, spare(placement={"regions": theirs})) == expected


def test_without_a_fallback_there_is_no_condition() -> None:
    assert told(endpoint()) is None


def test_another_endpoint_that_does_not_exist() -> None:
    one = endpoint(fallback={"endpointRef": {"name": "spare"}})
    assert told(one) == ("False", "EndpointNotFound")
    assert told(one, endpoint("third")) == ("False", "EndpointNotFound")


def test_an_upstream_outside() -> None:
    one = endpoint(fallback={"external": EXTERNAL})
    assert told(one) == ("True", "Resolved")  # not looked for yet
    assert told(one, secrets={SECRET: True}) == ("True", "Resolved")
    assert told(one, secrets={SECRET: False}) == ("False", "SecretNotFound")
    assert told(one, secrets={Key("other", "provider"): False}) == ("True", "Resolved")


def test_an_upstream_outside_of_the_regions() -> None:
    """The schema refuses it; objects from before the schema knew it may stand."""
    one = endpoint(fallback={"external": EXTERNAL | {"region": "us"}}, placement={"regions": ["eu"]})
    assert told(one, secrets={SECRET: True}) == ("False", "RegionNotAllowed")


def serving(**spec: Any) -> Cluster:
    cluster = Cluster(files={"s3://models/tiny/1": base_files("base 1")})
    cluster.add(base_model(), endpoint(**spec))
    cluster.settle()
    return cluster


def test_ready_does_not_depend_on_it() -> None:
    cluster = serving(fallback={"endpointRef": {"name": "spare"}})
    assert standing(cluster.endpoint().status.conditions) == {
        "Ready": ("True", "Serving"),
        "FallbackReady": ("False", "EndpointNotFound"),
    }
    cluster.add(spare())
    cluster.settle()
    found = condition(cluster.endpoint().status.conditions, "FallbackReady")
    assert found is not None
    assert found.status == "True"
    assert all(cluster.plan(ref).empty for ref in cluster.refs())


def test_who_falls_back_on_an_endpoint_is_decided_again_with_it() -> None:
    cluster = serving(fallback={"endpointRef": {"name": "spare"}})
    changed = dependents(cluster.facts(), ObjectRef("InferenceEndpoint", NAMESPACE, "spare"))
    assert ObjectRef("InferenceEndpoint", *CHAT) in changed


def without_secret(facts: Facts) -> Facts:
    return replace(facts, secrets={SECRET: False})


def test_a_missing_secret_is_looked_for_again() -> None:
    cluster = serving(fallback={"external": EXTERNAL})
    later = START + timedelta(hours=1)
    decision = decide(without_secret(cluster.facts()), CHAT, later)
    assert decision.requeue_after == SECRET_RETRY_SECONDS
    assert any("provider" in event.message for event in decision.events)
    assert decide(cluster.facts(), CHAT, later).requeue_after is None


def granted(cluster: Cluster) -> dict[str, list[str]]:
    """By kind of grant, what gateways may read."""
    return {
        ref.kind: [name for rule in manifest.get("rules", ()) for name in rule["resourceNames"]]
        for ref, manifest in cluster.facts().children.items()
        if ref.name == "chat-fallback"
    }


def test_gateways_may_read_the_one_secret_for_as_long_as_it_is_named() -> None:
    cluster = serving(fallback={"external": EXTERNAL})
    assert granted(cluster) == {"Role": ["provider"], "RoleBinding": []}
    cluster.add(endpoint(fallback={"external": EXTERNAL | {"secretRef": {"name": "another"}}}))
    cluster.settle()
    assert granted(cluster) == {"Role": ["another"], "RoleBinding": []}
    cluster.add(endpoint())
    cluster.settle()
    assert granted(cluster) == {}
    assert "FallbackReady" not in standing(cluster.endpoint().status.conditions)
    assert len(cluster.endpoint().status.revisions) == 1  # no engine starts anew for a fallback


def test_an_endpoint_that_runs_nothing_yet_has_its_fallback() -> None:
    """Its base is still to come: that is when somebody else has to answer."""
    cluster = Cluster(files={})
    cluster.add(endpoint(fallback={"external": EXTERNAL}))
    cluster.settle()
    assert granted(cluster) == {"Role": ["provider"], "RoleBinding": []}
