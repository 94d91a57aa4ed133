"""A directory that several pods write to: one fetches, all verify."""

import fcntl
import hashlib
import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from tunefleet.artifacts.digest import version_digest
from tunefleet.artifacts.shared_store import alone, discard_if_damaged
from tunefleet.artifacts.store import complete, partial_directory, stored_version

CONTENT = b"weights"
HASHES = {"model.safetensors": hashlib.sha256(CONTENT).hexdigest()}
DIGEST = version_digest(HASHES)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """With one version in it."""
    partial = partial_directory(tmp_path, DIGEST)
    partial.mkdir()
    (partial / "model.safetensors").write_bytes(CONTENT)
    complete(partial, tmp_path, HASHES)
    return tmp_path


def test_what_is_whole_stays(root: Path) -> None:
    discard_if_damaged(root, DIGEST)
    assert stored_version(root, DIGEST) is not None


@pytest.mark.parametrize("damage", [b"weight5", b"", None], ids=["other bytes", "empty", "gone"])
def test_what_is_damaged_goes(root: Path, damage: bytes | None) -> None:
    stored = stored_version(root, DIGEST)
    assert stored is not None
    file = stored.directory / "model.safetensors"
    file.unlink() if damage is None else file.write_bytes(damage)
    discard_if_damaged(root, DIGEST)
    assert stored_version(root, DIGEST) is None
    assert [path.name for path in root.iterdir()] == []


def test_nothing_there_is_nothing_to_do(tmp_path: Path) -> None:
    discard_if_damaged(tmp_path, DIGEST)


def _fetching(root: Path, told: Connection) -> None:
    with alone(root, DIGEST):
        told.send("alone")
        told.recv()


def test_two_pods_take_turns_and_a_dead_one_holds_nobody_up(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    other = context.Process(target=_fetching, args=(tmp_path, there))
    other.start()
    assert here.recv() == "alone"
    lock = next(path for path in tmp_path.iterdir() if path.name.startswith(".lock-"))
    with lock.open("w") as mine, pytest.raises(BlockingIOError):
        fcntl.flock(mine, fcntl.LOCK_EX | fcntl.LOCK_NB)
    other.kill()
    other.join()
    with alone(tmp_path, DIGEST):
        pass


def test_other_versions_do_not_wait(tmp_path: Path) -> None:
    with alone(tmp_path, DIGEST), alone(tmp_path, "sha256:" + "0" * 64):
        assert len(list(tmp_path.iterdir())) == 2
