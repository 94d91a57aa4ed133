"""What each error code of the gateway means to those who call, and what they do about it. Data for the reference."""

from typing import Final, NamedTuple


class ErrorCode(NamedTuple):
    """One `code` of the gateway's own errors."""

    code: str
    statuses: tuple[int, ...]
    meaning: str
    advice: str


ERROR_CODES: Final = (
    ErrorCode(
        "malformed_request", (400,),
        "The request is not HTTP/1.1 as RFC 9112 has it, or can be read in two ways. The connection closes.",
        "Use an HTTP library. A proxy between client and gateway that rewrites requests may be the cause.",
    ),
    ErrorCode("invalid_json", (400,), "The body is not a JSON object in UTF-8.", "Mend the body."),
    ErrorCode(
        "invalid_body", (400,), "`model` is no text, or the body is nested too deeply.", "Mend the body."
    ),
    ErrorCode("model_missing", (400,), "The body names no `model`.", "Name one; `GET /v1/models` lists them."),
    ErrorCode("model_repeated", (400,), "The body has `model` twice at its top.", "Leave one."),
    ErrorCode(
        "unsupported_parameter", (400,),
        "A field that would end the engine for everybody: `prompt_logprobs`, `echo` of a chat, `echo` with `logprobs`.",
        "Leave it out.",
    ),
    ErrorCode(
        "invalid_api_key", (401,), "No API key, or one that is unknown, expired or revoked.",
        "Send `Authorization: Bearer KEY` (or `x-api-key: KEY`) with a valid one.",
    ),
    ErrorCode(
        "model_not_found", (404,),
        "No object has this served name, no engine holds this `@vN`, or the key may not see it.",
        "`GET /v1/models` lists what the key may use.",
    ),
    ErrorCode("unknown_url", (404,), "The path does not exist.", "The message says what to write."),
    ErrorCode("method_not_allowed", (405,), "The path takes another method; `Allow` names it.", "Use that one."),
    ErrorCode(
        "request_timeout", (408,), "Head or body did not arrive in time. The connection closes.",
        "Send again; on slow lines, send less.",
    ),
    ErrorCode(
        "request_too_large", (413,), "The body is larger than `--max-body-bytes`. The connection closes.",
        "Send less, or raise the limit.",
    ),
    ErrorCode("unsupported_encoding", (415,), "The body is compressed.", "Send it as it is."),
    ErrorCode(
        "expectation_failed", (417,), "An `Expect` other than `100-continue`. The connection closes.", "Leave it out."
    ),
    ErrorCode(
        "rate_limit_exceeded", (429,), "A limit of the key is reached; the message and `type` say which.",
        "Wait as long as `Retry-After` says.",
    ),
    ErrorCode(
        "request_head_too_large", (431,), "The request's head is larger than 32 KiB. The connection closes.",
        "Send fewer or shorter header lines.",
    ),
    ErrorCode(
        "engine_failed", (502,), "The engine broke off before it answered. The request may have run.",
        "Send again if it may run twice.",
    ),
    ErrorCode(
        "stream_broken", (502,),
        "The engine broke off within a stream: the last event, after which the connection ends. The status was 200.",
        "What came is incomplete; send again.",
    ),
    ErrorCode(
        "fallback_denied", (502,), "The external fallback refused the key that the gateway has for it.",
        "Whoever runs the endpoint renews the key in the fallback's Secret.",
    ),
    ErrorCode(
        "model_not_available", (503,), "The model exists, and no engine holds it: it starts, loads, or was refused.",
        "Retry after `Retry-After`. Should it last, the object's status says why.",
    ),
    ErrorCode(
        "too_many_waiting", (503,), "The model starts or wakes, and as many requests as may already wait for it.",
        "Retry after `Retry-After`.",
    ),
    ErrorCode(
        "engine_unreachable", (503,), "No engine took the connection, so the request did not run.",
        "Retry after `Retry-After`.",
    ),
    ErrorCode(
        "too_many_connections", (503,), "`--max-connections` are open. The connection closes.",
        "Retry after `Retry-After`; share connections.",
    ),
    ErrorCode(
        "engine_timeout", (504,), "The engine said nothing for `--engine-timeout` seconds.",
        "Ask for fewer tokens, or stream.",
    ),
)  # fmt: skip
