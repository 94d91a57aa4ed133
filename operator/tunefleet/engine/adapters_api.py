"""The agent's HTTP API as structures: what the operator asks for, and what agents report to operator and gateway."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from tunefleet.api.common import MAX_MESSAGE, Digest, SourceUriText
from tunefleet.api.conditions import Reason
from tunefleet.api.lora_adapter import MAX_FINGERPRINTS, Fingerprint
from tunefleet.api.schema import Schema

ADAPTERS_PATH = "/v1/adapters"
INSPECTIONS_PATH = "/v1/inspections"
LONG_POLL_SECONDS = 30.0
"""Longest time that GET ADAPTERS_PATH?after=ETAG waits for a change."""


class AdapterState(StrEnum):
    """Where an adapter stands on one pod."""

    FETCHING = "Fetching"
    """Its files are being transferred."""
    VERIFYING = "Verifying"
    """Its bytes and tensors are being checked."""
    LOADING = "Loading"
    """The engine is taking it, or has to come up first."""
    LOADED = "Loaded"
    """The engine holds it and answered a completion with it."""
    DRAINING = "Draining"
    """It left the desired set and is being unloaded."""
    FAILED = "Failed"
    """It is not served here; `reason` and `message` say why."""


class DesiredAdapter(Schema):
    """One adapter version that an engine shall hold."""

    engine_name: Annotated[str, Field(min_length=1, max_length=160, pattern=r"^[A-Za-z0-9._-]+@v[0-9]+-[0-9a-f]{8}$")]
    """NAME@vN-DIGEST8, see `api.names.engine_name`."""
    uri: SourceUriText
    """Where the files are, resolved."""
    digest: Digest
    """What the files must hash to."""
    rank: Annotated[int, Field(ge=1, le=512)]
    """Rank of its tensors, as inspected."""
    secret_name: str | None = None
    """Secret of the pod's namespace with the source's credentials."""
    fingerprints: Annotated[tuple[Fingerprint, ...], Field(max_length=MAX_FINGERPRINTS)] = ()
    """What was recorded for these bytes, by kind of engine. A load whose figures differ is refused."""


class AdaptersRequest(Schema):
    """The body of PUT: the whole desired set."""

    adapters: Annotated[tuple[DesiredAdapter, ...], Field(max_length=4096)]
    """Every adapter that the engine shall hold; others are unloaded."""


class InspectionBody(Schema):
    """The body of POST INSPECTIONS_PATH: an adapter to look at."""

    uri: SourceUriText
    """Where the files are."""
    secret_name: str | None = None
    """Secret of the pod's namespace with the source's credentials."""
    digest: Digest | None = None
    """What the files must hash to, when known."""


class EngineReport(Schema):
    """The engine beside the agent."""

    name: str
    """Engine name of the base."""
    ready: bool
    """A real completion on the base succeeded since the engine last started."""
    version: str = ""
    """vLLM's version; empty before the first contact."""
    starts: int = 0
    """Engine starts that the agent has seen."""
    slots: int
    """vLLM's --max-loras."""
    max_rank: int
    """vLLM's --max-lora-rank."""
    device: Literal["cpu", "gpu"] = "gpu"
    """What the engine computes on."""
    kind: str = ""
    """Digest of what decides its figures, see `engine.fingerprint.engine_kind`; empty until it has answered."""
    fetched: Annotated[int, Field(ge=0, le=100)] | None = None
    """Percent of the base's bytes on the pod's disk, while they are being fetched."""


class AdapterReport(Schema):
    """One adapter on one pod."""

    engine_name: str
    """NAME@vN-DIGEST8."""
    uri: str
    """Where the files came from."""
    digest: str
    """What the files hash to."""
    state: AdapterState
    """Where it stands."""
    reason: Reason | None = None
    """Why it failed, or why it waits."""
    message: Annotated[str, Field(max_length=MAX_MESSAGE)] = ""
    """One sentence for people; the engine's words where it refused."""
    progress: Annotated[int, Field(ge=0, le=100)] | None = None
    """Percent of the bytes transferred, while Fetching."""
    load_seconds: float | None = None
    """Seconds that the engine took for the last load, the probe included."""
    fingerprint: Fingerprint | None = None
    """What was measured at the last load; the operator records the first of each kind of engine."""
    compared: bool = False
    """Whether a recorded fingerprint of this kind of engine was known, and agreed."""


class AdaptersReport(Schema):
    """The answer to GET and PUT: everything an agent knows, under one etag."""

    etag: str
    """Changes with every change of the report; BOOT-N, so that another agent process never repeats one."""
    engine: EngineReport
    """The engine beside the agent."""
    adapters: tuple[AdapterReport, ...] = ()
    """Desired adapters in the order of their names, then those that are being unloaded."""
    message: str = ""
    """One sentence about the pod as a whole, such as why it is not ready."""
