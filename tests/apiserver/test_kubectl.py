"""What people see: kubectl explain, get, scale, and an object that no controller has touched yet."""

import json
import re
from itertools import zip_longest

import pytest

from .manifests import adapter, base_model, endpoint, version
from .user import User

pytestmark = pytest.mark.apiserver

DIGITS = "1f3a9c2e"


def condition(status: str, reason: str, message: str) -> dict[str, object]:
    """Ready, as the operator writes it."""
    return {
        "type": "Ready",
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "observedGeneration": 1,
    }


def table(text: str) -> list[dict[str, str]]:
    """The rows of `kubectl get`; cells are parted by the columns' places, since a cell may be empty."""
    header, *rows = text.splitlines()
    starts = [match.start() for match in re.finditer(r"\S+", header)]
    places = [slice(start, end) for start, end in zip_longest(starts, starts[1:])]
    return [{header[place].strip(): row[place].strip() for place in places} for row in rows]


@pytest.mark.parametrize("manifest", [base_model(), adapter(), endpoint()], ids=lambda m: str(m["kind"]))
def test_new_object_does_not_look_finished(anyone: User, manifest: dict[str, object]) -> None:
    """Tools that compare generations (kstatus, Helm, Argo CD) wait, before any controller has seen it."""
    stored = anyone.dry_run(manifest)
    assert stored["status"] == {"observedGeneration": -1}
    assert stored["metadata"]["generation"] == 1


def test_defaults_are_stored(anyone: User) -> None:
    """An operator with other defaults changes nothing that exists."""
    assert anyone.dry_run(endpoint())["spec"] == {
        "model": {"name": "tiny-chat", "version": 1},
        "adapters": {"selector": {}, "maxRank": "Auto", "slots": "Auto"},
        "engine": {"dtype": "auto", "prefixCaching": True},
        "parallelism": {"tensor": "Auto", "pipeline": 1},
        "accelerator": {"resourceName": "nvidia.com/gpu"},
        "placement": {},
        "replicas": 1,
        "rollout": {"keepWarm": 300, "historyLimit": 10, "allowOrphans": False, "maxUnavailable": 0},
    }
    spec = anyone.dry_run(adapter())["spec"]
    assert spec["keepWarm"] == 1
    assert spec["loading"] == {"minReplicas": 1, "idleSeconds": 1800}
    assert spec["rollout"] == {"paused": False}


def test_columns_of_an_adapter(user: User) -> None:
    user.create(adapter(versions=[version(1), version(2)], activeVersion=2, servedModelName="support-de"))
    user.report(
        "lora/sample",
        {
            "observedGeneration": 1,
            "servingVersion": 1,
            "loaded": {"ready": 1, "desired": 2},
            "canary": {
                "version": 2,
                "state": "Progressing",
                "step": 0,
                "weight": 5,
                "since": "2026-01-01T00:00:00Z",
                "rollout": DIGITS,
            },
            "conditions": [condition("Unknown", "Loading", "1 of 2 pods hold version 2")],
        },
    )
    (row,) = table(user.kubectl("get", "lora"))
    assert row.pop("AGE")
    assert row == {
        "NAME": "sample",
        "READY": "Unknown",
        "REASON": "Loading",
        "SERVING": "1",
        "ACTIVE": "2",
        "LOADED": "1",
        "WANTED": "2",
        "BASE": "tiny-chat",
    }
    (wide,) = table(user.kubectl("get", "lora", "-o", "wide"))
    assert (wide["SERVED-AS"], wide["MESSAGE"]) == ("support-de", "1 of 2 pods hold version 2")
    assert (wide["CANARY"], wide["SHARE"]) == ("Progressing", "5")


def test_columns_of_a_base(user: User) -> None:
    user.create(base_model(versions=[{"version": n, "source": {"uri": f"hf://o/n@v{n}"}} for n in (1, 2)]))
    user.report("bmodel/sample", {"conditions": [condition("True", "Accepted", "2 versions")]})
    (row,) = table(user.kubectl("get", "bmodel"))
    assert row.pop("AGE")
    assert row == {"NAME": "sample", "READY": "True", "REASON": "Accepted", "LATEST": "2"}


