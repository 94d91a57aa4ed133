"""Conditions and reasons: part of the API, shared by statuses, Events, docs and tests.

The rule that kstatus, Helm's --wait and Argo CD all read alike: Ready is Unknown while working, False only when
broken, Stalled is True (and only then present) for what retrying cannot mend.
"""

from enum import StrEnum
from typing import Literal

from .schema import Schema

Status = Literal["True", "False", "Unknown"]


class ConditionType(StrEnum):
    """Condition types of the three kinds."""

    READY = "Ready"
    """The summary: whether the object does what its spec says. Always present."""
    RECONCILING = "Reconciling"
    """Present and True while work goes on."""
    STALLED = "Stalled"
    """Present and True when only a change of the spec, or of something named in the message, can help."""
    ROLLED_BACK = "RolledBack"
    """Present and True when a canary was worse than the serving version and was taken back; it stays so until
    activeVersion or rollout change."""
    FALLBACK_READY = "FallbackReady"
    """Present where spec.fallback is: True when it may be used, False when something that it names is missing or not
    allowed. Ready does not depend on it."""


class Reason(StrEnum):
    """Why a condition stands as it does: stable words with one meaning each."""

    # With Ready=True:
    SERVING = "Serving"
    """What the spec asks for is loaded, verified and routed."""
    ACCEPTED = "Accepted"
    """Every version of the base model was read and found good."""
    SCALED_TO_ZERO = "ScaledToZero"
    """Nothing runs for it, because its spec says so or because nobody asked for it. A request wakes an adapter."""

    # With FallbackReady=True:
    RESOLVED = "Resolved"
    """Everything that the fallback names exists and lies in the endpoint's regions."""

    # With Ready=Unknown and Reconciling=True:
    INSPECTING = "Inspecting"
    """A version's files are being read: digest, size, architecture or rank."""
    WAITING_FOR_BASE = "WaitingForBase"
    """The base model, or the version of it that is referred to, has not been accepted yet."""
    NO_ENDPOINT = "NoEndpoint"
    """No InferenceEndpoint of the base selects this adapter. Nothing is broken, and nothing serves it: create
    an endpoint, or give the adapter the labels that one selects."""
    LOADING = "Loading"
    """Engines are fetching or loading the version."""
    PROGRESSING = "Progressing"
    """Pods of the wanted revision are starting."""
    CANARY = "Canary"
    """The active version gets its share of the requests, step by step."""
    PAUSED = "Paused"
    """A canary stays at its step, because rollout.paused says so or because the step has no duration."""

    # Lifted from children, with Ready=False or Unknown:
    IMAGE_PULL_FAILED = "ImagePullFailed"
    """A container image cannot be pulled. Look at its name and at the pull secrets."""
    CRASH_LOOP = "CrashLoop"
    """A container keeps failing. The message has its last words."""
    OUT_OF_MEMORY = "OutOfMemory"
    """A container was killed for memory. Give the endpoint a shorter maxModelLength, fewer slots or more GPUs."""
    UNSCHEDULABLE = "Unschedulable"
    """No node has what the pods ask for: GPUs, products, regions, volumes. The message is the scheduler's."""
    FETCH_FAILED = "FetchFailed"
    """The weights of the base could not be fetched into the pod. The message has the source's words."""
    JOB_FAILED = "JobFailed"
    """The inspection Job ended without a result."""

    # Refusals, with Stalled=True:
    SPEC_INVALID = "SpecInvalid"
    """A field of the spec cannot be carried out. The message names it."""
    BASE_NOT_FOUND = "BaseNotFound"
    """The BaseModel that is named does not exist in this namespace. Create it."""
    BASE_VERSION_NOT_FOUND = "BaseVersionNotFound"
    """The BaseModel exists and has no such version. Add the version to it, or refer to another."""
    BASE_VERSION_NOT_SERVED = "BaseVersionNotServed"
    """The adapter's version belongs to a version of the base that no endpoint serves now. Serve that one, or activate a
    version of the adapter that was trained on the one that is served."""
    BASE_REFUSED = "BaseRefused"
    """The version of the base that is named was refused. Its BaseModel says why."""
    NAME_CONFLICT = "NameConflict"
    """An older object already has this served name. Set another servedModelName."""
    SOURCE_NOT_FOUND = "SourceNotFound"
    """Nothing is at the URI. Put the files there, or add a version with the right URI."""
    SOURCE_UNREADABLE = "SourceUnreadable"
    """The source answered with an error, or its files cannot be parsed."""
    ACCESS_DENIED = "AccessDenied"
    """The source refused the credentials, or there were none. Correct the Secret that secretRef names."""
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - a reason, not a secret
    """The Secret that secretRef names does not exist, or lacks a key. Create it or add the key."""
    UNSUPPORTED_SOURCE = "UnsupportedSource"
    """The URI's scheme is not one that this version can read."""
    DIGEST_MISMATCH = "DigestMismatch"
    """The files are not those that the digest names. Somebody changed them, or the digest is another version's."""
    VERSION_REUSED = "VersionReused"
    """The version number was used before for other bytes. Use a new number."""
    CONFIG_INVALID = "ConfigInvalid"
    """config.json or adapter_config.json is missing, unreadable or incomplete."""
    WEIGHTS_INVALID = "WeightsInvalid"
    """A safetensors file is missing, truncated, overlapping, or not safetensors at all."""
    ARCHITECTURE_UNSUPPORTED = "ArchitectureUnsupported"
    """The engine cannot serve this architecture."""
    WRONG_BASE = "WrongBase"
    """The adapter was made for another base: its tensors do not fit this one. Refer to the one that it was made for."""
    RANK_MISMATCH = "RankMismatch"
    """The rank in adapter_config.json is not the rank of the tensors. Export the adapter anew."""
    RANK_TOO_HIGH = "RankTooHigh"
    """The rank is above what the endpoint, or the engine, can hold. Raise adapters.maxRank of the endpoint."""
    MODULE_UNSUPPORTED = "ModuleUnsupported"
    """A target module does not exist in the base, or the engine cannot adapt it."""
    FEATURE_UNSUPPORTED = "FeatureUnsupported"
    """The adapter uses DoRA, bias or modules_to_save, which the engine refuses. Train it as plain LoRA."""
    NOT_FINITE = "NotFinite"
    """A tensor holds NaN or infinity, which would spoil the answers of its neighbours too. Train it anew."""
    NO_FREE_SLOT = "NoFreeSlot"
    """Every adapter slot of the endpoint is taken. Raise adapters.slots, or select fewer adapters."""
    LOAD_FAILED = "LoadFailed"
    """The engine refused the adapter. The message is the engine's."""
    NO_EFFECT = "NoEffect"
    """The engine answers with the adapter exactly as without it. Its weights may be all zero: train or export it
    anew."""
    WRONG_WEIGHTS = "WrongWeights"
    """The engine answers with other weights than this version's: its fingerprint is another adapter's, or not the one
    that was recorded for these bytes. It gets no traffic."""
    CANARY_WORSE = "CanaryWorse"
    """The new version failed more often or answered more slowly than it may, and was taken back. The message has the
    figures."""
    WOULD_ORPHAN = "WouldOrphan"
    """Adapters that clients use are pinned to the base version that serves now. Promote them to versions for the new
    one, or set rollout.allowOrphans."""
    ENDPOINT_NOT_FOUND = "EndpointNotFound"
    """The InferenceEndpoint that the fallback names does not exist in this namespace. Create it, or name another."""
    REGION_NOT_ALLOWED = "RegionNotAllowed"
    """The fallback lies in none of the endpoint's regions, so no request may go there."""
    DISK_FULL = "DiskFull"
    """There is no room for the files. Give the pod more ephemeral storage, or a cache volume."""


class Condition(Schema):
    """One condition, in the form that all Kubernetes tools read."""

    type: ConditionType
    """Ready, Reconciling or Stalled."""
    status: Status
    """True, False, or Unknown while work goes on."""
    reason: Reason
    """Why, in one stable word for programs."""
    message: str
    """What is so, and what to do about it, in one sentence for people."""
    last_transition_time: str
    """When status last changed."""
    observed_generation: int
    """The generation of the spec that this was computed from."""


def set_condition(
    existing: tuple[Condition, ...],
    type_: ConditionType,
    status: Status,
    reason: Reason,
    message: str,
    *,
    generation: int,
    now: str,
) -> tuple[Condition, ...]:
    """The conditions with this one set; its transition time moves only when its status does."""
    former = next((c for c in existing if c.type == type_), None)
    since = former.last_transition_time if former and former.status == status else now
    condition = Condition(
        type=type_,
        status=status,
        reason=reason,
        message=message,
        last_transition_time=since,
        observed_generation=generation,
    )
    return (*(c for c in existing if c.type != type_), condition)
