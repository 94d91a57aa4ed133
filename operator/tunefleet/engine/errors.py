"""The error shapes of vLLM's HTTP server, read into one.

There are three: `{"error": {"message", "type", "code"}}` of the OpenAI routes, `{"detail": …}` of the web framework,
and `{"error": "Unauthorized"}` of the key check. Status codes do not tell whose fault it is: a broken adapter is
answered with 500, exactly like a broken engine, so the text decides.
"""

import json
from enum import StrEnum

MAX_TEXT = 600
"""Characters kept of an engine's words: some of its messages list every module of the model."""


class LoadFault(StrEnum):
    """What a refused load means."""

    ADAPTER = "adapter"
    """The adapter is at fault; loading it again gives the same answer."""
    ALREADY_LOADED = "already-loaded"
    """An adapter of this name is loaded, whatever its bytes are."""
    UNAUTHORIZED = "unauthorized"
    """The engine's key is not the agent's."""
    ENGINE = "engine"
    """The engine is at fault, or going; another try may succeed."""


class EngineError(Exception):
    """A request that the engine refused. `status` is HTTP's; 0 when there was no answer at all."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    @property
    def is_unreachable(self) -> bool:
        """There was no answer."""
        return self.status == 0


_ENGINE_SIGNS = (
    "cannot schedule new futures after shutdown",  # draining
    "enginedeaderror",
    "enginecore encountered an issue",
    "engine is dead",
    "currently busy",
    "out of memory",
)
"""Parts of messages, lower case, that speak of the engine and not of the adapter."""


def parse_error(status: int, body: str) -> EngineError:
    """The engine's words out of any of its error shapes; the body itself when it is none of them."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return EngineError(status, _clip(body) or f"HTTP {status} without a message")
    return EngineError(status, _clip(_message(document)) or f"HTTP {status} without a message")


def classify_load_error(error: EngineError) -> LoadFault:
    """Whose fault a refused load or a failed probe is."""
    text = error.message.lower()
    if error.status == 401:
        return LoadFault.UNAUTHORIZED
    if error.status == 400 and "already been loaded" in text:
        return LoadFault.ALREADY_LOADED
    if error.is_unreachable or error.status in {408, 429, 502, 503, 504}:
        return LoadFault.ENGINE
    if error.status >= 500 and any(sign in text for sign in _ENGINE_SIGNS):
        return LoadFault.ENGINE
    return LoadFault.ADAPTER


def _message(document: object) -> str:
    if not isinstance(document, dict):
        return str(document)
    error = document.get("error", document.get("detail", document))
    if isinstance(error, dict) and "message" in error:
        return str(error["message"])
    return str(error)


def _clip(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"
