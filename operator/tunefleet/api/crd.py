"""CustomResourceDefinitions made from the models.

Pydantic gives the JSON Schema of a model; Kubernetes takes a dialect of it, the structural schema: no references, one
type for each value, defaults and validation in keywords of its own. A keyword that this translation does not know is an
error, never dropped: a check that silently vanished would be found by a user.
"""

from collections.abc import Mapping
from typing import Any

from .kinds import CATEGORY, Column, Kind
from .names import API_VERSION_NAME, GROUP, MAX_NAME
from .schema import Schema
from .validation import PATTERN_MESSAGE, VALIDATIONS, Rule, checked

Json = dict[str, Any]

_KEPT = frozenset(
    {"type", "description", "enum", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems"}
    | {"maxProperties", "required", "x-kubernetes-list-type", "x-kubernetes-list-map-keys", VALIDATIONS}
)
"""Keywords that mean the same in both dialects."""
_TRANSLATED = frozenset(
    {"properties", "items", "prefixItems", "additionalProperties", "default", "const", "pattern", PATTERN_MESSAGE}
)
_DROPPED = frozenset({"title"})


def definition(kind: Kind) -> Json:
    """The CustomResourceDefinition of a kind."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.singular,
                "shortNames": [kind.short_name],
                "categories": [CATEGORY],
            },
            "versions": [
                {
                    "name": API_VERSION_NAME,
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": [_column(c) for c in kind.columns],
                    "subresources": _subresources(kind),
                    "schema": {"openAPIV3Schema": _root(kind)},
                }
            ],
        },
    }


def structural(model: type[Schema], *, defaults: bool) -> Json:
    """The structural schema of a model, with its defaults or without. Raises ValueError for what has no translation."""
    schema = model.model_json_schema(by_alias=True)
    return _Translation(schema.get("$defs", {}), defaults).of(schema)


def _root(kind: Kind) -> Json:
    whole = kind.model.model_json_schema(by_alias=True)
    spec, status = structural(kind.spec, defaults=True), structural(kind.status, defaults=False)
    rules = {VALIDATIONS: whole[VALIDATIONS]} if VALIDATIONS in whole else {}
    return {
        "type": "object",
        "description": _sentences(whole["description"]),
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": "Version of the API, tunefleet.io/v1alpha1."},
            "kind": {"type": "string", "description": f"The kind, {kind.name}."},
            "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": MAX_NAME}}},
            "spec": spec,
            "status": status | {"default": {"observedGeneration": -1}},
        },
    } | rules


def _column(column: Column) -> Json:
    shown = {"name": column.name, "type": column.type, "description": column.description, "jsonPath": column.path}
    return shown | ({"priority": 1} if column.wide else {})


def _subresources(kind: Kind) -> Json:
    scale = {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    return {"status": {}} | ({"scale": scale} if kind.scalable else {})


class _Translation:
    """Of one model: JSON Schema with references to `definitions` into a structural schema."""

    def __init__(self, definitions: Mapping[str, Json], defaults: bool) -> None:
        self.definitions = definitions
        self.defaults = defaults

    def of(self, schema: Json) -> Json:
        """The structural schema."""
        schema = self._flat(schema)
        if "anyOf" in schema:
            return self._number_or_word(schema)
        if unknown := schema.keys() - _KEPT - _TRANSLATED - _DROPPED - {"$defs"}:
            raise ValueError(f"no structural form is known for {', '.join(sorted(unknown))} in {schema}")
        kept = {key: value for key, value in schema.items() if key in _KEPT}
        return _tidy(kept | self._translated(schema))

    def _flat(self, schema: Json) -> Json:
        """References followed, and a choice between something and null reduced to it."""
        if "$ref" in schema:
            target = self.definitions[schema["$ref"].rpartition("/")[2]]
            return self._flat(_merged(_opened(target), {k: v for k, v in schema.items() if k != "$ref"}))
        choices = [choice for choice in schema.get("anyOf", []) if choice != {"type": "null"}]
        if len(choices) == 1:
            return self._flat(_merged(choices[0], {k: v for k, v in schema.items() if k != "anyOf"}))
        return schema

    def _translated(self, schema: Json) -> Json:
        result: Json = {}
        if "properties" in schema:
            result["properties"] = {name: self.of(value) for name, value in schema["properties"].items()}
        if "additionalProperties" in schema:
            result["additionalProperties"] = self.of(schema["additionalProperties"])
        if element := schema.get("items") or schema.get("prefixItems", [None])[0]:
            result["items"] = self.of(element)
        if "const" in schema:
            result["enum"] = [schema["const"]]
        return result | _pattern(schema) | self._default(schema)

    def _default(self, schema: Json) -> Json:
        """Empty lists and maps are no defaults, and a structure's own defaults stand on its fields."""
        default = schema.get("default")
        if not self.defaults or default is None or default == [] or default == {}:
            return {}
        return {"default": {} if "properties" in schema else default}

    def _number_or_word(self, schema: Json) -> Json:
        number, word = schema["anyOf"]
        if number.get("type") != "integer" or "const" not in word:
            raise ValueError(f"no structural form is known for the choice {schema}")
        low, high, text = number["minimum"], number["maximum"], word["const"]
        rule = Rule(
            f"type(self) == int ? self >= {low} && self <= {high} : self == '{text}'",
            f"write {text}, or a whole number from {low} to {high}",
        )
        kept = {"description": _sentences(schema["description"]), "x-kubernetes-int-or-string": True}
        return kept | checked(rule) | self._default(schema)


def _merged(target: Json, beside: Json) -> Json:
    """What stands beside a reference wins; checks of both hold."""
    merged = target | beside
    if rules := [*target.get(VALIDATIONS, ()), *beside.get(VALIDATIONS, ())]:
        merged[VALIDATIONS] = rules
    return merged


def _opened(target: Json) -> Json:
    """An enumeration with a name of its own is a vocabulary that grows: an operator may be newer than the CRD."""
    return {key: value for key, value in target.items() if key != "enum"}


def _pattern(schema: Json) -> Json:
    """A pattern becomes a rule, so that a user reads words."""
    if "pattern" not in schema:
        return {}
    rule = Rule(f"self.matches({schema['pattern']!r})", schema[PATTERN_MESSAGE])
    return {VALIDATIONS: [rule.dump(), *schema.get(VALIDATIONS, ())]}


def _tidy(schema: Json) -> Json:
    if "description" in schema:
        schema["description"] = _sentences(schema["description"])
    if schema.get("type") == "integer":
        schema["format"] = "int32" if schema.get("maximum", 1 << 31) < 1 << 31 else "int64"
    if schema.get("type") == "array":
        schema.setdefault("x-kubernetes-list-type", "atomic")
    return schema


def _sentences(docstring: str) -> str:
    """One line, without the marks that only source code needs."""
    return " ".join(docstring.replace("`", "").split())
