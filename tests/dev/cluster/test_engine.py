"""kind is used where it and Docker work, and asked for just what is missing."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev import settings
from dev.cluster import engine, kind, native, tools

DOCKER = '#!/bin/sh\ntest "$1" = inspect && echo 172.18.0.2\nexit "${DOCKER_STATUS:-0}"\n'
IP = '#!/bin/sh\necho ip "$@" >> "$CALLS"\n'
KIND = """#!/bin/sh
echo "$@" >> "$CALLS"
case "$1 $2" in
  "create cluster") echo "$4" >> "$CALLS.clusters" ;;
  "delete cluster") rm -f "$CALLS.clusters" ;;
  "get clusters") cat "$CALLS.clusters" 2>/dev/null || true ;;
esac
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine with Docker and kind, which are scripts that record how they are called."""
    for name, script in {"docker": DOCKER, "kind": KIND, "ip": IP}.items():
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(tools, "ensure_tools", lambda _: None)
    engine.docker_and_kind.cache_clear()
    yield tmp_path / "calls"
    engine.docker_and_kind.cache_clear()


@pytest.fixture
def instance(tmp_path: Path) -> settings.Settings:
    return settings.Settings("test", 0, tmp_path)


def test_kind_where_docker_answers(calls: Path) -> None:
    assert engine.choose() is kind


def test_the_native_cluster_where_docker_does_not_answer(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_STATUS", "1")

    assert engine.choose() is native


def test_the_native_cluster_without_kind(calls: Path) -> None:
    (calls.parent / "kind").unlink()

    assert engine.choose() is native


def test_a_cluster_is_created_once(calls: Path, instance: settings.Settings) -> None:
    kind.up(instance, install=False)
    kind.up(instance, install=False)

    lines = calls.read_text().splitlines()
    assert len([line for line in lines if line.startswith("create cluster --name test")]) == 1
    assert all(kind.parts(instance).values())
    assert f"export kubeconfig --name test --kubeconfig {instance.kubeconfig}" in lines


def test_root_reaches_pods_and_services_by_their_addresses(calls: Path, instance: settings.Settings) -> None:
    kind.up(instance, install=False)

    assert "ip route replace 10.96.0.0/16 via 172.18.0.2" in calls.read_text().splitlines()


def test_others_get_a_cluster_without_routes(
    calls: Path, instance: settings.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    kind.up(instance, install=False)

    assert "ip route" not in calls.read_text()


def test_down_deletes_it(calls: Path, instance: settings.Settings) -> None:
    kind.up(instance, install=False)
    kind.down(instance)

    assert not any(kind.parts(instance).values())
