"""What the API server checks beyond types, each check with the sentence that a user reads when it fails.

Checks stand beside what they guard: on a structure in `Schema.rules`, on a field as `json_schema_extra`. Expressions
are written in the Common Expression Language of Kubernetes.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

VALIDATIONS = "x-kubernetes-validations"
PATTERN_MESSAGE = "patternMessage"
"""Beside a `pattern`: says in words what it asks for. Users never see a regular expression."""

UNIQUE: dict[str, Any] = {"x-kubernetes-list-type": "set"}
"""`json_schema_extra` of a list whose elements differ."""


@dataclass(frozen=True)
class Rule:
    """An expression that must be true of `self`, and what to do when it is not."""

    expression: str
    message: str
    """One sentence; what stands when `message_expression` is absent or cannot be evaluated."""
    message_expression: str | None = None
    """An expression that gives the sentence, where it has to name what is wrong."""
    field_path: str | None = None
    """The field to point at, such as `.spec.versions`, where it is not `self`."""

    def dump(self) -> dict[str, str]:
        """As the schema carries it."""
        optional = {"messageExpression": self.message_expression, "fieldPath": self.field_path}
        return {"rule": self.expression, "message": self.message} | {k: v for k, v in optional.items() if v}


def checked(*rules: Rule) -> dict[str, Any]:
    """`json_schema_extra` of a field that these rules guard."""
    return {VALIDATIONS: [rule.dump() for rule in rules]}


def worded(message: str) -> dict[str, Any]:
    """`json_schema_extra` of a text with a pattern: what a user reads instead of the pattern."""
    return {PATTERN_MESSAGE: message}


def keyed_by(field: str) -> dict[str, Any]:
    """`json_schema_extra` of a list of structures that differ in this field."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [field]}


def cel_list(texts: Iterable[str]) -> str:
    """A literal list of texts in the expression language."""
    return json.dumps(list(texts))
