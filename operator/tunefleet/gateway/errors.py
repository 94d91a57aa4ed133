"""Every error that the gateway itself answers, in the shape that OpenAI's clients parse.

Errors of engines are not rewritten; they pass through as they came.
"""

import json
import math
from dataclasses import dataclass, replace

RETRY_UNAVAILABLE = 5
"""Retry-After, in seconds, for a model that no engine holds: about the time in which an adapter is loaded."""
RETRY_SOON = 1
"""Retry-After, in seconds, when engines took no connection, or this process takes none: it may be over by then."""


class EngineProtocolError(Exception):
    """The engine's bytes are not one HTTP response."""


@dataclass(eq=False)
class Refusal(Exception):  # noqa: N818 - an answer, not a fault
    """An error answer of the gateway."""

    status: int
    message: str
    """One sentence that says what to do; may repeat the client's model name, never its prompt."""
    code: str
    """Stable, for programs."""
    param: str | None = None
    """The field at fault."""
    retry_after: int | None = None
    """Seconds, for the Retry-After header."""
    allow: str | None = None
    """Methods, for the Allow header of a 405."""
    closes: bool = False
    """What follows on the connection cannot be told apart any more, so it ends after the answer."""
    headers: tuple[tuple[str, str], ...] = ()
    """Further headers of the answer."""
    limit: str | None = None
    """OpenAI's `type` of a 429: what there was too much of."""

    @property
    def kind(self) -> str:
        """OpenAI's `type`."""
        return self.limit or ("invalid_request_error" if self.status < 500 else "server_error")

    def body(self) -> bytes:
        """`{"error": {...}}`, one line."""
        error = {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}
        return json.dumps({"error": error}).encode()


def malformed(message: str) -> Refusal:
    """A request that is not HTTP as RFC 9112 has it; where it ends is anybody's guess, so the connection closes."""
    return Refusal(400, message, "malformed_request", closes=True)


def too_large(what: str, limit: int) -> Refusal:
    """A head or a body above the limit. 431 and 413 by what it is."""
    status, code = (431, "request_head_too_large") if what == "head" else (413, "request_too_large")
    return Refusal(status, f"The request's {what} is larger than {limit} bytes.", code, closes=True)


def too_slow(what: str) -> Refusal:
    """A client that did not send its request in time."""
    return Refusal(408, f"The request's {what} did not arrive in time.", "request_timeout", closes=True)


def no_route(method: str, path: str, advice: str) -> Refusal:
    """A path that does not exist; `advice` says what to do instead."""
    return Refusal(404, f"{method} {path} does not exist here; {advice}.", "unknown_url")


def wrong_method(method: str, path: str, allow: str) -> Refusal:
    """A path that exists, asked for in another way."""
    return Refusal(405, f"{path} takes {allow}, not {method}.", "method_not_allowed", allow=allow)


def invalid_key(message: str) -> Refusal:
    """No key, or none that is valid. Which keys there are, or were, is not said."""
    return Refusal(401, message, "invalid_api_key", headers=(("www-authenticate", "Bearer"),))


def rate_limited(limit: str, message: str, seconds: float, headers: tuple[tuple[str, str], ...]) -> Refusal:
    """A key's limit is reached; in so many seconds there is room again."""
    retry_after = max(1, math.ceil(round(seconds, 3)))
    return Refusal(429, message, "rate_limit_exceeded", retry_after=retry_after, headers=headers, limit=limit)


def unknown_model(model: str) -> Refusal:
    """A name that no object owns, or that the caller's key may not see: the answers are the same."""
    message = (
        f"The model {_shown(model)} does not exist. GET /v1/models lists the models that can answer now; "
        "append @vN to a name to ask for one of its loaded versions."
    )
    return Refusal(404, message, "model_not_found", param="model")


def unavailable_model(model: str) -> Refusal:
    """A name that is known, and that no engine holds at the moment."""
    message = (
        f"The model {_shown(model)} exists, but no engine holds it at the moment: it is starting, loading, or was "
        "refused; its object's status says which. Try again later."
    )
    return Refusal(503, message, "model_not_available", param="model", retry_after=RETRY_UNAVAILABLE)


def queue_full(model: str) -> Refusal:
    """A name that no engine holds at the moment, and for which as many requests wait as may."""
    message = (
        f"No engine that holds {_shown(model)} can answer at the moment, and as many requests as may already wait for "
        "one. Try again later."
    )
    return Refusal(503, message, "too_many_waiting", param="model", retry_after=RETRY_UNAVAILABLE)


def unreachable(model: str) -> Refusal:
    """No engine accepted a connection, so the request did not run."""
    message = f"No engine that holds {_shown(model)} could be reached; the request did not run. Try again."
    return Refusal(503, message, "engine_unreachable", retry_after=RETRY_SOON)


def without_fallback(refusal: Refusal, problem: str) -> Refusal:
    """The same, where the endpoint has a fallback that cannot be used."""
    return replace(refusal, message=f"{refusal.message} The fallback cannot answer either: {problem}.")


def key_refused(model: str) -> Refusal:
    """The external upstream called our key invalid. The client's is fine, so a 401 would mislead it."""
    message = (
        f"The fallback that answers for {_shown(model)} at the moment refused the gateway's API key; the request did "
        "not run. The Secret that the endpoint's fallback names needs a valid one."
    )
    return Refusal(502, message, "fallback_denied")


def engine_lost(model: str) -> Refusal:
    """The engine took the request and broke off before it answered anything."""
    message = (
        f"The engine that {_shown(model)} was sent to broke off before it answered. The request may have run; "
        "it was not repeated."
    )
    return Refusal(502, message, "engine_failed")


def engine_silent(model: str, seconds: float) -> Refusal:
    """The engine took the request and said nothing for too long."""
    message = f"The engine that {_shown(model)} was sent to said nothing for {seconds:.0f} seconds."
    return Refusal(504, message, "engine_timeout")


def stream_broken(model: str) -> Refusal:
    """The engine broke off in the middle of a stream; sent as an event, as the status line is long gone."""
    message = f"The engine that served {_shown(model)} broke off; the answer is incomplete. Send the request again."
    return Refusal(502, message, "stream_broken")


def overloaded() -> Refusal:
    """More connections than this process was told to hold."""
    message = "This gateway holds as many connections as it may. Try again later."
    return Refusal(503, message, "too_many_connections", retry_after=RETRY_SOON, closes=True)


def _shown(model: str) -> str:
    return json.dumps(model if len(model) <= 128 else model[:125] + "...", ensure_ascii=False)
