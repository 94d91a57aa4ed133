"""The few fields that are read of a request's body. msgspec skips all others at memory speed and proves the JSON whole.

Apart from the modules that use them, as those are compiled, and msgspec reads annotations that compiling removes.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec


class Fields(msgspec.Struct):
    """Of the outermost object. Whatever stands there twice is the last one, as engines have it."""

    model: str | None = None
    stream: Any = None
    prompt_logprobs: Any = None
    echo: Any = None
    logprobs: Any = None


class _User(msgspec.Struct):
    user: msgspec.Raw = msgspec.Raw(b"null")


_USER: Final = msgspec.json.Decoder(_User)
_ANY: Final = msgspec.json.Decoder()

InvalidBodyError = msgspec.ValidationError
InvalidJSONError = (msgspec.DecodeError, UnicodeDecodeError)

read_fields: Final[Callable[[bytes], Fields]] = msgspec.json.Decoder(Fields).decode
"""Raises InvalidBodyError, or one of InvalidJSONError."""


def read_user(body: bytes) -> bytes | None:
    """The top-level `user` when it is a string. The body is known to be a JSON object."""
    user = _ANY.decode(_USER.decode(body).user)
    return user.encode() if isinstance(user, str) else None
