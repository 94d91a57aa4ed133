"""What was read out of the files of one version: the answer of an inspection, by an agent or by a Job.

An answer is complete in itself: a refusal is an answer with `reason` set, not an error. The JSON of an adapter's
answer fits in a pod's termination message (4096 bytes).
"""

from typing import Annotated, Literal

from pydantic import Field

from .base_model import Architecture
from .common import MAX_MESSAGE
from .conditions import Reason
from .schema import Schema

MAX_RESULT_BYTES = 4096
"""Size of a termination message: https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/"""

MAX_LINEAGE = 64
"""Entries."""
MAX_LINEAGE_VALUE = 1024
"""Characters."""

InspectedKind = Literal["adapter", "base"]


class AdapterFacts(Schema):
    """What adapter_config.json and the tensors of a LoRA adapter say; enough to judge it against a base."""

    rank: int
    """The lowest max rank of an engine that takes it: the highest of its tensors' ranks, of `r` and of rank_pattern.
    0 when it has no LoRA tensor."""
    ranks: tuple[int, ...] = ()
    """Every rank that its tensors have, rising."""
    configured_rank: int
    """`r` of adapter_config.json."""
    target_modules: tuple[str, ...] = ()
    """target_modules of adapter_config.json by their last names; a pattern or "all-linear" is one element."""
    unmatched_targets: tuple[str, ...] = ()
    """Elements of a target_modules list that no tensor adapts, at most five."""
    modules: dict[str, tuple[int, int]] = Field(default_factory=dict)
    """Modules that the tensors adapt, by path with `*` for every index, as in Architecture: (inputs, outputs)."""
    mixed_modules: tuple[str, ...] = ()
    """Modules whose tensors do not have the same inputs and outputs in every layer, at most five."""
    rank_mismatches: tuple[str, ...] = ()
    """Modules whose tensors do not have the rank that r and rank_pattern give them, at most five."""
    layers: int
    """The highest layer index of its tensors plus one."""
    every_layer: bool = False
    """adapter_config.json lists kinds of modules and no layers, so every layer that has them should be adapted."""
    missing_in_layers: tuple[str, ...] = ()
    """With every_layer: modules that a layer lacks although others have them, with that layer, at most five."""
    experts: int = 0
    """The highest expert index of its tensors plus one."""
    incomplete_experts: tuple[str, ...] = ()
    """Mixtures of experts of which some expert lacks tensors that others have, at most five."""
    vocabulary: int | None = None
    """Rows of the base's embedding where PEFT saved that beside the adapter."""
    base_model_name: str | None = None
    """base_model_name_or_path of adapter_config.json: what the author's disk called the base; a hint, not a check."""
    features: tuple[str, ...] = ()
    """Features beyond plain LoRA that it uses: dora, bias, modules_to_save:NAME, …"""
    non_finite: tuple[str, ...] = ()
    """Names of tensors that hold NaN or infinity, at most five."""
    largest: float = 0.0
    """The largest finite magnitude of its values, B multiplied by its scaling; it must fit the base's dtype."""
    unexpected_tensors: tuple[str, ...] = ()
    """Names of tensors that are not of LoRA's two kinds or lack their other half, at most five."""
    tensors: int
    """Number of tensors."""


class InspectionResult(Schema):
    """What is at a URI. `reason` set: it cannot be served, and `message` says what to do."""

    kind: InspectedKind
    """What it was read as."""
    resolved_uri: str | None = None
    """The URI with branch, tag or alias resolved to a commit, digest or version."""
    digest: str | None = None
    """sha256 over the files."""
    size_bytes: int | None = None
    """Bytes of all files that count."""
    adapter: AdapterFacts | None = None
    """Set for adapters that could be read."""
    architecture: Architecture | None = None
    """Set for bases that could be read."""
    lineage: dict[str, Annotated[str, Field(max_length=MAX_LINEAGE_VALUE)]] | None = Field(
        default=None, max_length=MAX_LINEAGE
    )
    """What the source tells of its origin, the most telling first. Never a credential."""
    reason: Reason | None = None
    """Why it cannot be read; absent when it could."""
    transient: bool = False
    """With `reason`: another try may succeed without a change of the spec, so this is no refusal yet."""
    message: Annotated[str, Field(max_length=MAX_MESSAGE)] = ""
    """One sentence for people."""

    def termination_message(self) -> str:
        """JSON of at most MAX_RESULT_BYTES bytes. The last of the lineage is left out first; facts that do not fit then
        are refused, and real ones are far smaller."""
        text = self.model_dump_json(by_alias=True, exclude_none=True, exclude_defaults=True)
        if len(text.encode()) <= MAX_RESULT_BYTES:
            return text
        if self.lineage:
            told = list(self.lineage.items())[:-1]
            return self.model_copy(update={"lineage": dict(told) or None}).termination_message()
        message = "its modules or tensors have too many or too long names to be described; save it with standard names"
        return InspectionResult(kind=self.kind, reason=Reason.WEIGHTS_INVALID, message=message).termination_message()
