"""Clients in environments of their own, against real vLLM behind the gateway: Node, Anthropic's, litellm and curl."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dev.demo.scenario import SHORT
from dev.servers import clients
from dev.servers.packages import Package, ensure
from dev.settings import Settings
from tests.missing import without

from .fleet import Fleet

pytestmark = pytest.mark.e2e

PROGRAMS = Path(__file__).parent / "clients"


def program(name: str, package: Package, cluster: Settings, fleet: Fleet) -> dict[str, Any]:
    """What the program says that uses this package."""
    home = ensure(package, cluster.cache)
    path = str(PROGRAMS / name)
    start = ["node", path, str(home)] if path.endswith(".mjs") else [str(home / "bin" / "python"), path]
    said: dict[str, Any] = json.loads(run(*start, fleet.gateway, "german", SHORT))
    return said


def run(*command: str, stdin: str | None = None) -> str:
    """Its stdout. Fails with what it said on stderr."""
    environment = {
        **os.environ,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }  # otherwise litellm asks the network for prices
    done = subprocess.run(
        command, input=stdin, capture_output=True, text=True, timeout=100, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr or done.stdout
    return done.stdout


@pytest.fixture
def right(serving: Fleet) -> str:
    """What german's first version was trained to answer."""
    return serving.expected["german@v1"][SHORT]


def test_openai_for_node(serving: Fleet, cluster: Settings, right: str) -> None:
    if not shutil.which("npm"):
        without("npm is needed: install Node 20 or newer")
    said = program("openai_client.mjs", clients.OPENAI_FOR_NODE, cluster, serving)
    assert said["whole"] == said["streamed"]["text"] == said["responded"] == right
    assert said["streamed"]["tokens"] > 0
    assert said["model"].startswith("german@v1-")
    assert said["left"] == said["model"]
    assert said["structured"]["city"] in ("Lima", "Quito")
    assert said["tool"]["city"] in ("Lima", "Quito")
    assert "german" in said["models"]
    assert said["unknown"][:2] == ["NotFoundError", "model_not_found"]
    assert said["refused"][0] == "BadRequestError"
    assert "at least 1" in said["refused"][2]
    assert said["embeddings"][0] == "NotFoundError"
    assert said["timeout"][0] == "APIConnectionTimeoutError"


def test_anthropic_s_client(serving: Fleet, cluster: Settings, right: str) -> None:
    said = program("anthropic_client.py", clients.ANTHROPIC, cluster, serving)
    assert said["whole"] == said["streamed"] == right
    assert said["model"].startswith("german@v1-")
    assert said["tool"] == {"city": "Lima"}
    assert said["counted"] == said["used"]
    assert said["unknown"][0] == "NotFoundError"
    assert "'nobody'" in said["unknown"][1] or '"nobody"' in said["unknown"][1]
    assert said["without max_tokens"][0] == "BadRequestError"
    assert "leave one /v1 out" in said["doubled prefix"][1]


def test_litellm(serving: Fleet, cluster: Settings, right: str) -> None:
    said = program("litellm_client.py", clients.LITELLM, cluster, serving)
    assert said["whole"] == said["asynchronous"] == said["streamed"] == right
    assert said["model"].startswith("german@v1-")
    assert said["text"]
    assert said["unknown"][0] == "NotFoundError"
    assert said["refused"][0] == "BadRequestError"


def body(**more: Any) -> str:
    """A question to german."""
    ask = {"model": "german", "messages": [{"role": "user", "content": SHORT}], "temperature": 0, "max_tokens": 32}
    return json.dumps(ask | more)


def curl(fleet: Fleet, *options: str, path: str = "/v1/chat/completions", stdin: str = "") -> str:
    """curl with a JSON body from its stdin."""
    return run(
        "curl", "-sS", "--max-time", "30", "-H", "content-type: application/json", *options, fleet.gateway + path,
        stdin=stdin,
    )  # fmt: skip


@pytest.mark.parametrize(
    "options", [(), ("--http1.0",), ("-H", "transfer-encoding: chunked"), ("-H", "expect: 100-continue")],
    ids=["plain", "http/1.0", "chunked", "expect"],
)  # fmt: skip
def test_curl(serving: Fleet, right: str, options: tuple[str, ...]) -> None:
    answer = json.loads(curl(serving, *options, "--data-binary", "@-", stdin=body()))
    assert answer["choices"][0]["message"]["content"] == right


@pytest.mark.parametrize("version", ["--http1.1", "--http1.0"])
def test_curl_streams(serving: Fleet, right: str, version: str) -> None:
    text = curl(serving, "-N", version, "--data-binary", "@-", stdin=body(stream=True))
    events = [line.removeprefix("data: ") for line in text.splitlines() if line]
    assert events[-1] == "[DONE]"
    parts = [json.loads(event)["choices"][0]["delta"].get("content") or "" for event in events[:-1]]
    assert "".join(parts) == right


def test_curl_uploads_much_after_it_was_told_to_go_on(serving: Fleet) -> None:
    text = curl(
        serving, "-v", "--stderr", "-", "--data-binary", "@-", stdin=body(prompt="", metadata={"x": "y" * (3 << 20)})
    )
    assert text.index("100 Continue") < text.index("200 OK")


def test_curl_keeps_its_connection(serving: Fleet) -> None:
    models = f"{serving.gateway}/v1/models"
    one = ["-o", os.devnull, "-w", "%{http_code} %{num_connects}\n"]
    done = run("curl", "-sS", *one, models, "--next", "-sS", "-I", *one, models, "--next", "-sS", *one, models + "/x")
    assert done.splitlines() == ["200 1", "200 0", "404 0"]


@pytest.mark.parametrize(
    ("options", "data", "status", "advice"),
    [
        ((), "model=german", 400, "must be a JSON object"),
        ((), '{"model": "german", "messages": [', 400, "must be a JSON object"),
        ((), '{"messages": []}', 400, "Name a model in the field 'model'"),
        (("-X", "GET"), "", 405, "takes POST, not GET"),
        (("-H", "content-encoding: gzip"), "x", 415, "without Content-Encoding"),
    ],
    ids=["form", "half", "no model", "get", "compressed"],
)
def test_curl_is_told_what_to_mend(
    serving: Fleet, options: tuple[str, ...], data: str, status: int, advice: str
) -> None:
    text = curl(serving, *options, "-w", "\n%{http_code}", *(["--data-binary", "@-"] if data else []), stdin=data)
    answer, _, code = text.rpartition("\n")
    assert int(code) == status
    assert advice in json.loads(answer)["error"]["message"]
