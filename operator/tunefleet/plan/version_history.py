"""What a LoRAAdapter's status.history tells: changes of the serving version, and canaries that left traffic.

Both have the version that left as `from` and the one that serves after as `to`. A canary never served alone, so going
back never means going back to it; the causes tell the two apart.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from tunefleet.api.lora_adapter import Transition

from .times import rfc3339

PROMOTED = "Promoted"
"""The serving version went up."""
ROLLED_BACK = "RolledBack"
"""The serving version went down."""
CANARY_WORSE = "CanaryWorse"
"""A canary was taken back; the figures follow."""
CANARY_ABORTED = "CanaryAborted"
"""activeVersion went back to the serving version while a canary ran."""
CANARY_SUPERSEDED = "CanarySuperseded"
"""activeVersion went to a third version while a canary ran."""

_OF_CANARIES = "Canary"


def transition(former: int | None, latest: int, cause: str, now: datetime) -> Transition:
    """An entry of the history."""
    return Transition.read({"time": rfc3339(now), "from": former, "to": latest, "cause": cause})


def serving_changes(history: Iterable[Transition]) -> Iterator[Transition]:
    """Without canaries that left."""
    return (entry for entry in history if not entry.cause.startswith(_OF_CANARIES))
