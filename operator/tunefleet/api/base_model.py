"""BaseModel: the versions of one base model."""

from typing import Annotated

from pydantic import Field

from .common import (
    MAX_VERSIONS,
    ObjectMeta,
    ObjectStatus,
    ServedModelName,
    Version,
    VersionStatus,
)
from .schema import Schema
from .validation import keyed_by


class BaseModelSpec(Schema):
    """The versions of a base model. Nothing runs for it until an InferenceEndpoint serves one of them."""

    served_model_name: ServedModelName | None = None
    """The name by which clients ask for it. It is metadata.name when absent."""
    versions: Annotated[
        tuple[Version, ...],
        Field(min_length=1, max_length=MAX_VERSIONS, json_schema_extra=keyed_by("version")),
    ]
    """The versions that there are. An entry never changes; add a new one, and remove old ones that nothing serves."""


class Architecture(Schema):
    """What config.json and the safetensors headers say of a base model."""

    model_type: str
    """The model_type of config.json, such as llama."""
    class_name: str
    """The first of the architectures of config.json, such as LlamaForCausalLM."""
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
    """Number format of the weights, such as bfloat16."""
    quantization: str | None = None
    """Quantization method of config.json, if any."""
    experts: int | None = None
    """Experts of a mixture, if any."""
    modules: dict[str, tuple[int, int]] = Field(default={})
    """Linear modules that adapters can target, by path with * for every index: numbers of inputs and outputs."""


class BaseModelVersionStatus(VersionStatus):
    """What was found out about one version of a base model."""

    architecture: Architecture | None = None
    """What config.json and the safetensors headers say."""


class BaseModelStatus(ObjectStatus):
    """What the operator found out about the versions."""

    versions: Annotated[
        tuple[BaseModelVersionStatus, ...],
        Field(max_length=4 * MAX_VERSIONS, json_schema_extra=keyed_by("version")),
    ] = ()
    """One entry for each version, removed ones included, because a number is never used again for other bytes."""


class BaseModel(Schema):
    """A base model and its numbered versions. InferenceEndpoints serve it, LoRAAdapters adapt it."""

    metadata: ObjectMeta
    spec: BaseModelSpec
    status: BaseModelStatus = BaseModelStatus()

    @property
    def served_name(self) -> str:
        """What clients write as `model`."""
        return self.spec.served_model_name or self.metadata.name
