"""Objects are reduced to what routing reads, and nothing that routing reads is lost."""

from typing import Any

import pytest

from tunefleet.gateway.observed import adapter_of, base_of, endpoint_of, pod_of
from tunefleet.plan.facts import Key
from tunefleet.plan.route_table import TrialTerms

DIGEST = "sha256:" + "0" * 64
META = {
    "name": "x",
    "namespace": "ns",
    "uid": "u",
    "creationTimestamp": "2026-01-01T00:00:00Z",
    "labels": {"a": "b"},
    "managedFields": [{}],
}
VERSION = {"version": 1, "source": {"uri": "pvc://a/b"}, "lineage": {"by": "me"}}
FOUND = {"version": 1, "digest": DIGEST, "accepted": False, "message": "long", "sizeBytes": 5}
CANARY = {
    "version": 2,
    "state": "Progressing",
    "step": 0,
    "weight": 7,
    "since": "t",
    "rollout": "r",
    "message": "long",
    "canary": {"requests": 5},
    "stable": {"requests": 9},
}
CONDITIONS = [{"type": "Unheard", "status": "Maybe", "reason": "OfLater"}]


def test_adapters_keep_names_traffic_and_digests() -> None:
    obj = {
        "metadata": META,
        "spec": {
            "baseModelRef": {"name": "tiny"},
            "servedModelName": "served",
            "activeVersion": 1,
            "versions": [{**VERSION, "baseModelVersion": 1}, {**VERSION, "version": 2, "baseModelVersion": 1}],
            "rollout": {"steps": [{"weight": 7}], "analysis": {"minRequests": 33}},
        },
        "status": {
            "traffic": [
                {"version": 2, "engineName": "served@v2-00000000", "weight": 3},
                {"version": 1, "engineName": "served@v1-00000000", "weight": 7},
            ],
            "versions": [
                {**FOUND, "fingerprints": [{"engine": "x", "logprobs": [-1.0]}]},
                {**FOUND, "version": 2, "accepted": True},
            ],
            "canary": CANARY,
            "conditions": CONDITIONS,
            "history": [{"odd": 1}],
        },
    }
    read = adapter_of(obj)
    assert (read.key, read.served_name, read.base) == (Key("ns", "x"), "served", "tiny")
    assert (read.seniority.created, read.labels) == ("2026-01-01T00:00:00Z", {"a": "b"})
    assert read.traffic == ((1, "served@v1-00000000", 7), (2, "served@v2-00000000", 3))
    assert read.digests == ((2, DIGEST),)
    assert (read.digest(2), read.digest(1), read.refused) == (DIGEST, None, True)
    assert read.trial == TrialTerms("t", "served@v2-00000000", 33)


def test_an_adapter_without_a_status() -> None:
    spec = {"baseModelRef": {"name": "tiny"}, "activeVersion": 1, "versions": [{**VERSION, "baseModelVersion": 1}]}
    read = adapter_of({"metadata": META, "spec": spec})
    assert (read.served_name, read.traffic, read.digests, read.trial, read.refused) == ("x", (), (), None, False)


@pytest.mark.parametrize("digest", [None, "", "sha256:12", "md5:" + "0" * 64])
def test_what_is_not_a_digest_vouches_for_nothing(digest: str | None) -> None:
    status = {"versions": [{"version": 1, "digest": digest, "accepted": True}]}
    assert base_of({"metadata": META, "spec": {"versions": [VERSION]}, "status": status}).digests == ()


def test_bases_and_endpoints() -> None:
    base = base_of({"metadata": META, "spec": {"versions": [VERSION]}, "status": {"versions": [FOUND]}})
    assert (base.served_name, base.base, base.digests, base.traffic) == ("x", None, (), ())
    revision = {"name": "r", "baseModelVersion": 1, "engineName": "x@v1-0", "state": "Warm", "since": "t"}
    obj: dict[str, Any] = {"metadata": META, "spec": {"model": {"name": "x", "version": 1}}}
    assert endpoint_of(obj).status.revisions == ()
    endpoint = endpoint_of({**obj, "status": {"revisions": [revision], "conditions": CONDITIONS}})
    assert [(r.name, r.engine_name, r.state) for r in endpoint.status.revisions] == [("r", "x@v1-0", "Warm")]


def test_pods() -> None:
    labels = {"tunefleet.io/endpoint": "e", "tunefleet.io/revision": "r", "tunefleet.io/base-model": "b"}
    meta = {"name": "p", "namespace": "ns", "labels": labels}
    running = pod_of({"metadata": meta, "status": {"phase": "Running", "podIP": "10.0.0.1"}})
    assert (running.key, running.ip, running.endpoint, running.revision) == (Key("ns", "p"), "10.0.0.1", "e", "r")
    assert (running.base_model, running.terminating) == ("b", False)
    assert pod_of({"metadata": {"name": "p", "namespace": "ns"}}).ip == ""
    assert pod_of({"metadata": meta, "status": {"phase": "Failed", "podIP": "10.0.0.1"}}).ip == ""
    assert pod_of({"metadata": {**meta, "deletionTimestamp": "t"}}).terminating


REGION = "topology.kubernetes.io/region"


def regions(labels: dict[str, str], *terms: dict[str, str]) -> tuple[str, ...]:
    """Of a pod; of each term, label by comma-separated values."""
    selector = [
        {"matchExpressions": [{"key": key, "operator": "In", "values": of.split(",")} for key, of in term.items()]}
        for term in terms
    ]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": selector}}
    spec = {"affinity": {"nodeAffinity": required}} if terms else {}
    return pod_of({"metadata": {"name": "p", "namespace": "ns", "labels": labels}, "spec": spec}).regions


def test_where_a_pod_is() -> None:
    assert regions({}) == ()
    assert regions({REGION: "eu-1"}) == ("eu-1",)
    assert regions({REGION: "eu-1"}, {REGION: "eu-1,eu-2"}) == ("eu-1",)
    assert regions({}, {REGION: "eu-2,eu-1", "product": "h200"}) == ("eu-1", "eu-2")
    assert regions({}, {REGION: "eu-1"}, {REGION: "us-1"}) == ("eu-1", "us-1")
    assert regions({}, {"product": "h200"}) == ()
    assert regions({}, {REGION: "eu-1"}, {"product": "h200"}) == ()
