"""What names the form of the pods that this operator makes.

It is part of every revision's parameters. So when a new operator would build another pod, for whatever reason, engines
that run keep their form, and a revision in the new form is rolled out beside them: an upgrade never restarts an
engine in place. It is a hash of what the builder makes of two workloads that have every option set, so nobody has to
remember to raise a number.
"""

from functools import lru_cache

from tunefleet.api.inference_endpoint import CPU, Engine
from tunefleet.api.names import short_hash
from tunefleet.plan.canonical import canonical_json
from tunefleet.plan.decision import Owner, RevisionWorkload
from tunefleet.plan.facts import ObjectRef
from tunefleet.plan.revision import FixedParameters, RevisionParameters

from .engine_deployment import engine_deployment


@lru_cache(maxsize=1)
def pod_template() -> str:
    """Eight hexadecimal digits; another form of pod has others."""
    pods = [engine_deployment(_specimen(resource))["spec"]["template"] for resource in (CPU, "nvidia.com/gpu")]
    return short_hash(canonical_json(pods))


def _specimen(resource_name: str) -> RevisionWorkload:
    fixed = FixedParameters(
        pod_template="",
        base_model="base",
        base_version=1,
        base_digest=f"sha256:{'0' * 64}",
        base_uri="pvc://claim/base",
        base_secret="secret",  # noqa: S106 - the name of an object
        engine_name="base@v1-00000000",
        image="image",
        image_pull_policy="IfNotPresent",
        engine=Engine(
            quantization="fp8",
            max_model_length=1024,
            max_concurrent_requests=8,
            kv_cache_dtype="fp8",
            extra_args=("--seed=1",),
        ),
        pipeline=2,
        resource_name=resource_name,
        regions=("region",),
    )
    parameters = RevisionParameters(
        fixed=fixed, tensor=2, products=("product",), slots=8, max_rank=16, claims=("claim",)
    )
    return RevisionWorkload(Owner(ObjectRef("InferenceEndpoint", "ns", "endpoint"), "uid"), "revision", parameters, 1)
