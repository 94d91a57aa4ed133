"""Events about an adapter that no condition tells of: moves of the served name, and a canary's steps."""

from tunefleet.api.canary import CanaryStatus
from tunefleet.api.conditions import Reason
from tunefleet.api.lora_adapter import LoRAAdapter, Transition

from .canary import Passage
from .canary_message import sample_text
from .canary_states import Trigger
from .facts import ObjectRef
from .plan import Event
from .serving_version import Serving
from .version_history import serving_changes


def adapter_events(ref: ObjectRef, adapter: LoRAAdapter, served: Serving) -> tuple[Event, ...]:
    """Of this decision, in order. A canary that begins, waits, pauses or is taken back shows as a condition."""
    uid = adapter.metadata.uid
    steps = (Event(ref, uid, "Normal", Reason.CANARY, text) for p in served.passed if (text := _passage(p)))
    known = len(adapter.status.history)
    new = served.history[known:] if served.history[:known] == adapter.status.history else served.history[-1:]
    moves = (Event(ref, uid, "Normal", Reason.SERVING, _move(entry)) for entry in serving_changes(new))
    return (*steps, *moves)


def _move(entry: Transition) -> str:
    former = f", before: version {entry.from_version}" if entry.from_version is not None else ""
    return f"{entry.cause}: version {entry.to_version} answers{former}"


def _passage(passage: Passage) -> str:
    before, after = passage.before, passage.after
    if before is None:
        return ""
    version = f"version {before.version}"
    match passage.trigger:
        case Trigger.STEP_OVER | Trigger.LAST_STEP_OVER:
            next_share = f"{version} gets {after.weight if after else 100} %"
            return f"step {before.step + 1} is over{_figures(before)}; {next_share}"
        case Trigger.REWOUND:
            return f"step {before.step + 1} of {version} began in the future, at {before.since}: it begins anew"
        case Trigger.CHANGED:
            return f"rollout changed: {version} begins anew"
        case Trigger.ABORTED:
            return f"{version} left at {before.weight} %, because activeVersion went back{_figures(before)}"
        case Trigger.SUPERSEDED:
            return f"{version} left at {before.weight} %, because another version is active{_figures(before)}"
        case _:
            return ""


def _figures(canary: CanaryStatus) -> str:
    if canary.canary is None or canary.stable is None:
        return ""
    return f" ({sample_text(canary.canary)}; the serving version {sample_text(canary.stable)})"
