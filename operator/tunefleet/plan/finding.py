"""A check's outcome: the reason that machines read and the sentence that people read."""

from dataclasses import dataclass

from tunefleet.api.conditions import Reason


@dataclass(frozen=True)
class Finding:
    """Why something is not, or not yet, as wanted. The message says what to do about it."""

    reason: Reason
    message: str
