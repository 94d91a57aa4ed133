"""The command line."""

from typing import Any

import pytest
from click.testing import CliRunner

from tunefleet.handlers import process
from tunefleet.handlers.main import main
from tunefleet.handlers.options import Options


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Options]:
    """Instead of running, the process notes how it was started."""
    found: list[Options] = []

    async def operate(options: Options) -> int:
        found.append(options)
        return 0

    monkeypatch.setattr(process, "operate", operate)
    return found


def run(*arguments: str, **environment: str) -> Any:
    """What `tunefleet-operator` does."""
    return CliRunner().invoke(main, list(arguments), env={"POD_NAMESPACE": None, **environment})


def test_flags_and_defaults(started: list[Options]) -> None:
    result = run("--namespace=system", "--runtime-image=image", "--watch-namespace=a", "--watch-namespace=b")
    assert result.exit_code == 0, result.output
    assert started == [Options("system", ("a", "b"), "image", "IfNotPresent", 10.0, 8090)]


def test_each_flag_has_a_twin_in_the_environment(started: list[Options]) -> None:
    result = run(
        POD_NAMESPACE="system",
        TUNEFLEET_RUNTIME_IMAGE="image",
        TUNEFLEET_WATCH_NAMESPACE="a b",
        TUNEFLEET_IMAGE_PULL_POLICY="Never",
        TUNEFLEET_LEASE_SECONDS="5",
        TUNEFLEET_ADMIN_PORT="1",
    )
    assert result.exit_code == 0, result.output
    assert started == [Options("system", ("a", "b"), "image", "Never", 5.0, 1)]


def test_what_is_missing_is_named() -> None:
    result = run("--runtime-image=image")
    assert result.exit_code == 2
    assert "Missing option '--namespace'" in result.output


def test_help_tells_what_it_is_for() -> None:
    output = run("--help").output
    assert "Run the Tunefleet operator" in output
    for flag in ("--namespace", "--watch-namespace", "--runtime-image", "--lease-seconds", "--admin-port"):
        assert flag in output


def test_the_operators_own_namespace_is_always_watched() -> None:
    options = Options("system", ("a",), "image", "Never", 10.0, 0)
    assert options.namespaces == ("a", "system")
    assert Options("system", (), "image", "Never", 10.0, 0).namespaces == ()
