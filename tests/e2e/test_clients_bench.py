"""vLLM's own load generator, in an engine's pod, through the gateway to the base and three adapters."""

import re

import pytest

from tunefleet.build.engine_containers import ENGINE_CONTAINER

from .fleet import Fleet

pytestmark = pytest.mark.e2e

REQUESTS = 60


def test_no_request_of_vllm_bench_serve_fails(serving: Fleet) -> None:
    pod = serving.items("pods", "tunefleet.io/endpoint=tiny-chat,tunefleet.io/base-model-version=1")[0]
    engine = next(c for c in pod["spec"]["containers"] if c["name"] == ENGINE_CONTAINER)
    weights = engine["args"][1]  # serve PATH …
    said = serving.kubectl(
        "exec", pod["metadata"]["name"], "-c", ENGINE_CONTAINER, "--",
        "vllm", "bench", "serve", "--backend", "openai-chat", "--endpoint", "/v1/chat/completions",
        "--base-url", serving.gateway, "--model", "tiny-chat", "--tokenizer", weights,
        "--lora-modules", "tiny-chat", "german", "formal", "pirate",
        "--dataset-name", "random", "--random-input-len", "32", "--random-output-len", "16", "--seed", "1",
        "--num-prompts", str(REQUESTS), "--max-concurrency", "8", "--disable-tqdm",
    )  # fmt: skip
    counts = {name: int(number) for name, number in re.findall(r"(Successful|Failed) requests: +(\d+)", said)}
    assert counts == {"Successful": REQUESTS, "Failed": 0}, said[-2000:]
