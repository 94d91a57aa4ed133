"""How far a change has come, judged by the object alone: pure, so that every case is a test."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tunefleet.api.conditions import Condition, ConditionType, Reason
from tunefleet.api.inference_endpoint import InferenceEndpoint
from tunefleet.api.lora_adapter import LoRAAdapter
from tunefleet.plan.endpoint_history import RevisionSpec

UNSEEN = "waiting for the operator to see the change"

Outcome = Literal["working", "done", "failed"]


@dataclass(frozen=True)
class Standing:
    """Where a change is."""

    outcome: Outcome
    message: str


Judge = Callable[[Mapping[str, Any]], Standing]
"""From the object as the API server has it."""


def of_adapter(version: int, generation: int) -> Judge:
    """Whether this version answers, as asked for by this generation."""

    def judge(obj: Mapping[str, Any]) -> Standing:
        adapter = LoRAAdapter.read(obj)
        if adapter.spec.active_version != version:
            return Standing("failed", f"activeVersion was set to {adapter.spec.active_version} meanwhile")
        if adapter.status.observed_generation < generation:
            return Standing("working", UNSEEN)
        return _refused(adapter.status.conditions) or _of_served(adapter)

    return judge


def of_seen(generation: int) -> Judge:
    """Whether the operator has acted on this generation of an adapter."""

    def judge(obj: Mapping[str, Any]) -> Standing:
        status = LoRAAdapter.read(obj).status
        if status.observed_generation < generation:
            return Standing("working", UNSEEN)
        if status.canary is None:
            return Standing("done", "seen; no canary runs")
        return Standing("done", f"{status.canary.state} at step {status.canary.step + 1}, {status.canary.weight} %")

    return judge


def of_endpoint(wanted: RevisionSpec, generation: int) -> Judge:
    """Whether the endpoint serves by this spec."""

    def judge(obj: Mapping[str, Any]) -> Standing:
        endpoint = InferenceEndpoint.read(obj)
        if RevisionSpec.of(endpoint.spec) != wanted:
            return Standing("failed", "the spec was changed again meanwhile")
        if endpoint.status.observed_generation < generation:
            return Standing("working", UNSEEN)
        return _refused(endpoint.status.conditions) or _of_ready(endpoint.status.conditions)

    return judge


def _of_served(adapter: LoRAAdapter) -> Standing:
    status, active = adapter.status, adapter.spec.active_version
    if canary := status.canary:
        if canary.version == active and canary.state == "Paused":
            return Standing(
                "done", f"the canary stays at step {canary.step + 1} with {canary.weight} %: {_next(adapter)}"
            )
        if canary.version == active and canary.state == "Progressing":
            steps = len(adapter.spec.rollout.steps)
            return Standing("working", f"canary step {canary.step + 1} of {steps}, {canary.weight} %: {canary.message}")
    if status.serving_version == active and status.loaded.ready:
        pods = f"{status.loaded.ready} of {status.loaded.desired} engine pods"
        return Standing("done", f"version {active} answers, on {pods}")
    return _of_ready(status.conditions)


def _next(adapter: LoRAAdapter) -> str:
    name, active = adapter.metadata.name, adapter.spec.active_version
    if adapter.spec.rollout.paused:
        return f"go on with `tunefleet resume lora {name}`"
    return f"go on with `tunefleet promote lora {name} {active} --now`, or back with `tunefleet rollback lora {name}`"


def _refused(conditions: Iterable[Condition]) -> Standing | None:
    for condition in conditions:
        if condition.type in (ConditionType.STALLED, ConditionType.ROLLED_BACK) and condition.status == "True":
            return Standing("failed", f"{condition.reason}: {condition.message}{_hint(condition.reason)}")
    return None


def _hint(reason: Reason) -> str:
    return "; `--with-adapters` takes them along when going back" if reason is Reason.WOULD_ORPHAN else ""


def _of_ready(conditions: Iterable[Condition]) -> Standing:
    ready = next((c for c in conditions if c.type is ConditionType.READY), None)
    if ready is None:
        return Standing("working", UNSEEN)
    if ready.status == "True":
        return Standing("done", ready.message)
    return Standing("working", f"{ready.reason}: {ready.message}")
