"""The translation into structural schemas, and what must be true of every schema that is made."""

import re
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from pydantic import Field

from tunefleet.api.crd import definition, structural
from tunefleet.api.kinds import KINDS, Kind
from tunefleet.api.schema import Schema
from tunefleet.api.validation import PATTERN_MESSAGE, VALIDATIONS, Rule, checked, worded

Json = dict[str, Any]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.name))


class Part(Schema):
    """A part of a whole."""

    rules = (Rule("self == oldSelf", "a part stays"),)

    number: Annotated[int, Field(ge=1, le=9)] = 3
    """How
    many."""


class Whole(Schema):
    """A whole."""

    part: Part = Part()
    """The part."""
    needed: Part = Field(json_schema_extra=checked(Rule("self.number > 0", "more")))
    """The other part."""
    perhaps: Annotated[str, Field(max_length=9, pattern=r"^\w$", json_schema_extra=worded("one"))] | None = None
    """A text, in `code`."""
    pairs: dict[str, tuple[int, int]] = Field(default={}, max_length=2)
    """Pairs."""
    words: tuple[str, ...] = ()
    """Words."""


class Floating(Schema):
    """Floats."""

    share: Annotated[float, Field(gt=0)] = 1.0
    """A bound that has no translation."""


def test_translation() -> None:
    rule = {"rule": "self == oldSelf", "message": "a part stays"}
    number = {
        "description": "How many.",
        "type": "integer",
        "format": "int32",
        "minimum": 1,
        "maximum": 9,
        "default": 3,
    }
    part = {"type": "object", "properties": {"number": number}}
    assert structural(Whole, defaults=True) == {
        "description": "A whole.",
        "type": "object",
        "required": ["needed"],
        "properties": {
            "part": part | {"description": "The part.", "default": {}, VALIDATIONS: [rule]},
            "needed": part
            | {"description": "The other part.", VALIDATIONS: [rule, {"rule": "self.number > 0", "message": "more"}]},
            "perhaps": {
                "description": "A text, in code.",
                "type": "string",
                "maxLength": 9,
                VALIDATIONS: [{"rule": r"self.matches('^\\w$')", "message": "one"}],
            },
            "pairs": {
                "description": "Pairs.",
                "type": "object",
                "maxProperties": 2,
                "additionalProperties": {
                    "type": "array",
                    "minItems": 2,
                    "maxItems": 2,
                    "items": {"type": "integer", "format": "int64"},
                    "x-kubernetes-list-type": "atomic",
                },
            },
            "words": {
                "description": "Words.",
                "type": "array",
                "items": {"type": "string"},
                "x-kubernetes-list-type": "atomic",
            },
        },
    }


def test_no_check_is_dropped_silently() -> None:
    with pytest.raises(ValueError, match="no structural form is known for exclusiveMinimum"):
        structural(Floating, defaults=True)


def nodes(schema: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    """Every schema within a schema, by its path."""
    yield path, schema
    for name, value in schema.get("properties", {}).items():
        yield from nodes(value, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from nodes(schema[key], f"{path}[]")


def root(kind: Kind) -> Json:
    """The schema of the only version."""
    (version,) = definition(kind)["spec"]["versions"]
    schema: Json = version["schema"]["openAPIV3Schema"]
    return schema


def part_of(kind: Kind, name: str) -> Iterator[tuple[str, Json]]:
    """Every schema within spec or status."""
    return nodes(root(kind)["properties"][name], name)


@every_kind
def test_every_field_has_a_type(kind: Kind) -> None:
    """What a structural schema is."""
    for path, schema in nodes(root(kind)):
        assert ("type" in schema) != ("x-kubernetes-int-or-string" in schema), path
        assert not schema.keys() & {"$ref", "anyOf", "const", "title", "pattern", PATTERN_MESSAGE}, path


@every_kind
def test_every_description_is_a_sentence(kind: Kind) -> None:
    """For people who have never seen Python."""
    described = [(p, s) for p, s in nodes(root(kind)) if not p.startswith(".metadata") and not p.endswith("[]")]
    for path, schema in described:
        assert re.fullmatch(r"[A-Z].*[.]", schema["description"]), path
        assert not re.search(r"`|\n|\b(None|tuple|dict|str|int|bool|pydantic|snake_case)\b", schema["description"]), (
            path
        )


@every_kind
def test_everything_a_user_writes_is_bounded(kind: Kind) -> None:
    """The API server estimates what rules cost from the bounds, and nobody can fill an object with one field."""
    limits = {"string": "maxLength", "array": "maxItems", "object": "maxProperties", "integer": "maximum"}
    for path, schema in part_of(kind, "spec"):
        if "properties" not in schema and "enum" not in schema and schema.get("type") in limits:
            assert limits[schema["type"]] in schema, path


@every_kind
def test_lists_of_a_status_are_bounded(kind: Kind) -> None:
    for path, schema in part_of(kind, "status"):
        assert schema.get("type") != "array" or "maxItems" in schema, path


@every_kind
def test_only_the_whole_status_has_a_default(kind: Kind) -> None:
    """A default inside would make a status that nobody wrote look observed."""
    assert {path: schema["default"] for path, schema in part_of(kind, "status") if "default" in schema} == {
        "status": {"observedGeneration": -1}
    }


@every_kind
def test_a_newer_operator_can_write_new_reasons(kind: Kind) -> None:
    for path, schema in part_of(kind, "status"):
        if path.endswith((".type", ".reason")):
            assert "enum" not in schema, path


@every_kind
def test_every_rule_says_what_to_do(kind: Kind) -> None:
    rules = [(path, rule) for path, schema in nodes(root(kind)) for rule in schema.get(VALIDATIONS, ())]
    assert rules
    for path, rule in rules:
        assert rule["message"], path
        assert rule["message"][0].islower() or rule["message"].startswith(("activeVersion", "baseModelRef")), path


@every_kind
def test_names(kind: Kind) -> None:
    assert definition(kind)["metadata"]["name"] == f"{kind.plural}.tunefleet.io"
    assert kind.short_name not in {"bm", "ep", "ie", "po", "svc", "deploy"}


def test_only_endpoints_scale() -> None:
    assert {kind.name for kind in KINDS if "scale" in definition(kind)["spec"]["versions"][0]["subresources"]} == {
        "InferenceEndpoint"
    }
