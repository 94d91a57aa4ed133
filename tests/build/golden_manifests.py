"""The manifests that tests/build/golden/ pins.

`python -m tests.build.golden_manifests` writes them anew; review the difference.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.plan.fleet import SETTINGS, digest
from tunefleet.api.inference_endpoint import Engine
from tunefleet.api.names import engine_name
from tunefleet.build.children import manifests
from tunefleet.plan.credentials import endpoint_credentials
from tunefleet.plan.decision import Child, EndpointAccess, FallbackAccess, InspectionJob, Owner, RevisionWorkload
from tunefleet.plan.facts import ObjectRef
from tunefleet.plan.revision import FixedParameters, RevisionParameters, revision_name

GOLDEN = Path(__file__).parent / "golden"
ENDPOINT = Owner(ObjectRef("InferenceEndpoint", "ml", "chat"), "uid-of-chat")
ADAPTER = Owner(ObjectRef("LoRAAdapter", "ml", "support-de"), "uid-of-support-de")


def workload(replicas: int = 1, **parameters: Any) -> RevisionWorkload:
    """A revision on CPU; `parameters` override those of RevisionParameters or FixedParameters."""
    fixed = {
        "pod_template": "any",
        "base_model": "tiny",
        "base_version": 1,
        "base_digest": digest("base 1"),
        "base_uri": "s3://models/tiny/1",
        "base_secret": "store",
        "engine_name": engine_name("tiny-chat", 1, digest("base 1")),
        "image": SETTINGS.runtime_image,
        "image_pull_policy": "IfNotPresent",
        "engine": Engine(max_model_length=2048, max_concurrent_requests=8),
        "pipeline": 1,
        "resource_name": "cpu",
    }
    own = {"tensor": 1, "products": (), "slots": 8, "max_rank": 16, "claims": ()}
    fixed.update({key: value for key, value in parameters.items() if key in FixedParameters.model_fields})
    own.update({key: value for key, value in parameters.items() if key in RevisionParameters.model_fields})
    full = RevisionParameters.model_validate({**own, "fixed": FixedParameters.model_validate(fixed)})
    return RevisionWorkload(ENDPOINT, revision_name("chat", full), full, replicas)


def access(secret_names: tuple[str, ...] = ("store",)) -> EndpointAccess:
    """What the pods of an endpoint share."""
    credentials = endpoint_credentials(b"operator", b"gateway", "ml", "chat")
    return EndpointAccess(ENDPOINT, secret_names, credentials, SETTINGS.namespace)


def inspection(**job: Any) -> InspectionJob:
    """A Job for an adapter in a bucket."""
    fields: dict[str, Any] = {
        "owner": ADAPTER,
        "name": "inspect-support-de-v2-0123abcd",
        "inspected": "adapter",
        "version": 2,
        "uri": "s3://adapters/support-de/2",
        "digest": digest("support 2"),
        "secret_name": "store",
        "image": SETTINGS.runtime_image,
        "image_pull_policy": "IfNotPresent",
    }
    return InspectionJob(**{**fields, **job})


def gpu_workload() -> RevisionWorkload:
    """Four GPUs of two products in one region, weights and adapters on a volume."""
    return workload(
        replicas=2,
        resource_name="nvidia.com/gpu",
        tensor=4,
        products=("NVIDIA-H100-80GB-HBM3", "NVIDIA-H200"),
        regions=("eu-central-1",),
        base_uri="pvc://weights/llama",
        base_secret=None,
        claims=("adapters.v1", "weights"),
        slots=32,
        max_rank=24,
        engine=Engine(quantization="fp8", kv_cache_dtype="fp8", prefix_caching=False, extra_args=("--seed=1",)),
    )


CHILDREN: dict[str, Child] = {
    "cpu-revision": workload(),
    "gpu-revision": gpu_workload(),
    "access": access(),
    "cpu-revision-with-a-model-cache": workload(model_cache="weights"),
    "access-without-secrets": access(()),
    "fallback-access": FallbackAccess(ENDPOINT, "provider", SETTINGS.namespace),
    "adapter-inspection": inspection(),
    "base-inspection-on-a-volume": inspection(
        inspected="base", uri="pvc://weights/llama", digest=None, secret_name=None
    ),
}


def rendered() -> Iterator[tuple[Path, str]]:
    """Every golden file and what should be in it."""
    for name, child in CHILDREN.items():
        yield GOLDEN / f"{name}.yaml", yaml.safe_dump_all(manifests(child), sort_keys=True, width=120)


if __name__ == "__main__":
    for path, text in rendered():
        path.write_text(text)
