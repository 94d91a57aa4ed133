"""InferenceEndpoint: engine pods that serve one version of a base and the adapters selected for it."""

from typing import Annotated, Literal

from pydantic import Field

from .common import LabelValue, ObjectMeta, ObjectName, ObjectReference, ObjectStatus, VersionNumber
from .engine_flags import OWNED_FLAGS, advice
from .schema import Schema
from .validation import UNIQUE, Rule, cel_list, checked, keyed_by, worded

Auto = Literal["Auto"]
Dtype = Literal["auto", "bfloat16", "float16", "float32"]
CPU = "cpu"
"""accelerator.resourceName for engines that use no device."""

_CHOICE = Field(
    max_length=32,
    pattern=r"^[a-z0-9]([a-z0-9_-]*[a-z0-9])?$",
    json_schema_extra=worded("write one of vLLM's choices: lowercase letters, digits, '_' and '-'"),
)
_FLAG = "self.find('^--[^=.]+').replace('_', '-')"
_EXTRA_ARG = Annotated[
    str,
    Field(
        max_length=512,
        pattern=r"^--[A-Za-z][A-Za-z0-9._+-]*(=(?s:.*))?$",
        json_schema_extra=worded("write each flag as --name=value or --name, one to an element")
        | checked(
            Rule(
                f"!self.matches('^--[^=.]') || !{cel_list(OWNED_FLAGS)}.exists(flag, flag.startsWith({_FLAG}))",
                "this flag is set by Tunefleet: remove it",
                f"{cel_list(map(advice, OWNED_FLAGS))}.filter(advice, advice.startsWith({_FLAG}))[0]",
            )
        ),
    ),
]


class ModelReference(Schema):
    """A version of a BaseModel of this namespace."""

    name: ObjectName = Field(
        json_schema_extra=checked(
            Rule("self == oldSelf", "model.name never changes; create another InferenceEndpoint for another base model")
        )
    )
    """Name of the BaseModel. It never changes."""
    version: VersionNumber
    """The version to serve. Patch it up to promote and down to roll back."""


class LabelSelector(Schema):
    """Selects adapters by label. When empty it selects every adapter of the base."""

    match_labels: dict[str, LabelValue] = Field(default={}, max_length=16)
    """Labels that an adapter must have, all of them."""


class Adapters(Schema):
    """Which adapters of the base the endpoint carries, and how many and how large ones fit."""

    selector: LabelSelector = LabelSelector()
    """Selects adapters by label. When empty it selects every adapter of the base."""
    max_rank: Annotated[int, Field(ge=1, le=512)] | Auto = "Auto"
    """The highest rank that fits, a number or Auto. Every slot takes memory for it. Auto is what the selected adapters
    need, at least 16; it grows with a new revision and never shrinks."""
    slots: Annotated[int, Field(ge=1, le=512)] | Auto = "Auto"
    """How many adapters can run in one batch, a number or Auto. Auto is at least 8 and grows with a new revision."""


class Engine(Schema):
    """How vLLM is started. A change makes a new revision: new pods start, then the old ones go."""

    image: (
        Annotated[str, Field(max_length=512, pattern=r"^\S+$", json_schema_extra=worded("write an image reference"))]
        | None
    ) = None
    """Runtime image. It is the operator's default when absent."""
    dtype: Dtype = "auto"
    """Number format of weights and activations (--dtype of vLLM)."""
    quantization: Annotated[str, _CHOICE] | None = None
    """Quantization method (--quantization of vLLM). It is read from config.json when absent."""
    max_model_length: Annotated[int, Field(ge=16, le=100_000_000)] | None = None
    """Longest context in tokens (--max-model-len of vLLM). It is the model's own when absent."""
    max_concurrent_requests: Annotated[int, Field(ge=1, le=4096)] | None = None
    """Requests in one batch (--max-num-seqs of vLLM). It is vLLM's own default when absent."""
    prefix_caching: bool = True
    """Whether prompts that begin alike share their KV cache (--enable-prefix-caching of vLLM)."""
    kv_cache_dtype: Annotated[str, _CHOICE] | None = None
    """Number format of the KV cache (--kv-cache-dtype of vLLM). It is that of the model when absent."""
    extra_args: Annotated[tuple[_EXTRA_ARG, ...], Field(max_length=64)] = ()
    """Further flags for vLLM, each as --name=value or --name. Flags that Tunefleet sets itself are refused by name."""


