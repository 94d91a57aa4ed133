"""The three kinds as resources: how they are called on a command line, and what `kubectl get` shows of them."""

from dataclasses import dataclass

from .base_model import BaseModel
from .inference_endpoint import InferenceEndpoint
from .lora_adapter import LoRAAdapter
from .schema import Schema

CATEGORY = "tunefleet"
"""`kubectl get tunefleet` lists all three kinds."""


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`."""

    name: str
    path: str
    """JSONPath; of several results the first is shown."""
    description: str
    type: str = "string"
    wide: bool = False
    """Shown with `-o wide` only."""


@dataclass(frozen=True)
class Kind:
    """A kind as a resource."""

    model: type[Schema]
    plural: str
    short_name: str
    columns: tuple[Column, ...]
    scalable: bool = False
    """Has the scale subresource."""

    @property
    def name(self) -> str:
        """As in manifests."""
        return self.model.__name__

    @property
    def spec(self) -> type[Schema]:
        """The structure of its spec."""
        return _structure(self.model, "spec")

    @property
    def status(self) -> type[Schema]:
        """The structure of its status."""
        return _structure(self.model, "status")

    @property
    def singular(self) -> str:
        """As on command lines."""
        return self.name.lower()


def _structure(model: type[Schema], field: str) -> type[Schema]:
    annotation = model.model_fields[field].annotation
    assert isinstance(annotation, type)
    assert issubclass(annotation, Schema)
    return annotation


def _of_ready(field: str) -> str:
    return f'.status.conditions[?(@.type=="Ready")].{field}'


_READY = (
    Column("Ready", _of_ready("status"), "True when the object does what its spec says."),
    Column("Reason", _of_ready("reason"), "Why it is ready or not."),
)
_SERVED_NAME = Column(
    "Served-As", ".spec.servedModelName", "The name for clients, where it is not the name.", wide=True
)
_MESSAGE = Column("Message", _of_ready("message"), "What is so, and what to do about it.", wide=True)
_AGE = Column("Age", ".metadata.creationTimestamp", "Time since creation.", type="date")

KINDS = (
    Kind(
        BaseModel,
        plural="basemodels",
        short_name="bmodel",
        columns=(
            *_READY,
            Column("Latest", ".spec.versions[-1:].version", "The version listed last.", type="integer"),
            _AGE,
            _SERVED_NAME,
            Column("Architecture", ".status.versions[-1:].architecture.className", "Of the latest version.", wide=True),
            _MESSAGE,
        ),
    ),
    Kind(
        LoRAAdapter,
        plural="loraadapters",
        short_name="lora",
        columns=(
            *_READY,
            Column("Serving", ".status.servingVersion", "The version that answers now.", type="integer"),
            Column("Active", ".spec.activeVersion", "The version that shall answer.", type="integer"),
            Column("Loaded", ".status.loaded.ready", "Engine pods that hold the serving version.", type="integer"),
            Column("Wanted", ".status.loaded.desired", "Engine pods that shall hold it.", type="integer"),
            Column("Base", ".spec.baseModelRef.name", "The base model that it adapts."),
            _AGE,
            _SERVED_NAME,
            Column("Canary", ".status.canary.state", "How the canary stands, while there is one.", wide=True),
            Column("Share", ".status.canary.weight", "Its share of the requests.", type="integer", wide=True),
            _MESSAGE,
        ),
    ),
    Kind(
        InferenceEndpoint,
        plural="inferenceendpoints",
        short_name="iep",
        columns=(
            *_READY,
            Column("Model", ".spec.model.name", "The base model that is served."),
            Column(
                "Serving",
                '.status.revisions[?(@.state=="Serving")].baseModelVersion',
                "The version of the base model that answers now.",
                type="integer",
            ),
            Column("Wanted", ".spec.model.version", "The version that shall answer.", type="integer"),
            Column("Pods", ".status.readyReplicas", "Engine pods that answer.", type="integer"),
            Column("Replicas", ".spec.replicas", "Engine pods that are wanted.", type="integer"),
            Column("Adapters", ".status.adapters", "Adapters that are selected.", type="integer"),
            _AGE,
            Column("GPUs", ".status.plan.acceleratorsPerReplica", "Devices of one pod.", type="integer", wide=True),
            Column("Slots", ".status.plan.slots", "Adapters that run in one batch.", type="integer", wide=True),
            Column("Max-Rank", ".status.plan.maxRank", "The highest rank that fits.", type="integer", wide=True),
            _MESSAGE,
        ),
        scalable=True,
    ),
)
"""Every kind of the API group."""
