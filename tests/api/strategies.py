"""Values of any model, generated from its JSON Schema."""

from typing import Any

from hypothesis import strategies as st

from tunefleet.api.schema import Schema

Json = dict[str, Any]

LETTERS = st.characters(codec="utf-8", exclude_categories=["Cs"])


def values(model: type[Schema]) -> st.SearchStrategy[Json]:
    """JSON of a model as a user would write it: optional fields may be absent."""
    schema = model.model_json_schema(by_alias=True)
    return _strategy(schema, schema.get("$defs", {}))


def _strategy(schema: Json, definitions: Json) -> st.SearchStrategy[Any]:
    if "$ref" in schema:
        return _strategy(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in schema:
        choices = [c for c in schema["anyOf"] if c.get("type") != "null"]
        return st.one_of([_strategy(choice, definitions) for choice in choices])
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema["type"]:
        case "integer":
            return st.integers(schema.get("minimum", -(2**63)), schema.get("maximum", 2**63 - 1))
        case "number":
            return st.floats(schema.get("minimum"), schema.get("maximum"), allow_nan=False, allow_infinity=False)
        case "boolean":
            return st.booleans()
        case "string":
            return _text(schema)
        case "array":
            return _list(schema, definitions)
        case _:
            return _object(schema, definitions)


def _text(schema: Json) -> st.SearchStrategy[str]:
    most = schema.get("maxLength", 40)
    if "pattern" in schema:
        pattern = schema["pattern"].removeprefix("^").removesuffix("$")
        return st.from_regex(pattern, fullmatch=True).filter(lambda text: len(text) <= most)
    return st.text(LETTERS, min_size=schema.get("minLength", 0), max_size=min(most, 40))


def _list(schema: Json, definitions: Json) -> st.SearchStrategy[list[Any]]:
    elements = _strategy(schema.get("items") or schema["prefixItems"][0], definitions)
    least = schema.get("minItems", 0)
    return st.lists(elements, min_size=least, max_size=max(least, min(schema.get("maxItems", 3), 3)))


def _object(schema: Json, definitions: Json) -> st.SearchStrategy[Json]:
    if "properties" not in schema:
        most = min(schema.get("maxProperties", 3), 3)
        keys = st.text(LETTERS, min_size=1, max_size=20)
        return st.dictionaries(keys, _strategy(schema["additionalProperties"], definitions), max_size=most)
    fields = {name: _strategy(value, definitions) for name, value in schema["properties"].items()}
    required = {name: fields[name] for name in schema.get("required", ())}
    optional = {name: value for name, value in fields.items() if name not in required}
    return st.fixed_dictionaries(required, optional=optional)