class Parallelism(Schema):
    """How one replica spreads over the GPUs of its node."""

    tensor: Annotated[int, Field(ge=1, le=64)] | Auto = "Auto"
    """GPUs that share every layer, a number or Auto. Auto is the fewest that hold the weights and divide the heads."""
    pipeline: Annotated[int, Field(ge=1, le=64)] = 1
    """Number of stages that the layers are divided into."""


class Accelerator(Schema):
    """What a replica is scheduled on."""

    rules = (
        Rule(
            f"self.resourceName != '{CPU}' || !has(self.products) || self.products.size() == 0",
            "products name GPUs: remove them, or set resourceName to what those GPUs are asked for by",
        ),
    )

    resource_name: Annotated[
        str,
        Field(
            max_length=253,
            pattern=r"^(cpu|[a-z0-9]([a-z0-9.-]*[a-z0-9])?/[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)$",
            json_schema_extra=worded("write cpu, or an extended resource such as nvidia.com/gpu"),
        ),
    ] = "nvidia.com/gpu"
    """Extended resource to ask for, one for each GPU. The value cpu asks for no device."""
    products: Annotated[tuple[LabelValue, ...], Field(max_length=16, json_schema_extra=UNIQUE)] = ()
    """Values of the node label nvidia.com/gpu.product that will do. When empty, any will."""


class Placement(Schema):
    """Where pods may run."""

    regions: Annotated[tuple[LabelValue, ...], Field(max_length=16, json_schema_extra=UNIQUE)] = ()
    """Values of the node label topology.kubernetes.io/region, one of which is required. When empty, any will do."""


class ModelCache(Schema):
    """A volume that keeps the weights of bases between pods."""

    claim_name: ObjectName
    """PersistentVolumeClaim of this namespace, which pods write to: ReadWriteMany to be shared by nodes, or storage of
    one node. Every pod verifies what it finds there, and fetches it anew when it is not what it shall be. Nothing is
    deleted from it."""


class EndpointRollout(Schema):
    """How a new revision replaces the old one."""

    rules = (
        Rule(
            "!has(self.maxSurge) || self.maxSurge > 0 || self.maxUnavailable > 0",
            "with maxSurge 0 no pod could be replaced: set maxUnavailable to at least 1",
            field_path=".maxSurge",
        ),
    )

    max_surge: Annotated[int, Field(ge=0, le=1000)] | None = None
    """Number of pods beyond replicas while pods are replaced. When absent, or not below replicas, the new revision
    stands whole before the traffic moves in one step. That is so in any case for another base version, and where not
    every adapter fits on each pod."""
    max_unavailable: Annotated[int, Field(ge=0, le=1000)] = 0
    """Number of pods that may be missing meanwhile, where maxSurge is below replicas."""
    keep_warm: Annotated[int, Field(ge=0, le=604800)] = 300
    """Seconds that the old revision's pods stay after the new one serves, so that going back takes no start."""
    history_limit: Annotated[int, Field(ge=0, le=20)] = 10
    """Number of former revisions that status.history remembers, each with what to write into the spec to go back."""
    allow_orphans: bool = False
    """Whether another base version may take over although adapters that clients use are pinned to the present one. The
    old revision's pods stay for those that they hold; one that sleeps is not answered any more."""


