"""Answers of inspections fit where they have to."""

from tunefleet.api.conditions import Reason
from tunefleet.api.inspection import MAX_RESULT_BYTES, AdapterFacts, InspectionResult


def described(modules: int) -> InspectionResult:
    """An adapter of so many modules."""
    facts = AdapterFacts(
        rank=8,
        configured_rank=8,
        layers=32,
        tensors=448,
        modules={f"model.layers.*.mlp.experts.*.module{n}": (4096, 14336) for n in range(modules)},
    )
    return InspectionResult(kind="adapter", digest="sha256:" + "0" * 64, adapter=facts)


def test_message_is_read_back() -> None:
    result = described(14)
    assert InspectionResult.model_validate_json(result.termination_message()) == result


def test_message_that_does_not_fit_is_a_refusal() -> None:
    message = described(200).termination_message()
    assert len(message.encode()) <= MAX_RESULT_BYTES
    refused = InspectionResult.model_validate_json(message)
    assert refused.reason is Reason.WEIGHTS_INVALID
    assert "too many or too long names" in refused.message


def test_the_lineage_is_shortened_before_anything_else_is_lost() -> None:
    told = {f"param.p{n:02}": "x" * 200 for n in range(40)}
    result = described(14).model_copy(update={"lineage": told})
    message = result.termination_message()
    assert len(message.encode()) <= MAX_RESULT_BYTES
    read = InspectionResult.model_validate_json(message)
    assert read.adapter == result.adapter
    assert read.lineage
    assert list(read.lineage.items()) == list(told.items())[: len(read.lineage)]
