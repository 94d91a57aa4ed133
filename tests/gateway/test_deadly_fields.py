"""What would end an engine is refused; what only looks like it is not."""

import json
from typing import Any

import pytest

from tunefleet.gateway.deadly_fields import refuse_deadly_fields
from tunefleet.gateway.errors import Refusal

from .harness import ASK, engine, gateway, post

DEADLY: dict[str, dict[str, Any]] = {
    "prompt_logprobs": {"prompt_logprobs": 0},
    "as a text, which engines convert": {"prompt_logprobs": "5"},
    "echo with logprobs": {"echo": True, "logprobs": 0},
    "echo as a number": {"echo": 1, "logprobs": 2},
}
HARMLESS: dict[str, dict[str, Any]] = {
    "null": {"prompt_logprobs": None},
    "logprobs alone": {"logprobs": True, "top_logprobs": 5},
    "echo alone": {"echo": True, "logprobs": None},
    "in a text": {"user": "prompt_logprobs"},
    "deeper": {"metadata": {"prompt_logprobs": 1, "echo": True, "logprobs": 1}},
}


@pytest.mark.parametrize("fields", DEADLY.values(), ids=DEADLY)
def test_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as refused:
        refuse_deadly_fields(json.dumps(ASK | fields).encode())
    assert (refused.value.status, refused.value.code) == (400, "unsupported_parameter")


@pytest.mark.parametrize("fields", HARMLESS.values(), ids=HARMLESS)
def test_passed(fields: dict[str, Any]) -> None:
    refuse_deadly_fields(json.dumps(ASK | fields).encode())


def test_the_name_in_another_spelling() -> None:
    with pytest.raises(Refusal):
        refuse_deadly_fields(rb'{"model": "m", "prompt\u005flogprobs": 1}')
    with pytest.raises(Refusal):
        refuse_deadly_fields(rb'{"model": "m", "\u0070rompt_l\u006fgprobs": 1}')


async def test_no_engine_sees_it() -> None:
    async with engine() as upstream, gateway(upstream) as front, await front.client() as client:
        await client.send(post({**ASK, "prompt_logprobs": 1}))
        response = await client.response()
        assert (response.status, response.json["error"]["param"]) == (400, "prompt_logprobs")
        assert not upstream.received
