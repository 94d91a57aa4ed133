"""litellm: `litellm_client.py URL MODEL QUESTION`."""

import asyncio
import json
import sys
from typing import Any

import litellm

litellm.suppress_debug_info = True  # it would print where to get help among the results


async def main(url: str, model: str, question: str) -> dict[str, object]:
    """What came of each form of request."""
    ask: dict[str, Any] = {
        "model": f"openai/{model}",
        "messages": [{"role": "user", "content": question}],
        "api_base": f"{url}/v1",
        "api_key": "open",
        "temperature": 0,
        "max_tokens": 32,
        "num_retries": 0,
    }
    whole = litellm.completion(**ask)
    asynchronous = await litellm.acompletion(**ask)
    parts = [part.choices[0].delta.content or "" for part in litellm.completion(**ask, stream=True)]
    plain = {name: value for name, value in ask.items() if name != "messages"}
    text = litellm.text_completion(**{**plain, "model": f"text-completion-openai/{model}"}, prompt="The capital of")
    return {
        "whole": whole.choices[0].message.content,
        "model": whole.model,
        "asynchronous": asynchronous.choices[0].message.content,
        "streamed": "".join(parts),
        "text": text.choices[0].text,
        "unknown": await failure({**ask, "model": "openai/nobody"}),
        "refused": await failure({**ask, "max_tokens": 0}),
    }


async def failure(ask: dict[str, Any]) -> list[str]:
    """Class and message of what was raised."""
    try:
        await litellm.acompletion(**ask)
    except Exception as error:  # its exceptions have no class in common
        return [type(error).__name__, str(error)]
    return []


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(*sys.argv[1:]))))
