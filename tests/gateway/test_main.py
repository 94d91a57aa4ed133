"""The command line."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tunefleet.gateway import process as process_module
from tunefleet.gateway.hold import HoldLimits
from tunefleet.gateway.main import main
from tunefleet.gateway.process import Process
from tunefleet.gateway.settings import Settings


@pytest.fixture
def key(tmp_path: Path) -> str:
    path = tmp_path / "gatewayKey"
    path.write_bytes(b"key")
    return str(path)


def test_help_says_what_it_does_and_how_to_set_it() -> None:
    shown = CliRunner().invoke(main, ["--help"]).output
    for words in ("Route OpenAI requests", "--auth", "nobody runs an open gateway by accident", "TUNEFLEET_AUTH=open"):
        assert words in " ".join(shown.split())


def test_environment_variables_are_named_like_their_options() -> None:
    options = [param for param in main.params if isinstance(param, click.Option)]
    assert {option.opts[0] for option in options} >= {"--auth", "--watch-namespace", "--drain-seconds"}
    for option in options:
        assert option.opts == [f"--{(option.name or '').replace('_', '-')}"]


def test_an_open_gateway_must_be_asked_for(key: str) -> None:
    ran = CliRunner().invoke(main, ["--fleet-key-file", key])
    assert (ran.exit_code, "Missing option '--auth'" in ran.output) == (2, True)


def test_without_a_fleet_key_it_does_not_start() -> None:
    ran = CliRunner().invoke(main, ["--auth", "open", "--fleet-key-file", "/nonexistent"])
    assert ran.exit_code == 2
    assert "'/nonexistent' does not exist" in ran.output


def test_an_empty_fleet_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    ran = CliRunner().invoke(main, ["--auth", "open", "--fleet-key-file", str(path)])
    assert ran.exit_code == 2
    assert "is empty" in ran.output


def test_without_a_cluster_it_says_what_to_do(key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    ran = CliRunner().invoke(main, [], env={"TUNEFLEET_AUTH": "open", "TUNEFLEET_FLEET_KEY_FILE": key})
    assert ran.exit_code == 1
    assert "Set KUBECONFIG, or run in a pod." in ran.output


def test_what_may_wait_is_set_by_options_or_the_environment(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Settings] = []

    async def record(_process: Process, settings: Settings) -> None:
        seen.append(settings)

    monkeypatch.setattr(process_module, "run", record)
    options = ["--auth", "open", "--fleet-key-file", key, "--hold-seconds", "7", "--max-held-per-model", "3"]
    ran = CliRunner().invoke(main, options, env={"TUNEFLEET_MAX_HELD": "5", "TUNEFLEET_MAX_HELD_BYTES": "900"})
    assert ran.exit_code == 0
    assert [settings.hold for settings in seen] == [HoldLimits(seconds=7, requests=5, per_model=3, bytes=900)]
