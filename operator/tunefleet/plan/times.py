"""RFC 3339 times as the API server writes them: UTC, whole seconds."""

from datetime import UTC, datetime


def rfc3339(moment: datetime) -> str:
    """`2026-11-21T12:00:00Z`. The moment must know its zone."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> datetime:
    """The moment that a time of the API server names. Raises ValueError for anything else."""
    return datetime.fromisoformat(text)


def seconds_since(text: str, now: datetime) -> float:
    """Seconds from a time to now; 0 for a time in the future, so that skewed clocks wait, never skip."""
    return max(0.0, (now - parse_time(text)).total_seconds())
