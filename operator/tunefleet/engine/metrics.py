"""Names in vLLM's /metrics, and a reader for single samples of the Prometheus text format."""

PROCESS_START_TIME = "process_start_time_seconds"
"""Gauge, seconds since the epoch: another value is another engine process, which holds no adapter."""


def sample(text: str, name: str) -> float | None:
    """The value of the first sample of a metric without labels, or None when the text has none."""
    for line in text.splitlines():
        parts = line.split()
        if len(parts) >= 2 and parts[0] == name:
            return _number(parts[1])
    return None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
