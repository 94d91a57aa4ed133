"""tunefleet inspect: facts, every check, exit codes; no cluster."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from tests.artifacts.samples import adapter_tensors, write_adapter, write_base
from tunefleet.cli.inspect import inspect


def run(*arguments: object) -> Result:
    return CliRunner().invoke(inspect, [str(argument) for argument in arguments])


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return write_adapter(tmp_path / "adapter")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_base(tmp_path / "base")


def test_a_good_adapter_on_its_base(good: Path, base: Path) -> None:
    result = run(good, "--base", base)
    assert result.exit_code == 0
    assert "model.layers.*.self_attn.q_proj  128 -> 128" in result.output
    assert "Rank       8" in result.output
    assert "rank fits" in result.output
    assert result.output.endswith("It may be loaded.\n")


def test_without_a_base_it_says_so_and_checks_what_it_can(tmp_path: Path) -> None:
    wide = write_adapter(tmp_path, adapter_tensors(modules={"self_attn.q_proj": (256, 256)}), target_modules=["q_proj"])
    result = run(wide)
    assert result.exit_code == 0
    assert "Nothing was checked against a base" in result.output
    assert "modules fit" not in result.output


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path, base: Path) -> None:
    result = run(write_adapter(tmp_path / "a", adapter_tensors(rank=16, layers=8)), "--base", base, "--max-rank", 8)
    assert result.exit_code == 1
    for reason in ("RankMismatch: ", "WrongBase: ", "RankTooHigh: "):
        assert reason in result.output
    assert "It is refused." in result.output


@pytest.mark.parametrize(("form", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_for_programs(form: str, read: Callable[[str], Any], good: Path, base: Path) -> None:
    document = read(run(good, "--base", base, "-o", form).output)
    assert document["accepted"] is True
    assert document["adapter"]["rank"] == 8
    assert {"check": "rank_fits", "passed": True, "reason": None, "message": ""} in document["checks"]


def test_the_digest_is_the_one_that_anybody_can_compute(good: Path) -> None:
    import hashlib

    lines = sorted(
        f"{hashlib.sha256((good / name).read_bytes()).hexdigest()}  {name}\n"
        for name in ("adapter_config.json", "adapter_model.safetensors")
    )
    expected = hashlib.sha256("".join(lines).encode()).hexdigest()
    assert json.loads(run(good, "-o", "json").output)["digest"] == f"sha256:{expected}"


def test_files_that_cannot_be_read_are_a_refusal(good: Path) -> None:
    (good / "adapter_config.json").write_text("{")
    result = run(good)
    assert result.exit_code == 1
    assert "ConfigInvalid: adapter_config.json is not JSON; save the model again." in result.output


def test_a_hub_cache_is_read_through_its_links(tmp_path: Path, good: Path) -> None:
    snapshot = tmp_path / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    for file in good.iterdir():
        (snapshot / file.name).symlink_to(file)
    assert run(snapshot).exit_code == 0


def test_a_uri_is_read_by_its_source_with_credentials_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    result = run("s3://bucket/adapter")
    assert result.exit_code == 1
    assert "files are readable" in result.output
    assert run("ftp://host/x").exit_code == 1


@pytest.mark.parametrize(
    "arguments",
    [("/nowhere",), ("PLACE", "--base", "/nowhere"), ("PLACE", "--base", "PLACE"), ("PLACE", "--max-rank", 0)],
)
def test_wrong_usage(arguments: tuple[str, ...], good: Path) -> None:
    result = run(*(good if argument == "PLACE" else argument for argument in arguments))
    assert result.exit_code == 2


def test_words_of_strangers_reach_no_terminal_as_they_are(tmp_path: Path) -> None:
    path = write_adapter(tmp_path, base_model_name_or_path="\x1b[31mred\ud800", target_modules=["q_proj", "\x1b[2J"])
    for form in ("table", "json", "yaml"):
        assert "\x1b" not in run(path, "-o", form).output
