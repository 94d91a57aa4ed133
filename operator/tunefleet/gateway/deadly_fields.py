"""Fields of a request that would end the engine for everybody, refused before an engine sees them.

Log-probabilities of the prompt, computed beside other adapters' streams, end vLLM 0.32: its output layer has one
adapter index for each request, and gets one row for each token of the prompt (seen on CPU; by its source GPUs go the
same way). They are asked for by `prompt_logprobs`, and on /v1/completions by `echo` with `logprobs`. One client must
not be able to end the streams of all others.
"""

from typing import Final

from .body_fields import read_deadly_fields
from .errors import Refusal

_HINT: Final = b"logprobs"
_ESCAPE: Final = b"\\u00"
"""One of these is in every body that has the fields; most bodies have neither, and are not decoded for this."""


def refuse_deadly_fields(body: bytes) -> None:
    """Raises Refusal (400). The body is known to be a JSON object."""
    if _HINT not in body and _ESCAPE not in body:
        return
    asked = read_deadly_fields(body)
    if _asked(asked.prompt_logprobs):
        raise _refusal("prompt_logprobs", "leave the field 'prompt_logprobs' out")
    if _asked(asked.echo) and _asked(asked.logprobs):
        raise _refusal("echo", "leave 'echo' or 'logprobs' out")


def _asked(value: object) -> bool:
    """Engines convert texts and numbers, and 0 asks for log-probabilities too."""
    return value is not None and value is not False


def _refusal(field: str, advice: str) -> Refusal:
    message = (
        f"Log-probabilities of the prompt are not served, because they end an engine that holds adapters: {advice}."
    )
    return Refusal(400, message, "unsupported_parameter", field)
