"""What the engine beside makes of each adapter, and whether that is the adapter: see `engine.fingerprint`."""

import asyncio
from collections.abc import Iterable

from tunefleet.api.lora_adapter import Fingerprint
from tunefleet.engine.admin import EngineClient
from tunefleet.engine.errors import EngineError
from tunefleet.engine.fingerprint import Figures, Reference, Verdict, engine_kind, judge, tolerance

TOGETHER = 3
"""Measurements of the base at once, after a first one alone: batches of other sizes are added up in another order."""


async def measure_reference(engine: EngineClient, base: str, *, options: str, product: str) -> Reference:
    """What the base answers now, and how much that varies on this engine. Raises EngineError.

    It is also the proof that the engine can compute, and makes it compile what log-probabilities need.
    """
    alone = await engine.figures(base)
    together = await asyncio.gather(*(engine.figures(base) for _ in range(TOGETHER)))
    kind = engine_kind(version=await engine.version(), base=base, options=options, product=product)
    try:
        return Reference(kind, alone, tolerance([alone, *together]))
    except ValueError as error:
        raise EngineError(200, f"{base}: {error}") from error


class Effects:
    """Figures of the adapters that one engine start holds."""

    def __init__(self) -> None:
        self._reference: Reference | None = None
        self._held: dict[str, tuple[str, Figures]] = {}

    def judge(
        self, reference: Reference, name: str, weights: str, measured: Figures, recorded: Iterable[Fingerprint]
    ) -> Verdict | None:
        """Hold what was measured against all that is known. Who passes is known from then on.

        `weights`: sha256 of the weight file. The same weights under two names have to give the same figures.
        """
        if reference is not self._reference:
            self._reference, self._held = reference, {}
        others = {other: figures for other, (of, figures) in self._held.items() if of != weights and other != name}
        verdict = judge(measured, reference, others, recorded_for(reference, recorded))
        if verdict is None:
            self._held[name] = (weights, measured)
        else:
            self.forget(name)
        return verdict

    def forget(self, name: str) -> None:
        """It is no longer in the engine."""
        self._held.pop(name, None)


def recorded_for(reference: Reference, recorded: Iterable[Fingerprint]) -> Figures | None:
    """What was recorded on this kind of engine."""
    return next((known.logprobs for known in recorded if known.engine == reference.kind), None)
