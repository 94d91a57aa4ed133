"""The processor that the engine beside computes on, as far as a container without a device of its own can tell."""

import re
from pathlib import Path

from tunefleet.engine.flags import Device

PROC = Path("/proc")
_GPUS = "driver/nvidia/gpus"
"""NVIDIA's driver lists every GPU of the node here; containers share it."""
_MODEL = {"gpu": re.compile(r"^Model:\s*(.+?)\s*$"), "cpu": re.compile(r"^model name\s*:\s*(.+?)\s*$")}
"""A line with a processor's model."""


def product(device: Device, node: str, proc: Path = PROC) -> str:
    """Models of the node's processors, each once. The node's own name where they cannot be read: then figures are
    compared on the same node only."""
    files = [proc / "cpuinfo"] if device == "cpu" else sorted((proc / _GPUS).glob("*/information"))
    lines = (line for path in files for line in _text(path).splitlines())
    found = {match[1] for line in lines if (match := _MODEL[device].match(line))}
    return ", ".join(sorted(found)) or node


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
