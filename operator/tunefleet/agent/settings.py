"""How an agent is started, and the delays that tests shorten."""

from dataclasses import dataclass, field
from pathlib import Path

from tunefleet.artifacts.pvc import MOUNT_ROOT
from tunefleet.engine.flags import Device

ADAPTERS_ROOT = Path("/adapters")
"""An emptyDir that engine and agent share, at the same path in both."""


@dataclass(frozen=True)
class Timing:
    """Delays in seconds."""

    poll: float = 1.0
    """Between two looks at a healthy engine."""
    poll_lost: float = 0.2
    """Between two looks at an engine that does not answer."""
    first_retry: float = 0.5
    """Before the first new try of what may pass; doubles up to longest_retry."""
    longest_retry: float = 60.0
    fresh: float = 60.0
    """So long files stay after they were used, whoever needs their room: they were read, and are about to be loaded."""

    leave: float = 2.0
    """Between an adapter's leaving the report and the engine: a gateway may still send by the table that it had."""

    def retry(self, failures: int) -> float:
        """The pause after so many failures in a row (1 or more)."""
        return min(self.longest_retry, self.first_retry * 2.0 ** min(failures - 1, 16))


@dataclass(frozen=True)
class AgentSettings:
    """What an agent is told when it starts."""

    engine_url: str
    base_engine_name: str
    base_path: Path
    """Directory of the base's weights: adapters are judged by its shapes."""
    slots: int
    """The engine's --max-loras."""
    max_rank: int
    """The engine's --max-lora-rank."""
    device: Device
    namespace: str
    engine_options: str
    """What the engine was started with and what changes its figures, see `flags.arithmetic_options`."""
    product: str
    """Model of the processor, see `agent.hardware`."""
    disk_bytes: int
    """What adapters may take of the pod's disk before those that nothing refers to are deleted."""
    engine_key: str = field(repr=False)
    write_token: str = field(repr=False)
    """The operator's: may change the desired set and ask for inspections."""
    read_token: str = field(repr=False)
    """The gateways': may read the report."""
    root: Path = ADAPTERS_ROOT
    mount_root: Path = MOUNT_ROOT
    timing: Timing = Timing()

    @property
    def capacity(self) -> int | None:
        """Adapters that the engine may hold at once, or None for any number.

        On CPU one slot is the ballast's, see `agent/ballast.py`.
        """
        return self.slots - 1 if self.device == "cpu" else None
