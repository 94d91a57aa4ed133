"""The states of a canary, and what moves it from one to another.

| State | Trigger | Next |
|---|---|---|
| none | BEGUN | Progressing |
| none | SKIPPED | none |
| Progressing | LOOKED | Progressing |
| Progressing | STEP_OVER | Progressing |
| Progressing | LAST_STEP_OVER | none |
| Progressing | REWOUND | Progressing |
| Progressing | PAUSED | Paused |
| Progressing | LOST | Waiting |
| Progressing | WORSE | RolledBack |
| Progressing | ABORTED | none |
| Progressing | SUPERSEDED | none |
| Progressing | SKIPPED | none |
| Progressing | CHANGED | none |
| Paused | LOOKED | Paused |
| Paused | RESUMED | Progressing |
| Paused | LOST | Waiting |
| Paused | WORSE | RolledBack |
| Paused | ABORTED | none |
| Paused | SUPERSEDED | none |
| Paused | SKIPPED | none |
| Paused | CHANGED | none |
| Waiting | FOUND | Progressing |
| Waiting | ABORTED | none |
| Waiting | SUPERSEDED | none |
| Waiting | SKIPPED | none |
| Waiting | CHANGED | none |
| RolledBack | ABORTED | none |
| RolledBack | SUPERSEDED | none |
| RolledBack | SKIPPED | none |
| RolledBack | CHANGED | none |

docs/design/canary.md says what each trigger means; `tests/plan/test_canary.py` compares both tables with TRANSITIONS.
LAST_STEP_OVER and SKIPPED make the active version the serving one.
"""

from enum import StrEnum

from tunefleet.api.canary import CanaryState


class Trigger(StrEnum):
    """What can move a canary on."""

    BEGUN = "BEGUN"
    LOOKED = "LOOKED"
    STEP_OVER = "STEP_OVER"
    LAST_STEP_OVER = "LAST_STEP_OVER"
    REWOUND = "REWOUND"
    PAUSED = "PAUSED"
    RESUMED = "RESUMED"
    LOST = "LOST"
    FOUND = "FOUND"
    WORSE = "WORSE"
    ABORTED = "ABORTED"
    SUPERSEDED = "SUPERSEDED"
    SKIPPED = "SKIPPED"
    CHANGED = "CHANGED"


_ENDS: dict[tuple[CanaryState | None, Trigger], CanaryState | None] = {
    (state, trigger): None
    for state in ("Progressing", "Paused", "Waiting", "RolledBack")
    for trigger in (Trigger.ABORTED, Trigger.SUPERSEDED, Trigger.SKIPPED, Trigger.CHANGED)
}

TRANSITIONS: dict[tuple[CanaryState | None, Trigger], CanaryState | None] = {
    (None, Trigger.BEGUN): "Progressing",
    (None, Trigger.SKIPPED): None,
    ("Progressing", Trigger.LOOKED): "Progressing",
    ("Progressing", Trigger.STEP_OVER): "Progressing",
    ("Progressing", Trigger.LAST_STEP_OVER): None,
    ("Progressing", Trigger.REWOUND): "Progressing",
    ("Progressing", Trigger.PAUSED): "Paused",
    ("Progressing", Trigger.LOST): "Waiting",
    ("Progressing", Trigger.WORSE): "RolledBack",
    ("Paused", Trigger.LOOKED): "Paused",
    ("Paused", Trigger.RESUMED): "Progressing",
    ("Paused", Trigger.LOST): "Waiting",
    ("Paused", Trigger.WORSE): "RolledBack",
    ("Waiting", Trigger.FOUND): "Progressing",
    **_ENDS,
}
"""None: status.canary is absent."""
