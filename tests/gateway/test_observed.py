"""Objects are reduced to what routing reads, and nothing that routing reads is lost."""

from typing import Any

from tunefleet.gateway.observed import adapter_of, base_of, endpoint_of, pod_of
from tunefleet.plan.facts import Key

META = {
    "name": "x",
    "namespace": "ns",
    "uid": "u",
    "creationTimestamp": "2026-01-01T00:00:00Z",
    "labels": {"a": "b"},
    "managedFields": [{}],
}
VERSION = {"version": 1, "source": {"uri": "pvc://a/b"}, "lineage": {"by": "me"}}
FOUND = {"version": 1, "digest": "sha256:" + "0" * 64, "accepted": False, "message": "long", "sizeBytes": 5}
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
            "traffic": [{"version": 1, "engineName": "served@v1-00000000", "weight": 7}],
            "versions": [{**FOUND, "fingerprints": [{"engine": "x", "logprobs": [-1.0]}]}],
            "canary": CANARY,
            "conditions": CONDITIONS,
            "history": [{"odd": 1}],
        },
    }
    read = adapter_of(obj)
    assert (read.metadata.name, read.metadata.namespace, read.served_name) == ("x", "ns", "served")
    assert read.metadata.creation_timestamp == "2026-01-01T00:00:00Z"
    assert read.spec.base_model_ref.name == "tiny"
    assert [(t.version, t.engine_name, t.weight) for t in read.status.traffic] == [(1, "served@v1-00000000", 7)]
    assert [(v.version, v.digest, v.accepted) for v in read.status.versions] == [(1, FOUND["digest"], False)]
    assert read.status.canary is not None
    assert (read.status.canary.version, read.status.canary.since, read.status.canary.message) == (2, "t", "")
    assert (read.status.canary.canary, read.status.versions[0].fingerprints) == (None, ())
    assert read.spec.rollout.analysis is not None
    assert read.spec.rollout.analysis.min_requests == 33
    assert (len(read.spec.versions), read.spec.versions[0].lineage, read.metadata.labels) == (1, None, {})


def test_bases_and_endpoints() -> None:
    base = base_of({"metadata": META, "spec": {"versions": [VERSION]}, "status": {"versions": [FOUND]}})
    assert (base.served_name, base.status.versions[0].accepted) == ("x", False)
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
