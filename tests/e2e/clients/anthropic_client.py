"""Anthropic's client: `anthropic_client.py URL MODEL QUESTION`."""

import json
import sys

import anthropic


def main(url: str, model: str, question: str) -> dict[str, object]:
    """What came of each form of request."""
    ask = {"model": model, "max_tokens": 32, "messages": [{"role": "user", "content": question}]}
    schema = {"type": "object", "properties": {"city": {"enum": ["Lima"]}}, "required": ["city"]}
    tool = {"name": "look_up", "input_schema": {**schema, "additionalProperties": False}}
    with anthropic.Anthropic(base_url=url, api_key="open", max_retries=0) as client:
        whole = client.messages.create(**ask, extra_body={"temperature": 0})
        with client.messages.stream(**ask, extra_body={"temperature": 0}) as stream:
            streamed = stream.get_final_message()
        called = client.messages.create(
            **{**ask, "max_tokens": 128}, tools=[tool], tool_choice={"type": "tool", "name": "look_up"}
        )
        counted = client.messages.count_tokens(model=model, messages=ask["messages"])
        return {
            "whole": whole.content[0].text,
            "model": whole.model,
            "streamed": streamed.content[0].text,
            "tool": called.content[0].input,
            "counted": counted.input_tokens,
            "used": whole.usage.input_tokens,
            "unknown": failure(client, {**ask, "model": "nobody"}),
            "without max_tokens": failure(client, {**ask, "max_tokens": 0}),
            "doubled prefix": failure(client.with_options(base_url=f"{url}/v1"), ask),
        }


def failure(client: anthropic.Anthropic, ask: dict[str, object]) -> list[str]:
    """Class and message of what was raised."""
    try:
        client.messages.create(**ask)
    except anthropic.APIStatusError as error:
        return [type(error).__name__, error.message]
    return []


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