def test_columns_of_an_endpoint(user: User) -> None:
    user.create(endpoint(model={"name": "tiny-chat", "version": 2}, replicas=3))
    revision = {"engineName": f"tiny-chat@v1-{DIGITS}", "since": "2026-01-01T00:00:00Z"}
    user.report(
        "iep/sample",
        {
            "readyReplicas": 2,
            "replicas": 3,
            "adapters": 40,
            "plan": {"tensor": 2, "acceleratorsPerReplica": 2, "slots": 8, "maxRank": 16},
            "revisions": [
                revision | {"name": "sample-a", "baseModelVersion": 1, "state": "Serving"},
                revision | {"name": "sample-b", "baseModelVersion": 2, "state": "Progressing"},
            ],
            "conditions": [condition("False", "Unschedulable", "0/3 nodes: insufficient nvidia.com/gpu")],
        },
    )
    (row,) = table(user.kubectl("get", "iep"))
    assert row.pop("AGE")
    assert row == {
        "NAME": "sample",
        "READY": "False",
        "REASON": "Unschedulable",
        "MODEL": "tiny-chat",
        "SERVING": "1",
        "WANTED": "2",
        "PODS": "2",
        "REPLICAS": "3",
        "ADAPTERS": "40",
    }
    (wide,) = table(user.kubectl("get", "iep", "-o", "wide"))
    assert (wide["GPUS"], wide["SLOTS"], wide["MAX-RANK"]) == ("2", "8", "16")
    assert wide["MESSAGE"] == "0/3 nodes: insufficient nvidia.com/gpu"


def test_one_command_lists_all_kinds(user: User) -> None:
    for manifest in (base_model(), adapter(), endpoint()):
        user.create(manifest)
    assert user.kubectl("get", "tunefleet", "-o", "name").split() == [
        "basemodel.tunefleet.io/sample",
        "inferenceendpoint.tunefleet.io/sample",
        "loraadapter.tunefleet.io/sample",
    ]


def test_scale(user: User) -> None:
    """As kubectl, the HorizontalPodAutoscaler and KEDA do it."""
    user.create(endpoint())
    user.report("iep/sample", {"replicas": 1, "selector": "tunefleet.io/revision=sample-a"})
    user.kubectl("scale", "iep/sample", "--replicas=3", "--current-replicas=1")
    scale = json.loads(user.kubectl("get", "iep/sample", "--subresource=scale", "-o", "json"))
    assert scale["spec"] == {"replicas": 3}
    assert scale["status"] == {"replicas": 1, "selector": "tunefleet.io/revision=sample-a"}
    assert user.get("iep/sample", ".spec.replicas") == "3"


def test_kubectl_waits_for_ready(user: User) -> None:
    user.create(adapter())
    user.report("lora/sample", {"conditions": [condition("True", "Serving", "version 1")]})
    user.kubectl("wait", "lora/sample", "--for=condition=Ready", "--timeout=5s")


EXPLAINED = {
    "bmodel": "A base model and its numbered versions. InferenceEndpoints serve it, LoRAAdapters adapt it.",
    "lora": "A LoRA adapter of a base model and its numbered versions, one of which answers.",
    "lora.spec.activeVersion": "The version that shall answer. Patch it up to promote and down to roll back.",
    "lora.spec.versions.source.uri": (
        "Place of the files: pvc://CLAIM/PATH, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX, "
        "hf://ORG/NAME@REVISION, oci://REGISTRY/REPOSITORY:TAG, https://HOST/PATH or mlflow://NAME/VERSION. A branch, "
        "a tag or an alias is resolved once, to what status.versions[].resolvedUri says."
    ),
    "lora.spec.keepWarm": "Number of former versions that stay loaded, so that going back to them takes no load.",
    "iep": "Engine pods that serve one version of a base model and the adapters selected for it.",
    "iep.spec.adapters.maxRank": (
        "The highest rank that fits, a number or Auto. Every slot takes memory for it. Auto is what the selected "
        "adapters need, at least 16; it grows with a new revision and never shrinks."
    ),
    "iep.spec.rollout.keepWarm": (
        "Seconds that the old revision's pods stay after the new one serves, so that going back takes no start."
    ),
    "iep.status.conditions": "Ready always; Reconciling and Stalled only while they are true.",
}


@pytest.mark.parametrize(("field", "description"), EXPLAINED.items(), ids=EXPLAINED)
def test_explain(anyone: User, field: str, description: str) -> None:
    said = " ".join(anyone.kubectl("explain", field).split())
    assert description in said


def test_explain_lists_choices(anyone: User) -> None:
    said = anyone.kubectl("explain", "iep.spec.engine.dtype").split()
    assert said[said.index("ENUM:") + 1 : said.index("DESCRIPTION:")] == ["auto", "bfloat16", "float16", "float32"]
