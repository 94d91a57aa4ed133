"""Error shapes as vLLM 0.32 sends them, and whose fault they are."""

import json

import pytest

from tunefleet.engine.errors import MAX_TEXT, EngineError, LoadFault, classify_load_error, parse_error


def openai(message: str, status: int) -> str:
    return json.dumps({"error": {"message": message, "type": "x", "param": None, "code": status}})


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (404, openai("The model `nope` does not exist.", 404), "The model `nope` does not exist."),
        (405, '{"detail":"Method Not Allowed"}', "Method Not Allowed"),
        (401, '{"error":"Unauthorized"}', "Unauthorized"),
        (502, "<html>bad  gateway\n</html>", "<html>bad gateway </html>"),
        (500, "", "HTTP 500 without a message"),
        (500, '{"error":{"message":""}}', "HTTP 500 without a message"),
        (500, "[1]", "[1]"),
    ],
)
def test_the_engines_words(status: int, body: str, message: str) -> None:
    error = parse_error(status, body)
    assert (error.status, error.message, str(error)) == (status, message, message)


def test_long_words_are_cut() -> None:
    assert len(parse_error(500, openai("x" * 5000, 500)).message) == MAX_TEXT + 1


@pytest.mark.parametrize(
    ("status", "message", "fault"),
    [
        (404, "Loading lora x1 failed: No adapter found for /no/such/path", LoadFault.ADAPTER),
        (400, "The lora adapter 'a' has already been loaded. If you want to", LoadFault.ALREADY_LOADED),
        (400, "The lora adapter 'a' conflicts with a served base model.", LoadFault.ADAPTER),
        (500, "Call to add_lora method failed: LoRA rank 128 is greater than max_lora_rank 64.", LoadFault.ADAPTER),
        (500, "Error while deserializing header: incomplete metadata, file not fully covered", LoadFault.ADAPTER),
        (500, "/a doesn't contain tensors", LoadFault.ADAPTER),
        (500, "Expecting property name enclosed in double quotes", LoadFault.ADAPTER),
        (500, "The size of tensor a (128) must match the size of tensor b (256)", LoadFault.ADAPTER),
        (500, "vLLM does not yet support DoRA.", LoadFault.ADAPTER),
        (500, "cannot schedule new futures after shutdown", LoadFault.ENGINE),
        (500, "EngineCore encountered an issue. See stack trace", LoadFault.ENGINE),
        (503, "The engine is currently busy and cannot accept new requests", LoadFault.ENGINE),
        (0, "no answer from the engine: connection refused", LoadFault.ENGINE),
        (401, "Unauthorized", LoadFault.UNAUTHORIZED),
    ],
)
def test_user_mistakes_come_as_500_and_are_told_from_a_broken_engine(
    status: int, message: str, fault: LoadFault
) -> None:
    assert classify_load_error(EngineError(status, message)) is fault