class SecretKeyReference(Schema):
    """One value of a Secret of this namespace."""

    name: ObjectName
    """Name of the Secret."""
    key: Annotated[
        str,
        Field(
            max_length=253,
            pattern=r"^[A-Za-z0-9._-]+$",
            json_schema_extra=worded("write a key of the Secret: letters, digits, '.', '_' and '-'"),
        ),
    ] = "apiKey"
    """Which of its values."""


class ExternalUpstream(Schema):
    """An OpenAI-compatible server that Tunefleet does not run."""

    url: Annotated[
        str,
        Field(
            max_length=512,
            pattern=r"^https?://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?$",
            json_schema_extra=worded(
                "write https://HOST[:PORT][/PATH] or http://..., as OpenAI's clients take it for base URL; "
                "no user, query or fragment"
            ),
        ),
    ]
    """Its base URL, as OpenAI's clients take it: what stands before /chat/completions, mostly ending in /v1. Without a
    path, /v1 is meant. It is never followed by another /v1."""
    model: Annotated[
        str,
        Field(
            max_length=200,
            pattern=r"^[A-Za-z0-9]([A-Za-z0-9._:/@+-]*[A-Za-z0-9])?$",
            json_schema_extra=worded(
                "write the name that the server knows the model by: letters, digits and ._:/@+- in between"
            ),
        ),
    ]
    """The name that the server knows the model by. Answers carry it in x-tunefleet-model."""
    secret_ref: SecretKeyReference | None = None
    """The API key, sent as `Authorization: Bearer KEY`. Only gateways read it. A key CA_CERTIFICATE of the same Secret
    is the authority (PEM) of a server whose certificate no public one signed. When absent no key is sent."""
    region: LabelValue | None = None
    """Where the server is, by the names that placement.regions uses. It is required where those are given."""


class Fallback(Schema):
    """Who answers when the endpoint's own engines cannot. Those are other weights, so each such answer says so in the
    header x-tunefleet-fallback, and requests for an exact version never get one."""

    rules = (
        Rule(
            "has(self.endpointRef) != has(self.external)",
            "a fallback is one of two things: set endpointRef or external, and not both",
        ),
    )

    endpoint_ref: ObjectReference | None = None
    """Another InferenceEndpoint of this namespace. The base that it serves answers, on its pods in regions that
    placement.regions of this endpoint allows. Its own fallback is not taken."""
    external: ExternalUpstream | None = None
    """An OpenAI-compatible server that Tunefleet does not run."""
    adapters: LabelSelector | None = None
    """Adapters whose requests may be answered so too, by label: what they get is not their fine-tuned weights. When
    absent no adapter's are; `{}` is all."""


class InferenceEndpointSpec(Schema):
    """Which version of a base model is served, with which adapters, on what and how."""

    rules = (
        Rule(
            f"self.accelerator.resourceName != '{CPU}' || self.parallelism.pipeline == 1"
            " && (self.parallelism.tensor == 'Auto' || self.parallelism.tensor == 1)",
            "an engine on cpu is one process: set parallelism.tensor to Auto or 1, and pipeline to 1",
            field_path=".parallelism",
        ),
        Rule(
            "type(self.parallelism.tensor) != int || int(self.parallelism.tensor) * self.parallelism.pipeline <= 64",
            "tensor times pipeline is the number of GPUs of one pod: at most 64",
            field_path=".parallelism",
        ),
        Rule(
            "!has(self.fallback) || !has(self.fallback.external)"
            " || !has(self.placement.regions) || self.placement.regions.size() == 0"
            " || (has(self.fallback.external.region) && self.fallback.external.region in self.placement.regions)",
            "requests stay in placement.regions: set fallback.external.region to the one that the server is in",
            field_path=".fallback",
        ),
    )

    model: ModelReference
    """The version of the base model that is served."""
    adapters: Adapters = Adapters()
    """Which adapters of the base model it carries, and how many and how large ones fit."""
    engine: Engine = Engine()
    """How vLLM is started. A change makes a new revision: new pods start, then the old ones go."""
    parallelism: Parallelism = Parallelism()
    """How one replica spreads over the GPUs of its node."""
    accelerator: Accelerator = Accelerator()
    """What a replica is scheduled on."""
    placement: Placement = Placement()
    """Where pods may run."""
    model_cache: ModelCache | None = None
    """Where weights of bases are kept between pods. When absent each pod fetches its own copy."""
    replicas: Annotated[int, Field(ge=0, le=1000)] = 1
    """Number of engine pods. It is fixed here, or set through the scale subresource."""
    rollout: EndpointRollout = EndpointRollout()
    """How a new revision replaces the old one."""
    fallback: Fallback | None = None
    """Who answers when the endpoint's own engines cannot: while none is ready or reachable, or while they fail."""


