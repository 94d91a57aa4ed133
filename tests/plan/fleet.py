"""Objects for tests of decisions: short to write, complete enough to be read."""

from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from tunefleet.api.base_model import Architecture, BaseModel
from tunefleet.api.conditions import Condition, ConditionType
from tunefleet.api.inference_endpoint import InferenceEndpoint
from tunefleet.api.inspection import AdapterFacts, InspectionResult
from tunefleet.api.lora_adapter import LoRAAdapter
from tunefleet.plan.facts import Settings

NAMESPACE = "ml"
START = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
SETTINGS = Settings(
    namespace="tunefleet-system",
    runtime_image="tunefleet/runtime:1",
    operator_key=b"operator",
    gateway_key=b"gateway",
)

Q_PROJ, V_PROJ = "model.layers.*.self_attn.q_proj", "model.layers.*.self_attn.v_proj"
ARCHITECTURE = Architecture(
    model_type="llama",
    class_name="LlamaForCausalLM",
    parameters=1_000_000,
    weight_bytes=2_000_000,
    layers=4,
    hidden_size=128,
    intermediate_size=256,
    attention_heads=4,
    kv_heads=2,
    head_dim=32,
    vocab_size=1024,
    max_positions=2048,
    dtype="bfloat16",
    modules={Q_PROJ: (128, 128), V_PROJ: (128, 64)},
)


def digest(text: str) -> str:
    """A digest that stands for some bytes."""
    return f"sha256:{sha256(text.encode()).hexdigest()}"


def base_files(text: str) -> InspectionResult:
    """What an inspection finds at a good base."""
    return InspectionResult(kind="base", digest=digest(text), size_bytes=2_000_000, architecture=ARCHITECTURE)


def adapter_files(text: str, rank: int = 8, **facts: Any) -> InspectionResult:
    """What an inspection finds at a good adapter; `facts` override AdapterFacts."""
    adapter = {
        "rank": rank,
        "ranks": (rank,),
        "configured_rank": rank,
        "configured_ranks": (rank,),
        "target_modules": ("q_proj", "v_proj"),
        "modules": {Q_PROJ: (128, 128), V_PROJ: (128, 64)},
        "layers": 4,
        "tensors": 16,
        **facts,
    }
    return InspectionResult(
        kind="adapter", digest=digest(text), size_bytes=10_000, adapter=AdapterFacts.model_validate(adapter)
    )


def base_model(name: str = "tiny", versions: Iterable[int] = (1,), **spec: Any) -> BaseModel:
    """Versions at s3://models/NAME/N."""
    listed = [{"version": n, "source": {"uri": f"s3://models/{name}/{n}"}} for n in versions]
    return BaseModel.read({"metadata": metadata(name), "spec": {"versions": listed, **spec}})


def adapter_version(name: str, number: int, base: int = 1, **version: Any) -> dict[str, Any]:
    """At s3://adapters/NAME/N."""
    source = {"uri": f"s3://adapters/{name}/{number}"}
    return {"version": number, "baseModelVersion": base, "source": source, **version}


def lora_adapter(
    name: str, versions: Iterable[dict[str, Any]] | None = None, active: int = 1, *, base: str = "tiny", **spec: Any
) -> LoRAAdapter:
    """Of the base `tiny` with one version unless said otherwise."""
    listed = list(versions) if versions is not None else [adapter_version(name, 1)]
    body = {"baseModelRef": {"name": base}, "activeVersion": active, "versions": listed, **spec}
    return LoRAAdapter.read({"metadata": metadata(name), "spec": body})


def endpoint(name: str = "chat", version: int = 1, *, base: str = "tiny", **spec: Any) -> InferenceEndpoint:
    """One replica on CPU unless said otherwise."""
    body = {"model": {"name": base, "version": version}, "accelerator": {"resourceName": "cpu"}, **spec}
    return InferenceEndpoint.read({"metadata": metadata(name), "spec": body})


def metadata(name: str, **more: Any) -> dict[str, Any]:
    """As the API server would have it."""
    return {
        "name": name,
        "namespace": NAMESPACE,
        "uid": f"uid-of-{name}",
        "generation": 1,
        "creationTimestamp": "2026-11-21T12:00:00Z",
        **more,
    }


def condition(conditions: Iterable[Condition], type_: str) -> Condition | None:
    """The condition of this type."""
    return next((c for c in conditions if c.type == ConditionType(type_)), None)


def standing(conditions: Iterable[Condition]) -> dict[str, tuple[str, str]]:
    """Conditions as {type: (status, reason)}."""
    return {c.type.value: (c.status, c.reason.value) for c in conditions}
