"""Which paths exist, and what those are told who ask for another."""

import pytest

from tunefleet.gateway.routes import ENGINE_PATHS

from .harness import ASK, ENGINE_NAME, MODEL, engine, gateway, get, post


@pytest.mark.parametrize("path", ENGINE_PATHS)
async def test_an_engine_s_path_takes_post_and_nothing_else(path: str) -> None:
    async with engine() as upstream, gateway(upstream) as front, await front.client() as client:
        await client.send(post(ASK, path=f"{path}?a=1"))
        assert (await client.response()).status == 200
        assert upstream.received[0].request_line == f"POST {path}?a=1 HTTP/1.1".encode()
        await client.send(get(path))
        wrong = await client.response()
        assert (wrong.status, wrong.headers["allow"], wrong.code) == (405, "post", "method_not_allowed")
        assert len(upstream.received) == 1


@pytest.mark.parametrize(
    ("method", "path", "advice"),
    [
        ("POST", "/chat/completions", "put /v1 into the client's base URL, which makes it /v1/chat/completions"),
        ("POST", "/messages", "put /v1 into"),
        ("GET", "/models", "put /v1 into"),
        ("POST", "/v1/v1/messages", "leave one /v1 out of the client's base URL, which makes it /v1/messages"),
        ("POST", "/v1/tokenize", "leave one /v1 out of the client's base URL, which makes it /tokenize"),
        ("POST", "/v1/chat/completions/", "write /v1/chat/completions, without further slashes"),
        ("POST", "//v1//chat/completions", "write /v1/chat/completions"),
        ("GET", "/v1/models/", "write /v1/models"),
        ("GET", "/v1/responses/resp_1", "responses are not stored"),
        ("POST", "/v1/load_lora_adapter", "use POST with one of /v1/chat/completions, /v1/completions"),
        ("POST", "/v1/chat/completions/batch", "use POST with one of"),
        ("POST", "/v1/chat%2Fcompletions", "use POST with one of"),
        ("GET", "/metrics", "or GET with /v1/models or /v1/models/{id}"),
        ("GET", "/", "use POST with one of"),
    ],
)
async def test_other_paths_reach_no_engine_and_say_what_to_write(method: str, path: str, advice: str) -> None:
    async with engine() as upstream, gateway(upstream) as front, await front.client() as client:
        await client.send(post(ASK, path=path) if method == "POST" else get(path))
        answer = await client.response()
        assert (answer.status, answer.code) == (404, "unknown_url")
        assert f"{method} {path} does not exist here" in answer.json["error"]["message"]
        assert advice in answer.json["error"]["message"]
        assert not upstream.received


@pytest.mark.parametrize("name", [f"{MODEL}@v4", ENGINE_NAME])
async def test_a_version_that_may_be_asked_for_is_a_model(name: str) -> None:
    async with engine() as upstream, gateway(upstream) as front, await front.client() as client:
        await client.send(get(f"/v1/models/{name}") + get(f"/v1/models/{MODEL}") + get(f"/v1/models/{MODEL}@v5"))
        version, served, unknown = [await client.response() for _ in range(3)]
        assert version.json == {**served.json, "id": name, "versions": [ENGINE_NAME]}
        assert (unknown.status, unknown.code) == (404, "model_not_found")


async def test_a_model_s_name_may_be_percent_encoded() -> None:
    async with engine() as upstream, gateway(upstream) as front, await front.client() as client:
        await client.send(get("/v1/models/" + MODEL.replace("-", "%2D")))
        assert (await client.response()).json["id"] == MODEL
