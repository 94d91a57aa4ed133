"""The part of an engine's answer that says how many tokens it took. Not compiled: msgspec reads the annotations."""

from typing import Annotated

import msgspec

_Count = Annotated[int, msgspec.Meta(ge=0)]


class Usage(msgspec.Struct):
    """-1: not said."""

    prompt_tokens: _Count = -1
    completion_tokens: _Count = -1
    input_tokens: _Count = -1
    """The responses and messages APIs."""
    output_tokens: _Count = -1


class Whole(msgspec.Struct):
    """An answer."""

    usage: Usage | None


class Within(msgspec.Struct):
    """An event of the responses API, which carries the answer."""

    response: Whole


WHOLE = msgspec.json.Decoder(Whole)
WITHIN = msgspec.json.Decoder(Within)
