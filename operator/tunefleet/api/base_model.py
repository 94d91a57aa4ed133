"""BaseModel: the versions of one base model."""

from typing import Annotated

from pydantic import Field

from .common import MAX_VERSIONS, ObjectMeta, ObjectStatus, ServedModelName, Version, VersionStatus
from .schema import Schema


class BaseModelSpec(Schema):
    """The versions of a base model. Only InferenceEndpoints spend GPUs on one."""

    served_model_name: ServedModelName | None = None
    """What clients write as `model`; metadata.name when absent."""
    versions: Annotated[tuple[Version, ...], Field(min_length=1, max_length=MAX_VERSIONS)]
    """Append-only: an entry never changes; add a new one."""


class Architecture(Schema):
    """What config.json and the safetensors headers say of a base; enough to judge adapters and to plan memory."""

    model_type: str
    """`model_type` of config.json, such as llama."""
    class_name: str
    """The first of `architectures`, such as LlamaForCausalLM."""
    parameters: int
    """Number of parameters, counted in the safetensors headers."""
    weight_bytes: int
    """Bytes of all tensors."""
    layers: int
    """Transformer layers."""
    hidden_size: int
    """Width of the residual stream."""
    intermediate_size: int
    """Width of the feed-forward block."""
    attention_heads: int
    """Query heads."""
    kv_heads: int
    """Key and value heads."""
    head_dim: int
    """Width of one head."""
    vocab_size: int
    """Rows of the embedding."""
    max_positions: int
    """Longest context in tokens."""
    dtype: str
    """torch dtype of the weights, such as bfloat16."""
    quantization: str | None = None
    """Quantization method of config.json, if any."""
    experts: int | None = None
    """Experts of a mixture, if any."""
    modules: dict[str, tuple[int, int]] = Field(default={})
    """Linear modules that adapters can target: name to (inputs, outputs), the same in every layer."""


class BaseModelVersionStatus(VersionStatus):
    """What was found out about one version of a base."""

    architecture: Architecture | None = None
    """Read from config.json and the safetensors headers."""


class BaseModelStatus(ObjectStatus):
    """What the operator found out."""

    versions: Annotated[tuple[BaseModelVersionStatus, ...], Field(max_length=4 * MAX_VERSIONS)] = ()
    """One entry a version, removed ones included: a number is never used again for other bytes."""


class BaseModel(Schema):
    """A base model and its numbered versions."""

    metadata: ObjectMeta
    spec: BaseModelSpec
    status: BaseModelStatus = BaseModelStatus()

    @property
    def served_name(self) -> str:
        """What clients write as `model`."""
        return self.spec.served_model_name or self.metadata.name
