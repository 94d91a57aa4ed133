"""Columns show fields that exist."""

import re

import pytest

from tunefleet.api.kinds import KINDS, Column, Kind

COLUMNS = [(kind, column) for kind in KINDS for column in kind.columns]


@pytest.mark.parametrize(("kind", "column"), COLUMNS, ids=[f"{k.name}-{c.name}" for k, c in COLUMNS])
def test_column_shows_a_field(kind: Kind, column: Column) -> None:
    """A misspelt path shows nothing, and no error."""
    if column.path.startswith(".metadata."):
        return
    path = re.sub(r"\[[^\]]*\]", "", column.path)
    schema = kind.model.model_json_schema(by_alias=True)
    definitions = schema["$defs"]
    for name in path.split(".")[1:]:
        schema = schema["properties"][name]
        schema = next((choice for choice in schema.get("anyOf", ()) if choice.get("type") != "null"), schema)
        schema = schema.get("items", schema)
        schema = definitions[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    assert schema["type"] == column.type


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.name))
def test_first_columns_answer_the_first_questions(kind: Kind) -> None:
    assert [column.name for column in kind.columns[:2]] == ["Ready", "Reason"]
    assert not any(column.wide for column in kind.columns[:3])
