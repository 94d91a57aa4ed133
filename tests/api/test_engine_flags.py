"""Flags that users may not pass, in every way of writing them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunefleet.api.engine_flags import OWNED_FLAGS, advice, owned_flag
from tunefleet.api.inference_endpoint import InferenceEndpointSpec

flags = st.sampled_from(sorted(OWNED_FLAGS))


@given(flag=flags, value=st.text(), cut=st.integers(0, 3), underscores=st.booleans())
def test_owned(flag: str, value: str, cut: int, underscores: bool) -> None:
    """With a value, with underscores, or cut short."""
    name = flag[: max(3, len(flag) - cut)]
    written = "--" + name[2:].replace("-", "_") if underscores else name
    owned = owned_flag(f"{written}={value}")
    assert owned is not None
    assert owned.startswith(name)


@given(flag=flags)
def test_exact_name_wins_over_what_it_abbreviates(flag: str) -> None:
    assert owned_flag(flag) == flag


@pytest.mark.parametrize(
    "argument",
    ["--seed=1", "--enforce-eager", "--model-impl=vllm", "--config-format=hf", "--gpu-memory-utilization=0.9",
     "--compilation-config.mode=3", "--", "seed", ""],
)  # fmt: skip
def test_not_owned(argument: str) -> None:
    assert owned_flag(argument) is None


def test_advice() -> None:
    assert advice("--port") == "--port is set by Tunefleet: remove it"
    assert advice("--dtype") == "--dtype is set by Tunefleet: remove it and use spec.engine.dtype"


def test_advised_fields_exist() -> None:
    """But for the one that is another kind's."""
    for field in filter(lambda field: field.startswith("spec."), OWNED_FLAGS.values()):
        schema = InferenceEndpointSpec.model_json_schema(by_alias=True)
        definitions = schema["$defs"]
        for name in field.split(".")[1:]:
            schema = schema["properties"][name]
            schema = definitions[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def test_sorted() -> None:
    """The first of several that an abbreviation fits is the shortest; the schema's rule relies on it."""
    assert list(OWNED_FLAGS) == sorted(OWNED_FLAGS)
