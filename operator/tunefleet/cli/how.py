"""How a change is made."""

from dataclasses import dataclass


@dataclass(frozen=True)
class How:
    """What the command line says of it."""

    dry_run: str
    """none, server or client."""
    wait: bool
    timeout: float
    """Seconds."""
