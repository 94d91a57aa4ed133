"""How many tokens a request took, out of the last bytes of its answer.

Answers are not decoded: they may be long, and what a model writes into them must not be mistaken for the engine's
own figures. Inside a JSON string every quote has a backslash before it, so `"usage"` followed by a colon is always
the key of an object, whatever the strings say. That it is a key of the outermost object is known from what follows:
with one opening brace before it the rest has to be one whole object.

Not compiled: msgspec reads the annotations of the Structs.
"""

import re
from typing import Annotated, NamedTuple

import msgspec

_LOOKED_AT = 3
"""Events at the end of a stream: `[DONE]`, or Anthropic's message_stop, comes after the one with the figures."""
_CANDIDATES = 4
"""Keys `usage` in one object; a tool's schema that is repeated in the answer may have some of its own."""
_FRAMING = re.compile(rb"\r\n[0-9a-fA-F]+[^\r\n]*\r\n(?:\r\n)?")
"""Between two chunks of a chunked body, and after the last."""
_KEY = b'"usage"'
_EVENT = b"\ndata:"

_Count = Annotated[int, msgspec.Meta(ge=0)]


class Tokens(NamedTuple):
    """-1: unknown."""

    prompt: int = -1
    completion: int = -1


class _Usage(msgspec.Struct):
    prompt_tokens: _Count | None = None
    completion_tokens: _Count | None = None
    input_tokens: _Count | None = None
    """The responses and messages APIs."""
    output_tokens: _Count | None = None


class _Whole(msgspec.Struct):
    usage: _Usage


class _Within(msgspec.Struct):
    response: _Whole


_UNKNOWN = Tokens()
_WHOLE = msgspec.json.Decoder(_Whole)
_WITHIN = msgspec.json.Decoder(_Within)


def tokens_of(tail: bytes, path: str, *, streamed: bool) -> Tokens:
    """What an answer says of its tokens. `tail`: the end of its body as it passed, chunk framing included."""
    if not streamed:
        return _of_object(_FRAMING.sub(b"", tail) if tail.endswith(b"\r\n") else tail, within=False)
    return _of_stream(tail, within=path.endswith("/responses")) if _KEY in tail else _UNKNOWN


def _of_stream(tail: bytes, *, within: bool) -> Tokens:
    end = len(tail)
    for _ in range(_LOOKED_AT):
        start = tail.rfind(_EVENT, 0, end)
        event = tail[start + len(_EVENT) if start >= 0 else 0 : end]
        if b"\r\n" in event:
            event = _FRAMING.sub(b"", event)
        if _KEY in event:
            return _of_object(event.partition(b"\n")[0], within=within)
        if start < 0:
            break
        end = start
    return _UNKNOWN


def _of_object(text: bytes, *, within: bool) -> Tokens:
    at = len(text)
    for _ in range(_CANDIDATES):
        at = text.rfind(_KEY, 0, at)
        if at < 0:
            break
        try:
            return _tokens(_decode(text[at:], within=within)) if text[at - 1 : at] != b"\\" else _UNKNOWN
        except msgspec.DecodeError:
            continue
    return _UNKNOWN


def _decode(rest: bytes, *, within: bool) -> _Usage:
    if within:
        return _WITHIN.decode(b'{"response":{' + rest).response.usage
    return _WHOLE.decode(b"{" + rest).usage


def _tokens(usage: _Usage) -> Tokens:
    prompt = usage.input_tokens if usage.prompt_tokens is None else usage.prompt_tokens
    completion = usage.output_tokens if usage.completion_tokens is None else usage.completion_tokens
    return Tokens(-1 if prompt is None else prompt, -1 if completion is None else completion)
