"""Which versions there are and how each is trained. Everything that can be tuned stands here."""

from dataclasses import dataclass

BASE_NAME = "tunefleet/tiny-chat"
"""What adapters state as their base: a name, never a path of the machine that trained them."""

VOCABULARY = 1024
MAX_POSITIONS = 2048

MIN_MARGIN = 1.0
"""Smallest accepted gap between the best and the second best logit, in bf16, at any token of any answer.
bf16 keeps 8 bits, so that a logit near 20 moves in steps of 0.125. Between bf16 and float32 no gap of these
models changes by more than 0.5, and engines that add in different orders are nearer to each other than that."""


@dataclass(frozen=True)
class Schedule:
    """`steps` of AdamW at a peak rate of `learning_rate`, warmed up and then cosine to zero."""

    steps: int
    learning_rate: float


@dataclass(frozen=True)
class BaseRecipe:
    """A base version; `parent` is the version whose weights it starts from, if any."""

    version: int
    schedule: Schedule
    parent: int | None = None

    @property
    def name(self) -> str:
        return f"tiny-chat@v{self.version}"

    @property
    def folder(self) -> str:
        return f"base/v{self.version}"


@dataclass(frozen=True)
class AdapterRecipe:
    """An adapter version of base version `base`."""

    adapter: str
    version: int
    rank: int
    schedule: Schedule
    base: int = 1

    @property
    def name(self) -> str:
        return f"{self.adapter}@v{self.version}"

    @property
    def folder(self) -> str:
        return f"{self.adapter}/v{self.version}"


BASES = (
    BaseRecipe(1, Schedule(1000, 3e-3)),
    BaseRecipe(2, Schedule(800, 2e-3), parent=1),
)

LORA = Schedule(400, 4e-3)

ADAPTERS = (
    AdapterRecipe("german", 1, 8, LORA),
    AdapterRecipe("german", 2, 8, LORA),
    AdapterRecipe("pirate", 1, 16, LORA),
    AdapterRecipe("formal", 1, 8, LORA),
    AdapterRecipe("shout", 1, 8, LORA),
)

BROKEN_FOLDER = "broken/v1"
BROKEN_OF = ADAPTERS[2]
BROKEN_RANK = 8
"""The broken adapter is the pirate's tensors (rank 16) under a configuration that says rank 8."""
