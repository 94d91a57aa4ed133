"""How many adapter slots an engine gets, and of which rank.

vLLM allocates slots x rank in full whatever is loaded, and neither can change while it runs. A pool that is too small
costs a restart of every engine, one that is too large costs KV cache: so Auto starts with what the selected adapters
need in steady life (one answering and `keepWarm` former versions each, one promotion under way), and grows in powers
of two only when something really finds no room.
"""

from collections.abc import Iterable

from tunefleet.api.inference_endpoint import Auto
from tunefleet.api.lora_adapter import LoRAAdapter
from tunefleet.engine.flags import LORA_RANKS, Device, engine_rank

LEAST_SLOTS = 8
LEAST_RANK = 16
MAX_SLOTS = 512
"""As the schema of spec.adapters.slots says."""


def slots_for(wanted: int | Auto, adapters: Iterable[LoRAAdapter], least_capacity: int, device: Device) -> int:
    """Slots of a new revision."""
    if wanted != "Auto":
        return wanted
    steady = sum(1 + adapter.spec.keep_warm for adapter in adapters) + 1
    idle = 1 if device == "cpu" else 0
    need = max(LEAST_SLOTS, steady + idle, least_capacity + idle)
    return min(MAX_SLOTS, 1 << (need - 1).bit_length())


def max_rank_for(wanted: int | Auto, least_rank: int) -> int:
    """Highest rank that a new revision takes."""
    if wanted != "Auto":
        return wanted
    return engine_rank(min(max(LEAST_RANK, least_rank), LORA_RANKS[-1]))
