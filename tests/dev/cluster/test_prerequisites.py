"""What is missing is said plainly, with the command that gets it."""

import platform
import shutil

import pytest

from dev import commands
from dev.cluster import prerequisites


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root on a Debian with Go and nothing else."""
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}" if name == "go" else None)
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(prerequisites, "_kernel_problems", list)
    monkeypatch.setattr("pathlib.Path.exists", lambda path: str(path) == "/etc/debian_version")


def test_missing_packages_come_with_the_command(bare_machine: None) -> None:
    with pytest.raises(prerequisites.MissingError) as error:
        prerequisites.ensure(install=False)

    assert "apt-get install -y --no-install-recommends containerd" in str(error.value)
    assert "buildah" in str(error.value)


def test_they_are_installed_when_asked(bare_machine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    monkeypatch.setattr(commands, "run", lambda command, **_: ran.append(" ".join(command)))

    prerequisites.ensure(install=True)

    assert len(ran) == 1
    assert "apt-get install -y --no-install-recommends containerd" in ran[0]


def test_without_go_nothing_is_installed(bare_machine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)

    with pytest.raises(prerequisites.MissingError, match="go is not in PATH"):
        prerequisites.ensure(install=True)


def test_root_is_asked_for(bare_machine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)

    with pytest.raises(prerequisites.MissingError, match="sudo"):
        prerequisites.ensure(install=True)


def test_another_system_is_told_of_kind(bare_machine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")

    with pytest.raises(prerequisites.MissingError, match="Docker and kind"):
        prerequisites.ensure(install=True)
