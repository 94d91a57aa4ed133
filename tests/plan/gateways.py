"""Gateways of the simulated cluster: they send by the status, count what they sent, and tell."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from tunefleet.api.lora_adapter import LoRAAdapter, Traffic
from tunefleet.plan.demand import FIRST_TOKEN_BOUNDS, DemandReport, Trial, VersionSample
from tunefleet.plan.facts import Key

BUCKET = 40
"""All times to first token are the same, but for those of a slow version."""
SLOWER = 15
"""Buckets."""


@dataclass
class _Counts:
    requests: int = 0
    errors: int = 0
    first_token: list[int] = field(default_factory=lambda: [0] * (len(FIRST_TOKEN_BOUNDS) + 1))


@dataclass
class Gateway:
    """One process."""

    boot: int = 0
    _trials: dict[Key, tuple[str, dict[str, _Counts]]] = field(default_factory=dict)

    def restart(self) -> None:
        """All counts are lost."""
        self.boot += 1
        self._trials.clear()

    def ask(
        self, adapter: LoRAAdapter, requests: int, answering: Iterable[str], bad: Iterable[str], slow: Iterable[str]
    ) -> None:
        """So many requests for an adapter; engine names that some engine holds, that fail, and that are slow."""
        for share, count in _shares(adapter, requests, set(answering)):
            counts = self._counts(adapter, share.engine_name)
            failed = share.engine_name in set(bad)
            counts.requests += count
            counts.errors += count if failed else 0
            counts.first_token[BUCKET + (SLOWER if share.engine_name in set(slow) else 0)] += 0 if failed else count

    def report(self) -> DemandReport:
        """What it tells the operator."""
        trials = [
            Trial(
                namespace=key.namespace,
                name=key.name,
                since=since,
                versions=tuple(
                    VersionSample(
                        engine_name=name, requests=c.requests, errors=c.errors, first_token=tuple(c.first_token)
                    )
                    for name, c in sorted(versions.items())
                ),
            )
            for key, (since, versions) in sorted(self._trials.items())
        ]
        return DemandReport(etag=f"{self.boot}-{len(trials)}", trials=tuple(trials))

    def _counts(self, adapter: LoRAAdapter, engine_name: str) -> _Counts:
        key, canary = Key(adapter.metadata.namespace, adapter.metadata.name), adapter.status.canary
        if canary is None:
            self._trials.pop(key, None)
            return _Counts()
        if self._trials.get(key, ("",))[0] != canary.since:
            self._trials[key] = (canary.since, {})
        return self._trials[key][1].setdefault(engine_name, _Counts())


def _shares(adapter: LoRAAdapter, requests: int, answering: set[str]) -> list[tuple[Traffic, int]]:
    """By weight among the versions that some engine holds."""
    shares = [share for share in adapter.status.traffic if share.engine_name in answering]
    weights = sum(share.weight for share in shares)
    return [(share, requests * share.weight // weights) for share in shares]
