"""The value of `model` is found exactly, and nothing else changes."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tunefleet.gateway.errors import Refusal
from tunefleet.gateway.model_field import MAX_NESTED_KEYS, find_model

NAMES = st.text(min_size=1, max_size=20).filter(lambda name: not any("\ud800" <= c <= "\udfff" for c in name))
KEYS = st.one_of(st.sampled_from(["model", 'x"model', "model\\", "Model", "messages", '"model":']), st.text(max_size=8))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.sampled_from(['"model":"no"', '\\"model":', "{", "}]", "\\", '"']),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)
SEPARATORS = st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t:\r\n ")])


def unlike_model(key: str) -> bool:
    return key != "model"


@given(
    st.dictionaries(KEYS.filter(unlike_model), VALUES, max_size=4),
    NAMES,
    st.dictionaries(KEYS.filter(unlike_model), VALUES, max_size=4),
    SEPARATORS,
    st.booleans(),
    st.sampled_from([None, 2]),
)
@example({"a": {"model": 1}}, 'quo"te', {"tools": [{"model": "x"}]}, (",", ":"), True, None)
def test_only_the_value_changes(
    before: dict[str, Any],
    name: str,
    after: dict[str, Any],
    separators: tuple[str, str],
    ascii_only: bool,
    indent: int | None,
) -> None:
    after = {key: value for key, value in after.items() if key not in before}
    original = {**before, "model": name, **after}
    body = json.dumps(original, separators=separators, ensure_ascii=ascii_only, indent=indent).encode(
        "utf-8", "surrogatepass"
    )
    try:
        found = find_model(body)
    except Refusal:
        body.decode("utf-8", "strict")  # lone surrogates are no UTF-8; whatever else is refused is a bug
        raise
    assert found.name == name
    spliced = body[: found.start] + b'"new@v1-00000000"' + body[found.end :]
    assert json.loads(spliced) == {**original, "model": "new@v1-00000000"}
    assert list(json.loads(spliced)) == list(original)
    assert json.loads(body[found.start : found.end]) == name


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"model":"a"}', b'"a"'),
        (b' \r\n{ "model"\t:\n"a" } \n', b'"a"'),
        (b'{"m\\u006fdel":"a"}', b'"a"'),
        (b'{"\\u006D\\u006f\\u0064\\u0065\\u006C":"\\u0061"}', b'"\\u0061"'),
        (b'{"prompt":"\\u00e4","model":"a"}', b'"a"'),
        (b'{"model":"a","x":{"model":"b"}}', b'"a"'),
        (b'{"x":[{"model":"b"},"}"],"model":"a"}', b'"a"'),
        (b'{"x\\"model":"b","model":"a"}', b'"a"'),
        (b'{"x":"\\\\","y":"{","model":"a","z":{"model":1}}', b'"a"'),
        (b'{"x":"\\\\\\"{","model":"a","z":{"model":1}}', b'"a"'),
        (b'{"x":["model","a"],"model":"a"}', b'"a"'),
        (b'{"x":"\\"model\\":\\"b\\"","model":"a"}', b'"a"'),
        (b'{"model":"a","n":1e400,"big":123456789012345678901234567890}', b'"a"'),
    ],
)
def test_where_the_value_stands(body: bytes, value: bytes) -> None:
    found = find_model(body)
    assert (found.name, body[found.start : found.end]) == ("a", value)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b"model=a", "invalid_json"),
        (b'{"model":"a"}{"model":"b"}', "invalid_json"),
        (b'{"model":"a"', "invalid_json"),
        (b'{"model":"a","x":nul}', "invalid_json"),
        (b'{"model":"\xff"}', "invalid_json"),
        (b'\xff\xfe{\x00"\x00', "invalid_json"),
        (b"[]", "invalid_body"),
        (b'"model"', "invalid_body"),
        (b'{"model":1}', "invalid_body"),
        (b'{"model":["a"]}', "invalid_body"),
        (b"{}", "model_missing"),
        (b'{"model":""}', "model_missing"),
        (b'{"model":null}', "model_missing"),
        (b'{"x":{"model":"a"}}', "model_missing"),
        (b'{"model":"a","model":"b"}', "model_repeated"),
        (b'{"model":"a","model":"a"}', "model_repeated"),
        (b'{"model":"a","x":{"model":1},"model":"b"}', "model_repeated"),
        (b'{"model":"a","m\\u006fdel":"b"}', "model_repeated"),
        (b'{"model":null,"model":"b"}', "model_repeated"),
        (b'{"model":"a","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "invalid_body"),
        (b'{"model":"a","x":[' + b'{"model":1},' * MAX_NESTED_KEYS + b"0]}", "invalid_body"),
    ],
)
def test_refused(body: bytes, code: str) -> None:
    with pytest.raises(Refusal) as caught:
        find_model(body)
    assert (caught.value.status, caught.value.code, caught.value.closes) == (400, code, False)
