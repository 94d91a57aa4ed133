"""Every model: what is written is what is read."""

import inspect

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tunefleet.api import base_model, canary, common, conditions, inference_endpoint, inspection, lora_adapter
from tunefleet.api.common import ObjectMeta
from tunefleet.api.kinds import KINDS
from tunefleet.api.schema import Schema

from .strategies import Json, values

MODULES = (base_model, canary, common, conditions, inference_endpoint, inspection, lora_adapter)


MODELS = [
    member
    for module in MODULES
    for _, member in inspect.getmembers(module, inspect.isclass)
    if issubclass(member, Schema) and member.__module__ == module.__name__
]
WHOLES = [*(kind.model for kind in KINDS), inspection.InspectionResult]
"""Everything else is a part of one of these."""

each_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: str(model.__name__))


@pytest.mark.parametrize("model", WHOLES, ids=lambda model: str(model.__name__))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_round_trip(model: type[Schema], data: st.DataObject) -> None:
    """Nothing that was written is lost, and reading what was dumped gives the same."""
    written: Json = data.draw(values(model))
    read = model.read(written)
    dumped = read.dump()
    assert model.read(dumped) == read
    assert contains(dumped, written)


def contains(whole: object, part: object) -> bool:
    """Whether everything in `part` stands in `whole`; `whole` may have defaults beside."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(k in whole and contains(whole[k], v) for k, v in part.items())
    if isinstance(part, list):
        return isinstance(whole, list) and len(whole) == len(part) and all(map(contains, whole, part))
    return whole == part


@each_model
def test_is_documented(model: type[Schema]) -> None:
    """A structure and each of its fields; but for what Kubernetes documents."""
    assert model.__doc__
    if model is ObjectMeta or model in [kind.model for kind in KINDS]:
        return
    undocumented = [name for name, field in model.model_fields.items() if not field.description]
    assert not undocumented


@each_model
def test_is_frozen(model: type[Schema]) -> None:
    assert model.model_config.get("frozen")


def test_fields_of_a_newer_crd_are_dropped() -> None:
    read = common.ObjectReference.read({"name": "a", "namespace": "b"})
    assert read.dump() == {"name": "a"}


def test_what_is_absent_is_not_dumped() -> None:
    assert common.Source(uri="s3://a").dump() == {"uri": "s3://a"}


def test_what_the_schema_refuses_is_refused() -> None:
    with pytest.raises(ValidationError, match="activeVersion"):
        lora_adapter.LoRAAdapterSpec.read({"baseModelRef": {"name": "a"}, "versions": []})


def test_transitions_have_the_names_of_the_api() -> None:
    """`from` is a keyword of Python and no name of a field."""
    transition = lora_adapter.Transition(time="t", from_version=1, to_version=2, cause="Promoted")
    assert transition.dump() == {"time": "t", "from": 1, "to": 2, "cause": "Promoted"}


@pytest.mark.parametrize(("written", "served"), [(None, "sample"), ("Support.DE", "Support.DE")])
def test_served_name(written: str | None, served: str) -> None:
    metadata = {"name": "sample", "namespace": "default"}
    versions = [{"version": 1, "source": {"uri": "s3://a"}, "baseModelVersion": 1}]
    spec = {"servedModelName": written, "versions": versions, "baseModelRef": {"name": "a"}, "activeVersion": 1}
    assert base_model.BaseModel.read({"metadata": metadata, "spec": spec}).served_name == served
    assert lora_adapter.LoRAAdapter.read({"metadata": metadata, "spec": spec}).served_name == served


def test_metadata_of_an_object() -> None:
    metadata = ObjectMeta.of({"metadata": {"name": "a", "namespace": "b", "labels": {"c": "d"}, "managedFields": []}})
    assert (metadata.name, metadata.namespace, metadata.labels) == ("a", "b", {"c": "d"})
