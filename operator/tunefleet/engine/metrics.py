"""Names in vLLM's /metrics, and a reader for single samples of the Prometheus text format."""

import re

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


LORA_INFO = "vllm:lora_requests_info"
"""Info gauge: adapters with requests are in a label, the value is the time; old label sets stay, the newest counts."""
_REQUESTS = ("vllm:num_requests_running", "vllm:num_requests_waiting")
_SAMPLE = re.compile(r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?P<labels>.*)\})?\s+(?P<value>\S+)")
_RUNNING_LABEL = re.compile(r'running_lora_adapters="(?P<names>[^"]*)"')


def busy_adapters(text: str) -> frozenset[str]:
    """Engine names of adapters that have requests, running or waiting; none when the engine has no request at all."""
    newest, names, requests = float("-inf"), "", 0.0
    for line in text.splitlines():
        match = _SAMPLE.match(line)
        value = _number(match["value"]) if match else None
        if match is None or value is None:
            continue
        if match["name"] in _REQUESTS:
            requests += value
        elif match["name"] == LORA_INFO and value > newest and (label := _RUNNING_LABEL.search(match["labels"] or "")):
            newest, names = value, label["names"]
    return frozenset(name for name in names.split(",") if name) if requests else frozenset()


def waiting_requests(text: str) -> float:
    """Requests that the engine has taken and not begun."""
    matches = (_SAMPLE.match(line) for line in text.splitlines())
    return sum(_number(m["value"]) or 0.0 for m in matches if m and m["name"] == _REQUESTS[1])
