"""What routing reads of a BaseModel or a LoRAAdapter: a gateway keeps thousands of them in memory."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from sys import intern
from typing import NamedTuple

from tunefleet.api.base_model import BaseModel
from tunefleet.api.lora_adapter import LoRAAdapter

from .facts import Key
from .route_table import TrialTerms
from .served_names import Seniority, Served, seniority

_DIGEST = re.compile("sha256:[0-9a-f]{64}")
_NO_LABELS: Mapping[str, str] = {}


class Share(NamedTuple):
    """Traffic of one version, as the object's status says."""

    version: int
    engine_name: str
    weight: int


@dataclass(frozen=True, slots=True)
class Routed:
    """An object with a served name."""

    key: Key
    served_name: str
    seniority: Seniority
    base: str | None = None
    """Name of the BaseModel that an adapter needs; None for a BaseModel."""
    labels: Mapping[str, str] = field(default_factory=dict)
    digests: tuple[tuple[int, str], ...] = ()
    """Versions that the status vouches for, with what their files hash to."""
    traffic: tuple[Share, ...] = ()
    """Ordered by version. A BaseModel has none: its endpoints' revisions say what answers."""
    trial: TrialTerms | None = None
    """The step that status.canary says, while it gives the new version traffic."""
    refused: bool = False
    """Whether an adapter's active version was refused."""

    def digest(self, version: int) -> str | None:
        """What the version's files hash to; None for one that the status does not vouch for."""
        for known, digest in self.digests:
            if known == version:
                return digest
        return None


def routed_base(base: BaseModel) -> Routed:
    """What routing reads of it."""
    return Routed(*_common(base), labels=_labels(base), digests=_digests(base))


def routed_adapter(adapter: LoRAAdapter) -> Routed:
    """What routing reads of it."""
    active = adapter.spec.active_version
    traffic = sorted(adapter.status.traffic, key=lambda share: share.version)
    return Routed(
        *_common(adapter),
        base=intern(adapter.spec.base_model_ref.name),
        labels=_labels(adapter),
        digests=_digests(adapter),
        traffic=tuple([Share(share.version, intern(share.engine_name), share.weight) for share in traffic]),
        trial=_trial(adapter),
        refused=any(entry.version == active and entry.accepted is False for entry in adapter.status.versions),
    )


def _common(obj: Served) -> tuple[Key, str, Seniority]:
    age = seniority(obj)
    age = age._replace(namespace=intern(age.namespace), kind=intern(age.kind))
    return Key(age.namespace, age.name), obj.served_name, age


def _labels(obj: Served) -> Mapping[str, str]:
    labels = {intern(name): intern(value) for name, value in obj.metadata.labels.items()}
    return labels or _NO_LABELS


def _digests(obj: Served) -> tuple[tuple[int, str], ...]:
    good = [e for e in obj.status.versions if e.accepted is not False and e.digest and _DIGEST.fullmatch(e.digest)]
    return tuple([(entry.version, intern(entry.digest or "")) for entry in good])


def _trial(adapter: LoRAAdapter) -> TrialTerms | None:
    canary, analysis = adapter.status.canary, adapter.spec.rollout.analysis
    for share in adapter.status.traffic if canary else ():
        if canary and share.version == canary.version:
            return TrialTerms(canary.since, share.engine_name, analysis.min_requests if analysis else 0)
    return None
