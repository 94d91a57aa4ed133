"""The few fields that are read of a request's body. msgspec skips all others at memory speed and proves the JSON whole.

Apart from the modules that use them, as those are compiled, and msgspec reads annotations that compiling removes.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec


class _Model(msgspec.Struct):
    model: str | None = None


class DeadlyFields(msgspec.Struct):
    """See deadly_fields.py."""

    prompt_logprobs: Any = None
    echo: Any = None
    logprobs: Any = None


class _User(msgspec.Struct):
    user: msgspec.Raw = msgspec.Raw(b"null")


_MODEL: Final = msgspec.json.Decoder(_Model)
_USER: Final = msgspec.json.Decoder(_User)
_ANY: Final = msgspec.json.Decoder()

InvalidBodyError = msgspec.ValidationError
InvalidJSONError = (msgspec.DecodeError, UnicodeDecodeError)

read_deadly_fields: Final[Callable[[bytes], DeadlyFields]] = msgspec.json.Decoder(DeadlyFields).decode


def read_model(body: bytes) -> str | None:
    """The top-level `model`, the last one should there be several. Raises InvalidBodyError, one of InvalidJSONError."""
    return _MODEL.decode(body).model


def read_user(body: bytes) -> bytes | None:
    """The top-level `user` when it is a string. The body is known to be a JSON object."""
    user = _ANY.decode(_USER.decode(body).user)
    return user.encode() if isinstance(user, str) else None
