"""Writes the reference of the API: `python -m tunefleet.api.reference docs/reference`.

Tables are made from the generated schemas, so they say what the API server checks.
"""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click

from . import conditions
from .crd import definition
from .crdgen import write
from .engine_flags import OWNED_FLAGS
from .kinds import CATEGORY, KINDS, Kind
from .names import API_VERSION
from .validation import VALIDATIONS
from .vocabulary import words

Json = dict[str, Any]

HEADER = "<!-- Made by `make generate` from operator/tunefleet/api/; change it there. -->\n"


class Field(NamedTuple):
    """A field of a kind, and the schema that it has."""

    path: str
    schema: Json
    required: bool


def files() -> dict[str, str]:
    """File name to content."""
    return {"api.md": _api(), "conditions.md": _conditions()}


def fields(schema: Json, path: str) -> Iterator[Field]:
    """Every field below a structure, depth first, in the order of the models."""
    for name, value in schema.get("properties", {}).items():
        below = f"{path}.{name}"
        yield Field(below, value, name in schema.get("required", ()))
        nested = value.get("items", value)
        yield from fields(nested, below + ("[]" if "items" in value else ""))


def _api() -> str:
    parts = [
        f"{HEADER}# API\n\n",
        f"Group and version: `{API_VERSION}`. Objects live in namespaces and refer to others of their own namespace. ",
        f"`kubectl get {CATEGORY}` lists all of them, `kubectl explain NAME` says the same as this page.\n\n",
        "What a version's URI and digest mean is on [its own page](digests-and-sources.md), ",
        "conditions are on [another](conditions.md).\n",
        *(_kind(kind) for kind in KINDS),
        "\n## Flags of vLLM that extraArgs may not carry\n\nUnderscores and abbreviations count.\n\n",
        _table(("Flag", "Field that stands for it"), ((f"`{flag}`", field) for flag, field in OWNED_FLAGS.items())),
    ]
    return "".join(parts)


def _kind(kind: Kind) -> str:
    (version,) = definition(kind)["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    spec, status = schema["properties"]["spec"], schema["properties"]["status"]
    parts = [
        f"\n## {kind.name}\n\n{schema['description']}\n\n",
        f"Names for kubectl: `{kind.plural}`, `{kind.singular}`, `{kind.short_name}`.",
        " It has the scale subresource.\n" if kind.scalable else "\n",
        f"\n### Spec of {kind.name}\n\n",
        _table(("Field", "Type", "Default", "Meaning"), (_spec_row(f) for f in fields(spec, "spec"))),
        f"\n### Rules of {kind.name}\n\nBroken rules are refused when an object is applied, with these words:\n\n",
        *(f"- `{path}`: {message}\n" for path, message in _rules(schema, "")),
        f"\n### Status of {kind.name}\n\n",
        _table(("Field", "Type", "Meaning"), (_status_row(f) for f in fields(status, "status"))),
        f"\n### Columns of {kind.name}\n\n",
        _table(("Column", "Meaning", "Shown"), ((c.name, c.description, _shown(c.wide)) for c in kind.columns)),
    ]
    return "".join(parts)


def _spec_row(field: Field) -> tuple[str, ...]:
    default = "required" if field.required else _default(field.schema.get("default"))
    return f"`{field.path}`", _type(field.schema), default, field.schema["description"]


def _status_row(field: Field) -> tuple[str, ...]:
    return f"`{field.path}`", _type(field.schema), field.schema["description"]


def _default(default: object) -> str:
    return "" if default is None or default == {} else f"`{str(default).lower() if default is True else default}`"


def _shown(wide: bool) -> str:
    return "with `-o wide`" if wide else "always"


def _type(schema: Json) -> str:
    """A type in words, with its bounds."""
    if "x-kubernetes-int-or-string" in schema:
        return "integer or Auto"
    match schema["type"]:
        case "integer":
            return "integer" + _bounds(schema, "minimum", "maximum")
        case "string" if "enum" in schema:
            return "one of " + ", ".join(f"`{value}`" for value in schema["enum"])
        case "string":
            return "string" + (f" of at most {schema['maxLength']} characters" if "maxLength" in schema else "")
        case "array":
            return f"list of {_type(schema['items'])}" + _bounds(schema, "minItems", "maxItems")
        case "object" if "additionalProperties" in schema:
            return f"map to {_type(schema['additionalProperties'])}" + _bounds(schema, "minProperties", "maxProperties")
        case other:
            return str(other)


def _bounds(schema: Json, low: str, high: str) -> str:
    match schema.get(low), schema.get(high):
        case None, None:
            return ""
        case None, most:
            return f", at most {most}"
        case least, None:
            return f", at least {least}"
        case least, most if least == most:
            return f", exactly {most}"
        case least, most:
            return f", {least} to {most}"


def _rules(schema: Json, path: str) -> Iterator[tuple[str, str]]:
    for rule in schema.get(VALIDATIONS, ()):
        yield f"{path}{rule.get('fieldPath', '')}".removeprefix(".") or "object", rule["message"]
    for name, value in schema.get("properties", {}).items():
        yield from _rules(value, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from _rules(schema[key], f"{path}[]")


def _conditions() -> str:
    intro = inspect.cleandoc(conditions.__doc__ or "").partition("\n\n")[2]
    kinds_of = _table(("Condition", "Meaning"), ((f"`{w.value}`", w.meaning) for w in words(conditions.ConditionType)))
    parts = [f"{HEADER}# Conditions and reasons\n\n{intro}\n\n{kinds_of}\n## Reasons\n"]
    group = ""
    for word in words(conditions.Reason):
        if word.group != group:
            group = word.group
            parts.append(f"\n### {group}\n\n| Reason | Meaning |\n|---|---|\n")
        parts.append(_row((f"`{word.value}`", word.meaning)))
    return "".join(parts)


def _table(header: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    return _row(header) + "|" + "---|" * len(header) + "\n" + "".join(_row(row) for row in rows)


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
def main(directory: Path) -> None:
    """Write the reference of the API into DIRECTORY."""
    write(directory, files())


if __name__ == "__main__":
    main()
