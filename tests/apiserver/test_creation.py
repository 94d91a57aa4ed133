"""What may be created and what may not."""

import pytest

from tunefleet.api.base_model import BaseModel
from tunefleet.api.inference_endpoint import InferenceEndpoint
from tunefleet.api.lora_adapter import LoRAAdapter
from tunefleet.api.schema import Schema

from .accepted import ACCEPTED
from .manifests import Json, adapter, version
from .refused import REFUSED, Refusal
from .user import User, complaints, refusal

pytestmark = pytest.mark.apiserver

MODELS: dict[str, type[Schema]] = {
    "BaseModel": BaseModel,
    "LoRAAdapter": LoRAAdapter,
    "InferenceEndpoint": InferenceEndpoint,
}


@pytest.mark.parametrize("manifest", ACCEPTED.values(), ids=ACCEPTED)
def test_accepted(anyone: User, manifest: Json) -> None:
    """Stored as written, and read back by the model with nothing lost."""
    stored = anyone.dry_run(manifest)
    read = MODELS[manifest["kind"]].read(stored).dump()
    assert _without_empty(stored["spec"]) == _without_empty(read["spec"])


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_refused(anyone: User, case: Refusal) -> None:
    """By a sentence that says where and what to do."""
    said = refusal(lambda: anyone.dry_run(case.manifest))
    kind, name = case.manifest["kind"], case.manifest["metadata"]["name"]
    assert said.startswith(f'The {kind} "{name}" is invalid: ')
    assert complaints(said) == case.complaints


def test_every_fault_is_named_at_once(anyone: User) -> None:
    """Nobody has to apply ten times to learn of ten faults."""
    faulty = adapter(
        activeVersion=9, servedModelName="a@b", versions=[version(1, source={"uri": "x"}), version(2, digest="y")]
    )
    said = complaints(refusal(lambda: anyone.dry_run(faulty)))
    fields = {complaint.partition(":")[0] for complaint in said}
    assert fields == {
        "spec.activeVersion",
        "spec.servedModelName",
        "spec.versions[0].source.uri",
        "spec.versions[1].digest",
    }


def test_misspelt_field_is_refused(anyone: User) -> None:
    """kubectl asks for strict validation; a field that does nothing is worse than an error."""
    said = refusal(lambda: anyone.dry_run(adapter(activeVersoin=1)))
    assert said.endswith('strict decoding error: unknown field "spec.activeVersoin"')


def _without_empty(value: object) -> object:
    """Without empty lists and maps: the API server does not store those that nobody wrote."""
    if isinstance(value, dict):
        kept = {k: _without_empty(v) for k, v in value.items()}
        return {k: v for k, v in kept.items() if v not in ({}, [])}
    return [_without_empty(v) for v in value] if isinstance(value, list) else value
