"""The Lease, against a real API server and between real processes."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tunefleet.kube.client import Client
from tunefleet.kube.fence import LeadershipLostError, write_allowed
from tunefleet.kube.lease import Lease
from tunefleet.kube.resources import RESOURCES

pytestmark = pytest.mark.apiserver

LEASE = RESOURCES["Lease"]
SECONDS = 2.0


class Clock:
    """Moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Act(NamedTuple):
    """That a process believed it may write."""

    who: str
    when: float


def acts(path: Path) -> list[Act]:
    """In the order of time."""
    lines = path.read_text().splitlines() if path.exists() else []
    return sorted((Act(who, float(when)) for who, when in map(str.split, lines)), key=lambda act: act.when)


def wait_for_act(path: Path, who: str, since: float = 0.0) -> Act:
    """The first act of this process after a moment."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = next((act for act in acts(path) if act.who == who and act.when > since), None)
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{who} never acted")


@contextmanager
def holder(kubeconfig: Path, namespace: str, who: str, path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A candidate in a process of its own."""
    command = [sys.executable, "-m", "tests.kube.lease_holder", namespace, who, str(SECONDS), str(path)]
    process = subprocess.Popen(command, env={**os.environ, "KUBECONFIG": str(kubeconfig)})
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_after_a_kill_the_other_takes_over_within_the_lease_time(
    kubeconfig: Path, namespace: str, tmp_path: Path
) -> None:
    path = tmp_path / "acts"
    with holder(kubeconfig, namespace, "first", path) as first:
        wait_for_act(path, "first")
        with holder(kubeconfig, namespace, "second", path):
            time.sleep(2 * SECONDS)  # the second looks on: nothing to wait for
            assert {act.who for act in acts(path)} == {"first"}
            first.send_signal(signal.SIGKILL)
            killed = time.monotonic()
            taken = wait_for_act(path, "second")
            assert taken.when - killed < SECONDS + 2  # what requests may take on a busy machine


def test_after_a_release_the_other_takes_over_at_its_next_look(
    kubeconfig: Path, namespace: str, tmp_path: Path
) -> None:
    path = tmp_path / "acts"
    with holder(kubeconfig, namespace, "first", path) as first:
        wait_for_act(path, "first")
        with holder(kubeconfig, namespace, "second", path):
            time.sleep(SECONDS)  # the second has started and looks on
            first.send_signal(signal.SIGTERM)
            assert first.wait(10) == 0
            released = time.monotonic()
            assert wait_for_act(path, "second").when - released < SECONDS * 0.75


def test_a_holder_that_was_frozen_acts_no_more_and_never_beside_its_successor(
    kubeconfig: Path, namespace: str, tmp_path: Path
) -> None:
    path = tmp_path / "acts"
    with holder(kubeconfig, namespace, "first", path) as first:
        wait_for_act(path, "first")
        with holder(kubeconfig, namespace, "second", path):
            time.sleep(SECONDS)  # the second has started and looks on
            first.send_signal(signal.SIGSTOP)
            taken = wait_for_act(path, "second")
            first.send_signal(signal.SIGCONT)
            assert first.wait(20) != 0
            assert all(act.when < taken.when for act in acts(path) if act.who == "first")


async def test_two_candidates_never_hold_it_at_once_under_constant_change(api: Client, namespace: str) -> None:
    holders: list[str] = []
    together: list[int] = []
    inside = 0

    async def candidate(who: str) -> None:
        nonlocal inside
        for _ in range(4):
            lease = Lease(api, namespace, "busy", who, seconds=SECONDS)
            await lease.acquire()
            inside += 1
            together.append(inside)
            holders.append(who)
            await asyncio.sleep(0.05)
            inside -= 1
            await lease.release()

    await asyncio.gather(*(candidate(f"candidate-{number}") for number in range(4)))
    assert max(together) == 1
    assert len(holders) == 16
    transitions = (await api.get(LEASE, namespace, "busy"))["spec"]["leaseTransitions"]
    assert transitions == 15


async def test_writing_ends_before_a_candidate_may_begin(api: Client, namespace: str) -> None:
    clock = Clock()
    lease = Lease(api, namespace, "tests", "me", seconds=10, clock=clock)
    rival = Lease(api, namespace, "tests", "rival", seconds=10, clock=clock)
    await lease.acquire()
    gap = 0
    while rival.remaining() <= 0:
        await rival._try()
        clock.now += 0.5
        gap += lease.remaining() <= 0
        assert (lease.remaining() > 0) == (clock.now - 1000 < 10 * 2 / 3)
        assert rival.remaining() <= 0 or lease.remaining() <= 0
    assert gap > 1
    assert 9 <= clock.now - 1000 <= 10


async def test_losing_it_to_another_ends_holding(api: Client, namespace: str) -> None:
    lease = Lease(api, namespace, "tests", "me", seconds=SECONDS)
    await lease.acquire()
    found = await api.get(LEASE, namespace, "tests")
    await api.replace(LEASE, namespace, "tests", {**found, "spec": {**found["spec"], "holderIdentity": "thief"}})
    with pytest.raises(LeadershipLostError, match="thief"):
        await lease.hold()
    assert lease.remaining() <= 0


async def test_a_label_on_the_lease_is_no_reason_to_give_it_up(api: Client, namespace: str) -> None:
    lease = Lease(api, namespace, "tests", "me", seconds=SECONDS)
    await lease.acquire()
    await api.merge_patch(
        LEASE, namespace, "tests", {"metadata": {"labels": {"touched": "yes"}}}, field_manager="somebody"
    )
    holding = asyncio.create_task(lease.hold())
    done, _ = await asyncio.wait((holding,), timeout=2 * SECONDS)
    assert not done
    assert lease.remaining() > 0
    holding.cancel()


async def test_without_an_answer_holding_ends_in_time(api: Client, namespace: str) -> None:
    lease = Lease(api, namespace, "tests", "me", seconds=SECONDS)
    await lease.acquire()
    await api.aclose()
    lease._client = Unreachable()  # type: ignore[assignment]  # the network is what is faked
    began = asyncio.get_running_loop().time()
    with pytest.raises(LeadershipLostError, match="not renewed in time"):
        await lease.hold()
    assert asyncio.get_running_loop().time() - began < SECONDS


class Unreachable:
    """No route to the API server."""

    async def replace(self, *_: object) -> None:
        raise OSError("unreachable")


async def test_release_lets_nobody_write_any_more_and_names_no_holder(api: Client, namespace: str) -> None:
    lease = Lease(api, namespace, "tests", "me", seconds=SECONDS)
    await lease.acquire()
    await lease.release()
    assert (await api.get(LEASE, namespace, "tests"))["spec"].get("holderIdentity", "") == ""
    with pytest.raises(LeadershipLostError):
        async with write_allowed(lease, lambda: pytest.fail("was sent")):
            pass


async def test_a_write_that_takes_longer_than_the_lease_allows_is_given_up() -> None:
    class AlmostOver:
        def remaining(self) -> float:
            return 0.05

    with pytest.raises(TimeoutError):
        async with write_allowed(AlmostOver(), lambda: None):
            await asyncio.sleep(60)
