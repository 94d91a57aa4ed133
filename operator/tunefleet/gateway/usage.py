"""How many tokens a request took, out of the last bytes of its answer.

Answers are not decoded: they may be long, and what a model writes into them must not be mistaken for the engine's
own figures. Inside a JSON string every quote has a backslash before it, so `"usage"` followed by a colon is always
the key of an object, whatever the strings say. That it is a key of the outermost object is known from what follows:
with one opening brace before it the rest has to be one whole object.
"""

import re
from typing import Final

from msgspec import DecodeError

from .usage_schema import WHOLE, WITHIN, Usage

UNKNOWN: Final = (-1, -1)

_LOOKED_AT: Final = 3
"""Events at the end of a stream: `[DONE]`, or Anthropic's message_stop, comes after the one with the figures."""
_CANDIDATES: Final = 4
"""Keys `usage` in one object; a tool's schema that is repeated in the answer may have some of its own."""
_FRAMING: Final = re.compile(rb"\r\n[0-9a-fA-F]+[^\r\n]*\r\n(?:\r\n)?")
"""Between two chunks of a chunked body, and after the last."""
_KEY: Final = b'"usage"'
_EVENT: Final = b"\ndata:"
_BACKSLASH: Final = ord("\\")


def tokens_of(tail: bytes, path: str, streamed: bool) -> tuple[int, int]:
    """Tokens of the prompt and of the completion, -1 where the answer does not say.

    `tail`: the end of the answer's body as it passed, chunk framing included.
    """
    if streamed:
        return _of_stream(tail, path.endswith("/responses"))
    return _of_object(_FRAMING.sub(b"", tail) if tail.endswith(b"\r\n") else tail, False)


def _of_stream(tail: bytes, within: bool) -> tuple[int, int]:
    end = len(tail)
    for _ in range(_LOOKED_AT):
        start = tail.rfind(_EVENT, 0, end)
        event = tail[start + len(_EVENT) if start >= 0 else 0 : end]
        if b"\r\n" in event:
            event = _FRAMING.sub(b"", event)
        if _KEY in event:
            return _of_object(event.partition(b"\n")[0], within)
        if start < 0:
            break
        end = start
    return UNKNOWN


def _of_object(text: bytes, within: bool) -> tuple[int, int]:
    at = len(text)
    for _ in range(_CANDIDATES):
        at = text.rfind(_KEY, 0, at)
        if at < 0 or (at > 0 and text[at - 1] == _BACKSLASH):
            break
        try:
            return _tokens(_decode(text[at:], within))
        except DecodeError:
            continue
    return UNKNOWN


def _decode(rest: bytes, within: bool) -> Usage | None:
    if within:
        return WITHIN.decode(b'{"response":{' + rest).response.usage
    return WHOLE.decode(b"{" + rest).usage


def _tokens(usage: Usage | None) -> tuple[int, int]:
    if usage is None:
        return UNKNOWN
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    return (
        usage.input_tokens if prompt < 0 else prompt,
        usage.output_tokens if completion < 0 else completion,
    )
