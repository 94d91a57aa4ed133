"""Fields of a request that would end the engine for everybody, refused before an engine sees them.

Log-probabilities of the prompt, computed beside other adapters' streams, end vLLM 0.32: its output layer has one
adapter index for each request, and gets one row for each token of the prompt (seen on CPU; by its source GPUs go the
same way). They are asked for by `prompt_logprobs`, on /v1/completions by `echo` with `logprobs`, and on
/v1/chat/completions by `echo` alone, which takes the number of `top_logprobs`, by default 0. One client must not be
able to end the streams of all others.
"""

from typing import Final

from .body_fields import Fields
from .errors import Refusal

_ECHO_PATH: Final = "/v1/completions"
"""Where `echo` is harmless by itself: it repeats the prompt's text."""


def refuse_deadly_fields(path: str, asked: Fields) -> None:
    """Raises Refusal (400)."""
    if _asked(asked.prompt_logprobs):
        raise _refusal("prompt_logprobs", "leave the field 'prompt_logprobs' out")
    if not _asked(asked.echo):
        return
    if path != _ECHO_PATH:
        raise _refusal("echo", "leave the field 'echo' out")
    if _asked(asked.logprobs):
        raise _refusal("echo", "leave 'echo' or 'logprobs' out")


def _asked(value: object) -> bool:
    """Engines convert texts and numbers, and 0 asks for log-probabilities too."""
    return value is not None and value is not False


def _refusal(field: str, advice: str) -> Refusal:
    message = (
        f"Log-probabilities of the prompt are not served, because they end an engine that holds adapters: {advice}."
    )
    return Refusal(400, message, "unsupported_parameter", field)
