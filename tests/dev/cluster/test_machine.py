"""A recorded process is ours only while the very same process lives, whoever has its number now."""

import json
import os
from pathlib import Path

import pytest

from dev import settings
from dev.cluster import machine


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> settings.Settings:
    monkeypatch.setattr(settings.Settings, "run", tmp_path)
    return settings.Settings("test", 0, tmp_path)


def record(instance: settings.Settings, number: int, start_ticks: int) -> None:
    (instance.run / "holder.json").write_text(json.dumps({"number": number, "start_ticks": start_ticks}))


def start_ticks() -> int:
    """When this process started, as the kernel counts."""
    return int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])


def test_a_process_that_lives_is_found(instance: settings.Settings) -> None:
    record(instance, os.getpid(), start_ticks())

    assert machine.holder(instance) == machine.Holder(os.getpid(), start_ticks())


def test_another_process_with_the_number_is_not_ours(instance: settings.Settings) -> None:
    record(instance, os.getpid(), start_ticks() - 1)

    assert machine.holder(instance) is None


def test_a_number_that_nobody_has_is_not_ours(instance: settings.Settings) -> None:
    record(instance, 1 << 30, 1)

    assert machine.holder(instance) is None


def test_stopping_what_is_not_ours_harms_nobody(instance: settings.Settings) -> None:
    record(instance, os.getpid(), start_ticks() - 1)

    machine.stop(instance)


def test_nothing_runs_in_a_cluster_that_is_down(instance: settings.Settings) -> None:
    (instance.run / "etcd.pid").write_text("1")

    assert not machine.running(instance, "etcd")
    with pytest.raises(machine.MachineError, match="up"):
        machine.enter(instance)
