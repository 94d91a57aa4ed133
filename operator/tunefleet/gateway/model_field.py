"""The one field of a request body that the gateway reads and writes: the top-level `model`.

The body is decoded by msgspec, which skips every other field at memory speed and proves that the JSON is whole; it
does not say where the value stood, nor whether the key came twice. That is found in the text: in valid JSON the
bytes `"model"` followed by a colon, with no backslash before, are always a key. Mostly there is exactly one, and
msgspec saw it at the top. Where nested objects have such keys too, depth decides: between one candidate and the
next, strings are taken out and brackets counted, all by whole-buffer operations of `bytes`.

Two top-level `model` keys are refused: engines take the last, other readers the first, and a gateway that routes by
one while the engine runs the other would break the promise of right weights.
"""

import re
from typing import Final, final

from .body_fields import Fields, InvalidBodyError, InvalidJSONError, read_fields
from .errors import Refusal

_COLON: Final = rb"[ \t\n\r]*:[ \t\n\r]*"
_NAME: Final = b'"model"'
_KEY: Final = re.compile(_NAME + _COLON)
_ESCAPED_KEY: Final = re.compile(
    rb'"(?:m|\\u006[dD])(?:o|\\u006[fF])(?:d|\\u0064)(?:e|\\u0065)(?:l|\\u006[cC])"' + _COLON
)
_ESCAPES: Final = b"\\"
_ESCAPE: Final = b"\\u00"
_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"')
_PLAIN: Final = bytes(sorted(set(range(256)) - set(b'"{}[]')))
"""Every byte that says nothing about depth."""
_BACKSLASH: Final = ord("\\")
MAX_NESTED_KEYS: Final = 4096
"""`model` keys at any depth in one body. Each costs a step in Python; people's schemas have a handful."""


@final
class ModelField:
    """The value of `model` and where it stands: body[start:end] is the JSON string, quotes included."""

    def __init__(self, name: str, start: int, end: int, fields: Fields) -> None:
        self.name = name
        self.start = start
        self.end = end
        self.fields = fields
        """What was read besides."""


def find_model(body: bytes) -> ModelField:
    """The field. Raises Refusal (400) for a body that is not a JSON object with exactly one non-empty `model`."""
    fields = _decode(body)
    name = fields.model
    if not name:
        raise Refusal(400, "Name a model in the field 'model'; GET /v1/models lists them.", "model_missing", "model")
    escapes = _ESCAPES in body
    first = body.find(_NAME)
    if first == body.rfind(_NAME) and not (escapes and _ESCAPE in body):  # so it is the key that msgspec saw
        start = body.index(b'"', first + len(_NAME))
    else:
        start = _only_key(body).end()
    end = body.index(b'"', start + 1) + 1
    if escapes and b"\\" in body[start:end]:
        value = _STRING.match(body, start)
        assert value is not None  # msgspec read a string there
        end = value.end()
    return ModelField(name, start, end, fields)


def _decode(body: bytes) -> Fields:
    try:
        return read_fields(body)
    except InvalidBodyError as error:
        message = f"The body must be a JSON object in which 'model' is a text: {error}."
        raise Refusal(400, message, "invalid_body", "model") from None
    except RecursionError:
        raise Refusal(400, "The body is nested too deeply.", "invalid_body") from None
    except InvalidJSONError as error:
        what = f"must be a JSON object in UTF-8: {error}" if body else "is empty: send a JSON object"
        raise Refusal(400, f"The body {what}.", "invalid_json") from None


def _only_key(body: bytes) -> re.Match[bytes]:
    keys = _keys(body)
    if len(keys) > MAX_NESTED_KEYS:
        raise Refusal(400, f"The body has more than {MAX_NESTED_KEYS} keys named 'model'.", "invalid_body", "model")
    if len(keys) > 1:
        keys = _top_level(body, keys)
    if len(keys) != 1:
        raise Refusal(400, "The field 'model' must be there exactly once.", "model_repeated", "model")
    return keys[0]


def _keys(body: bytes) -> list[re.Match[bytes]]:
    """Keys that read `model` with their colons, at any depth, in any spelling; not more than one above the limit."""
    pattern = _ESCAPED_KEY if _ESCAPE in body else _KEY
    found: list[re.Match[bytes]] = []
    for match in pattern.finditer(body):
        if body[match.start() - 1] != _BACKSLASH:
            found.append(match)
            if len(found) > MAX_NESTED_KEYS:
                break
    return found


def _top_level(body: bytes, keys: list[re.Match[bytes]]) -> list[re.Match[bytes]]:
    """Of these keys, those of the outermost object."""
    top, depth, position = [], 0, 0
    for key in keys:
        depth += _deeper(body[position : key.start()])
        position = key.start()
        if depth == 1:
            top.append(key)
    return top


def _deeper(text: bytes) -> int:
    """Brackets opened less brackets closed, outside strings; the text starts outside one.

    Escaped backslashes go first, then escaped quotes, so every quote left opens or closes. Two quotes side by side
    change nothing for what stands around them. After that, every second part between quotes is outside.
    """
    bare = text.replace(rb"\\", b"").replace(rb"\"", b"").translate(None, _PLAIN).replace(b'""', b"")
    outside = b"".join(bare.split(b'"')[::2])
    return outside.count(b"{") + outside.count(b"[") - outside.count(b"}") - outside.count(b"]")
