"""What would end an engine is refused; what only looks like it is not."""

import json
from typing import Any

import pytest

from tunefleet.gateway.body_fields import read_fields
from tunefleet.gateway.deadly_fields import refuse_deadly_fields
from tunefleet.gateway.errors import Refusal

from .harness import ASK, CHAT, engine, gateway, post

COMPLETIONS = "/v1/completions"
DEADLY: dict[str, dict[str, Any]] = {
    "prompt_logprobs": {"prompt_logprobs": 0},
    "as a text, which engines convert": {"prompt_logprobs": "5"},
    "echo with logprobs": {"echo": True, "logprobs": 0},
    "echo as a number": {"echo": 1, "logprobs": 2},
}
HARMLESS: dict[str, dict[str, Any]] = {
    "null": {"prompt_logprobs": None},
    "logprobs alone": {"logprobs": True, "top_logprobs": 5},
    "echo that is not asked for": {"echo": False, "logprobs": True},
    "in a text": {"user": "prompt_logprobs"},
    "deeper": {"metadata": {"prompt_logprobs": 1, "echo": True, "logprobs": 1}},
}


def refuse(path: str, body: bytes) -> None:
    refuse_deadly_fields(path, read_fields(body))


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
@pytest.mark.parametrize("fields", DEADLY.values(), ids=DEADLY)
def test_refused(path: str, fields: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as refused:
        refuse(path, json.dumps(ASK | fields).encode())
    assert (refused.value.status, refused.value.code) == (400, "unsupported_parameter")


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
@pytest.mark.parametrize("fields", HARMLESS.values(), ids=HARMLESS)
def test_passed(path: str, fields: dict[str, Any]) -> None:
    refuse(path, json.dumps(ASK | fields).encode())


def test_echo_alone_repeats_a_text_and_ends_a_chat() -> None:
    body = json.dumps(ASK | {"echo": True}).encode()
    refuse(COMPLETIONS, body)
    with pytest.raises(Refusal, match="leave the field 'echo' out"):
        refuse(CHAT, body)
    with pytest.raises(Refusal):
        refuse(CHAT, rb'{"model": "m", "\u0065cho": true}')


def test_the_name_in_another_spelling() -> None:
    with pytest.raises(Refusal):
        refuse(CHAT, rb'{"model": "m", "prompt\u005flogprobs": 1}')
    with pytest.raises(Refusal):
        refuse(CHAT, rb'{"model": "m", "\u0070rompt_l\u006fgprobs": 1}')


async def test_no_engine_sees_it() -> None:
    async with engine() as upstream, gateway(upstream) as front, await front.client() as client:
        await client.send(post({**ASK, "prompt_logprobs": 1}))
        response = await client.response()
        assert (response.status, response.json["error"]["param"]) == (400, "prompt_logprobs")
        assert not upstream.received
