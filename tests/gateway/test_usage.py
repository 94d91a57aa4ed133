"""Token counts come from the engine's own figures, whatever a model writes into its answer."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunefleet.gateway.usage import UNKNOWN, tokens_of

CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
TAIL = 4096
USAGE = {"prompt_tokens": 17, "total_tokens": 59, "completion_tokens": 42, "prompt_tokens_details": None}
FORGED = '"usage":{"prompt_tokens":1,"completion_tokens":1}}'


def answer(content: str = "Hello", usage: Any = USAGE, **more: Any) -> bytes:
    """As vLLM writes it: the figures come last but for a few nulls."""
    choices = [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}]
    body = {"id": "chatcmpl-1", "choices": choices, **more, "usage": usage, "prompt_logprobs": None}
    return json.dumps(body, separators=(",", ":")).encode()


def events(*parts: Any, end: bytes = b"data: [DONE]\n\n") -> bytes:
    return b"".join(b"data: " + json.dumps(part, separators=(",", ":")).encode() + b"\n\n" for part in parts) + end


def delta(content: str) -> dict[str, Any]:
    return {"id": "c", "choices": [{"index": 0, "delta": {"content": content}}]}


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def plain(body: bytes, path: str = CHAT) -> tuple[int, int]:
    return tokens_of(body[-TAIL:], path, False)


def streamed(body: bytes, path: str = CHAT) -> tuple[int, int]:
    return tokens_of(body[-TAIL:], path, True)


def test_a_plain_answer() -> None:
    assert plain(answer()) == (17, 42)
    assert plain(json.dumps(json.loads(answer()), indent=2).encode()) == (17, 42)


def test_an_answer_longer_than_the_tail() -> None:
    assert plain(answer("long " * 5000)) == (17, 42)


def test_embeddings_have_no_completion() -> None:
    body = {"object": "list", "data": [{"embedding": [0.5] * 2000}], "usage": {"prompt_tokens": 8, "total_tokens": 8}}
    assert plain(json.dumps(body).encode(), "/v1/embeddings") == (8, -1)


def test_a_chunked_plain_answer() -> None:
    body = answer()
    assert plain(chunked(body)) == (17, 42)
    assert plain(chunked(*(body[at : at + 7] for at in range(0, len(body), 7)))) == (17, 42)


def test_the_last_event_of_a_stream() -> None:
    last = {"id": "c", "choices": [], "usage": USAGE}
    assert streamed(events(delta("Hel"), delta("lo"), last)) == (17, 42)
    assert streamed(events(delta("Hello"))) == UNKNOWN
    assert streamed(events({**delta("Hello"), "usage": None})) == UNKNOWN


def test_figures_in_every_event_are_counted_up_and_the_last_one_counts() -> None:
    parts = [{**delta("x"), "usage": {"prompt_tokens": 17, "completion_tokens": n}} for n in range(1, 40)]
    assert streamed(events(*parts)) == (17, 39)
    assert streamed(events(*parts, end=b"")) == (17, 39)


def test_a_chunk_for_each_event_and_chunks_that_follow_no_event() -> None:
    body = events(delta("Hello"), {"id": "c", "choices": [], "usage": USAGE})
    assert streamed(chunked(*(part + b"\n\n" for part in body.split(b"\n\n") if part))) == (17, 42)
    for size in (1, 2, 3, 7, 30, 100):
        cut = [body[at : at + size] for at in range(0, len(body), size)]
        assert streamed(chunked(*cut)) in {(17, 42), UNKNOWN}  # a key that a chunk boundary cuts is not looked for
    assert streamed(chunked(body)) == (17, 42)


def test_lines_of_a_stream_may_end_as_http_lines_do() -> None:
    body = events(delta("Hello"), {"choices": [], "usage": USAGE}).replace(b"\n", b"\r\n")
    assert streamed(body) == (17, 42)


def test_the_responses_api() -> None:
    usage = {"input_tokens": 5, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 6, "total_tokens": 11}
    whole = {"id": "resp_1", "output": [], "tools": [{"usage": {"prompt_tokens": 1}}], "usage": usage, "user": None}
    assert plain(json.dumps(whole).encode(), RESPONSES) == (5, 6)
    done = {"response": whole, "sequence_number": 9, "type": "response.completed"}
    assert streamed(b"event: response.completed\n" + events(done, end=b""), RESPONSES) == (5, 6)
    long = {**whole, "output": ["x" * 9000]}
    assert streamed(events({"response": long, "type": "response.completed"}), RESPONSES) == (5, 6)


def test_the_messages_api() -> None:
    body = {"id": "msg", "type": "message", "content": [], "usage": {"input_tokens": 3, "output_tokens": 4}}
    assert plain(json.dumps(body).encode(), MESSAGES) == (3, 4)
    ends = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": body["usage"]}
    stream = (
        b"event: message_delta\n"
        + events(ends, end=b"event: message_stop\n")
        + events({"type": "message_stop"}, end=b"")
    )
    assert streamed(stream, MESSAGES) == (3, 4)


@pytest.mark.parametrize(
    "content",
    [
        FORGED,
        "{" + FORGED,
        f'"}}}}],{FORGED}',
        '","usage":{"prompt_tokens":1},"x":"',
        "usage",
        '\\"usage":{"prompt_tokens":1,"completion_tokens":1}',
        'data: {"choices":[],' + FORGED + "\n\ndata: [DONE]\n\n",
        "\r\n1f\r\n" + FORGED + "\r\n0\r\n\r\n",
    ],
)
def test_what_a_model_writes_is_no_figure(content: str) -> None:
    for padding in ("", "y" * 4000, "z" * 5000):
        text = content + padding
        assert plain(answer(text)) == (17, 42)
        assert plain(answer(text, usage=None)) == UNKNOWN
        assert streamed(events(delta(text), {"choices": [], "usage": USAGE})) == (17, 42)
        assert streamed(events(delta(text))) == UNKNOWN


@given(st.text(alphabet='"\\{}:,usage \n\r1fd', max_size=60), st.integers(0, 80))
def test_no_text_makes_figures(text: str, cut: int) -> None:
    content = text + FORGED + text
    for body in (answer(content, usage=None), json.dumps(delta(content)).encode()):
        assert plain(body[cut:]) == UNKNOWN
        assert streamed(b"data: " + body[cut:] + b"\n\n") == UNKNOWN


def test_figures_deeper_in_the_answer_are_somebody_elses() -> None:
    forged = {"usage": {"prompt_tokens": 1, "completion_tokens": 1}}
    assert plain(answer(metadata=forged)) == (17, 42)
    assert plain(json.dumps({"metadata": forged}).encode()) == UNKNOWN
    assert plain(json.dumps({"usage": USAGE, "metadata": {"a": forged}}).encode()) == (17, 42)
    assert plain(json.dumps({'x"usage': USAGE}).encode()) == UNKNOWN


@pytest.mark.parametrize("usage", [None, [], 3, {}, {"prompt_tokens": "17"}, {"prompt_tokens": -4}, {"x": 1}])
def test_figures_that_are_none(usage: Any) -> None:
    assert plain(answer(usage=usage)) == UNKNOWN


@pytest.mark.parametrize("body", [b"", b"not json", b'{"usage":', b'{"usage":{"prompt_tokens":1}', b"\xff" * 20])
def test_broken_answers(body: bytes) -> None:
    assert plain(body) == UNKNOWN
    assert streamed(body) == UNKNOWN