class EndpointPlan(Schema):
    """What the operator worked out for the wanted revision."""

    tensor: int
    """Number of GPUs that share every layer."""
    accelerators_per_replica: int
    """Number of devices that one replica asks for; 0 on CPU."""
    slots: int
    """Number of adapters that can run in one batch (--max-loras of vLLM)."""
    max_rank: int
    """The highest rank that fits (--max-lora-rank of vLLM)."""
    why: Annotated[tuple[str, ...], Field(max_length=16)] = ()
    """How each number came about, in sentences."""


RevisionState = Literal["Progressing", "Serving", "Warm", "Draining"]


class Revision(Schema):
    """One set of engine pods: base version, engine flags and size as a unit."""

    name: str
    """Name of its Deployment."""
    base_model_version: int
    """Version of the base."""
    engine_name: str
    """The name under which its engines know the base."""
    state: RevisionState
    """Progressing while it starts, Serving when it answers, Warm when kept for going back, Draining before it goes."""
    replicas: int = 0
    """Number of pods that exist."""
    ready_replicas: int = 0
    """Number of pods that answered a real completion."""
    since: str
    """When it came into this state."""


class RevisionRecord(Schema):
    """A revision that took the traffic over, and the part of the spec that makes it again."""

    name: str
    """Name of its Deployment."""
    time: str
    """When it took over."""
    from_name: str | None = Field(default=None, validation_alias="from", serialization_alias="from")
    """Name of the revision before; absent for the first."""
    cause: str
    """What caused it: Created, Changed, RolledBack, or a sentence."""
    changes: Annotated[tuple[str, ...], Field(max_length=32)] = ()
    """What differs from the revision before, a line each, such as `model.version: 1 -> 2`."""
    spec: Annotated[str, Field(max_length=16384)]
    """The fields model, engine, parallelism, accelerator and adapters of the spec, as JSON."""


class InferenceEndpointStatus(ObjectStatus):
    """What runs for the endpoint."""

    plan: EndpointPlan | None = None
    """What was worked out for the wanted revision."""
    revisions: Annotated[tuple[Revision, ...], Field(max_length=16, json_schema_extra=keyed_by("name"))] = ()
    """The sets of engine pods, the wanted one last."""
    history: Annotated[tuple[RevisionRecord, ...], Field(max_length=21)] = ()
    """Revisions that took the traffic over, latest last."""
    replicas: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Number of pods of the serving revision, also reported by the scale subresource."""
    ready_replicas: int = 0
    """Number of these pods that answered a real completion."""
    selector: str = ""
    """Label selector of the serving revision's pods, also reported by the scale subresource."""
    adapters: int = 0
    """Number of adapters that the selector selects."""


class InferenceEndpoint(Schema):
    """Engine pods that serve one version of a base model and the adapters selected for it."""

    rules = (
        Rule(
            "!has(self.spec.fallback) || !has(self.spec.fallback.endpointRef)"
            " || self.spec.fallback.endpointRef.name != self.metadata.name",
            "an endpoint cannot stand in for itself: name another one in fallback.endpointRef",
            field_path=".spec.fallback.endpointRef",
        ),
    )

    metadata: ObjectMeta
    spec: InferenceEndpointSpec
    status: InferenceEndpointStatus = InferenceEndpointStatus()
