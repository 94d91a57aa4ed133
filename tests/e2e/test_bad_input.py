"""Every mistake gets a refusal or a condition that says what to do, and everything else keeps serving."""

import pytest

from dev.demo.load import Question
from dev.demo.scenario import SHORT
from dev.shell import CommandFailedError

from .fleet import Fleet, adapter, base_model, endpoint

pytestmark = pytest.mark.e2e


@pytest.fixture(autouse=True)
async def _others_keep_serving(serving: Fleet) -> object:
    yield
    answer = await serving.load().ask(Question("german", SHORT))
    assert answer.version == "german@v1", answer.error


@pytest.mark.parametrize(
    ("wrong", "reason", "says"),
    [
        (adapter("lost", "s3://models/german/v1", base="nobody"), "BaseNotFound", "nobody"),
        (adapter("early", "s3://models/german/v1", base_version=7), "BaseVersionNotFound", "7"),
        (adapter("nothing", "s3://models/nothing/v1"), "SourceNotFound", "s3://models/nothing/v1"),
        (adapter("bad-rank", "s3://models/broken/v1"), "RankMismatch", "rank"),
        (adapter("a-base", "s3://models/base/v1"), "ConfigInvalid", "adapter_config.json"),
        (adapter("no-claim", "pvc://nowhere/german"), "SourceNotFound", "nowhere"),
        (adapter("german-again", "s3://models/german/v1", servedModelName="german"), "NameConflict", "german"),
    ],
    ids=lambda value: value["metadata"]["name"] if isinstance(value, dict) else None,
)
def test_an_adapter_that_cannot_be_served_says_why(
    serving: Fleet, wrong: dict[str, object], reason: str, says: str
) -> None:
    name = f"loraadapter/{wrong['metadata']['name']}"  # type: ignore[index]
    serving.apply(wrong)
    try:
        message = serving.wait_reason(name, "Ready", reason)
        assert says in message
    finally:
        serving.delete([name])


def test_a_wrong_secret_says_which(serving: Fleet) -> None:
    wrong = adapter("locked", "s3://models/german/v1")
    wrong["spec"]["versions"][0]["source"]["secretRef"] = {"name": "no-such-secret"}
    serving.apply(wrong)
    try:
        assert "no-such-secret" in serving.wait_reason("loraadapter/locked", "Ready", "SecretNotFound")
    finally:
        serving.delete(["loraadapter/locked"])


def test_a_new_version_that_is_refused_leaves_the_former_serving(serving: Fleet) -> None:
    serving.apply(adapter("careful", "s3://models/shout/v1"))
    try:
        serving.wait("loraadapter/careful", "condition=Ready")
        serving.apply(adapter("careful", "s3://models/shout/v1", "s3://models/broken/v1", active=2))
        message = serving.wait_reason("loraadapter/careful", "Stalled", "RankMismatch")
        assert "version 2" in message
        assert serving.get("loraadapter/careful")["status"]["servingVersion"] == 1
        assert serving.condition("loraadapter/careful", "Ready")["status"] == "True"
    finally:
        serving.delete(["loraadapter/careful"])


def test_a_rank_above_the_endpoint_s_is_refused(serving: Fleet) -> None:
    """pirate has rank 16; an endpoint with maxRank 8 does not carry it, and says so on the adapter."""
    serving.apply(
        base_model("small", "s3://models/base/v1"),
        endpoint("small", base="small", adapters={"maxRank": 8}),
        adapter("wide", "s3://models/pirate/v1", base="small"),
    )
    try:
        message = serving.wait_reason("loraadapter/wide", "Ready", "RankTooHigh")
        assert "16" in message
        assert "8" in message
    finally:
        serving.delete(["loraadapter/wide", "inferenceendpoint/small", "basemodel/small"])


def test_a_base_that_is_no_model_is_refused(serving: Fleet) -> None:
    serving.apply(base_model("no-base", "s3://models/german/v1"))
    try:
        assert "config.json" in serving.wait_reason("basemodel/no-base", "Ready", "ConfigInvalid")
    finally:
        serving.delete(["basemodel/no-base"])


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"versions": []}, "versions"),
        ({"activeVersion": 9}, "activeVersion"),
        ({"baseModelRef": {"name": "other"}}, "baseModelRef"),
    ],
    ids=["empty versions", "unlisted activeVersion", "another base"],
)
def test_the_api_server_refuses_at_apply(serving: Fleet, spec: dict[str, object], says: str) -> None:
    with pytest.raises(CommandFailedError, match=says):
        serving.patch("loraadapter/german", spec)


def test_history_cannot_be_changed(serving: Fleet) -> None:
    changed = serving.get("loraadapter/german")["spec"]["versions"]
    changed[0]["source"]["uri"] = "s3://models/pirate/v1"
    with pytest.raises(CommandFailedError, match="never changes"):
        serving.patch("loraadapter/german", {"versions": changed})
