"""InferenceEndpoint: engine pods that serve one version of a base and the adapters selected for it."""

from typing import Annotated, Literal

from pydantic import Field

from .common import ObjectMeta, ObjectName, ObjectStatus, VersionNumber
from .schema import Schema

Auto = Literal["Auto"]
CPU = "cpu"
"""accelerator.resourceName for engines that use no device."""


class ModelReference(Schema):
    """A version of a BaseModel of this namespace."""

    name: ObjectName
    """Name of the BaseModel."""
    version: VersionNumber
    """Version to serve; patch it up to promote and down to roll back."""


class LabelSelector(Schema):
    """Adapters by label; empty selects every adapter of the base."""

    match_labels: dict[str, str] = Field(default={}, max_length=16)
    """Labels that an adapter must have, all of them."""


class Adapters(Schema):
    """Which adapters of the base the endpoint carries, and how many and how large ones fit."""

    selector: LabelSelector = LabelSelector()
    """Adapters by label; empty selects every adapter of the base."""
    max_rank: Annotated[int, Field(ge=1, le=512)] | Auto = "Auto"
    """Highest rank that fits. Every slot takes memory for it. Auto: what the selected adapters need, at least 16;
    it grows with a new revision and never shrinks."""
    slots: Annotated[int, Field(ge=1, le=512)] | Auto = "Auto"
    """Adapters that can run in one batch (vLLM's --max-loras). Auto: at least 8, grows with a new revision."""


class Engine(Schema):
    """How vLLM is started. A change makes a new revision."""

    image: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    """Runtime image; the operator's default when absent."""
    dtype: Annotated[str, Field(pattern=r"^[a-z0-9]+$", max_length=32)] = "auto"
    """vLLM's --dtype."""
    quantization: Annotated[str, Field(pattern=r"^[a-z0-9_-]+$", max_length=32)] | None = None
    """vLLM's --quantization; read from config.json when absent."""
    max_model_length: Annotated[int, Field(ge=16)] | None = None
    """Longest context in tokens (--max-model-len); the model's own when absent."""
    max_concurrent_requests: Annotated[int, Field(ge=1, le=4096)] | None = None
    """Requests in one batch (--max-num-seqs); vLLM's own when absent."""
    prefix_caching: bool = True
    """Reuse the KV cache of equal prompt heads (--enable-prefix-caching)."""
    kv_cache_dtype: Annotated[str, Field(pattern=r"^[a-z0-9_]+$", max_length=32)] | None = None
    """vLLM's --kv-cache-dtype."""
    extra_args: Annotated[tuple[Annotated[str, Field(max_length=512)], ...], Field(max_length=64)] = ()
    """Further flags as `--name=value` or `--name`. Flags that the operator owns are refused by name."""


class Parallelism(Schema):
    """How one replica spreads over GPUs."""

    tensor: Annotated[int, Field(ge=1, le=64)] | Auto = "Auto"
    """GPUs that share every layer (--tensor-parallel-size). Auto: the fewest that hold the weights and divide
    the heads."""
    pipeline: Annotated[int, Field(ge=1, le=64)] = 1
    """GPUs that share the layers in stages (--pipeline-parallel-size)."""


class Accelerator(Schema):
    """What a replica is scheduled on."""

    resource_name: Annotated[str, Field(min_length=1, max_length=253)] = "nvidia.com/gpu"
    """Extended resource to ask for, one for each GPU; `cpu` asks for no device."""
    products: Annotated[tuple[Annotated[str, Field(max_length=63)], ...], Field(max_length=16)] = ()
    """Values of the node label nvidia.com/gpu.product that will do; empty: any."""


class Placement(Schema):
    """Where pods may run."""

    regions: Annotated[tuple[Annotated[str, Field(max_length=63)], ...], Field(max_length=16)] = ()
    """Values of topology.kubernetes.io/region; required, not preferred. Empty: anywhere."""


class EndpointRollout(Schema):
    """How a new revision replaces the old one."""

    keep_warm: Annotated[int, Field(ge=0, le=604800)] = 300
    """Seconds that the old revision's pods stay after the new one serves, so that going back takes no start."""


class InferenceEndpointSpec(Schema):
    """Engine pods for one version of a base and the adapters selected for it."""

    model: ModelReference
    """The version of the base that is served."""
    adapters: Adapters = Adapters()
    """The adapters that it carries."""
    engine: Engine = Engine()
    """How vLLM is started."""
    parallelism: Parallelism = Parallelism()
    """How one replica spreads over GPUs."""
    accelerator: Accelerator = Accelerator()
    """What a replica is scheduled on."""
    placement: Placement = Placement()
    """Where pods may run."""
    replicas: Annotated[int, Field(ge=0, le=1000)] = 1
    """Engine replicas; fixed here or set through /scale."""
    rollout: EndpointRollout = EndpointRollout()
    """How a new revision replaces the old one."""


class EndpointPlan(Schema):
    """What the operator worked out for the wanted revision."""

    tensor: int
    """GPUs that share every layer."""
    accelerators_per_replica: int
    """Devices that one replica asks for; 0 on CPU."""
    slots: int
    """vLLM's --max-loras."""
    max_rank: int
    """vLLM's --max-lora-rank."""
    why: Annotated[tuple[str, ...], Field(max_length=16)] = ()
    """How each number came about."""


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
    """Progressing: starting. Serving: answers. Warm: kept for going back. Draining: about to go."""
    replicas: int = 0
    """Pods that exist."""
    ready_replicas: int = 0
    """Pods that answered a real completion."""
    since: str
    """RFC 3339, when it came into this state."""


class InferenceEndpointStatus(ObjectStatus):
    """What runs."""

    plan: EndpointPlan | None = None
    """What was worked out for the wanted revision."""
    revisions: Annotated[tuple[Revision, ...], Field(max_length=16)] = ()
    """Sets of pods, the wanted one last."""
    replicas: int = 0
    """Pods of the serving revision; read by /scale."""
    ready_replicas: int = 0
    """Of these, pods that answered a real completion."""
    selector: str = ""
    """Selects the serving revision's pods; read by /scale."""
    adapters: int = 0
    """Adapters selected."""


class InferenceEndpoint(Schema):
    """Engine pods for one version of a base and its adapters."""

    metadata: ObjectMeta
    spec: InferenceEndpointSpec
    status: InferenceEndpointStatus = InferenceEndpointStatus()
