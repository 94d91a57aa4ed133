"""The base that is still being fetched."""

from pathlib import Path

import pytest

from tests.agent.fake_engine import FakeEngine
from tests.agent.fleet import Pod, agent_in
from tests.artifacts.samples import write_base
from tunefleet.agent.base_files import ProgressFile, progress_path
from tunefleet.artifacts.progress import Progress
from tunefleet.engine.adapters_api import AdapterState


@pytest.fixture
def unfetched(pod: Pod) -> Path:
    """Where the base will be."""
    base = pod.settings.base_path
    base.rename(base.with_name(".partial"))
    return base


async def test_the_report_says_how_far_the_fetch_is(pod: Pod, unfetched: Path, engine: FakeEngine) -> None:
    file = ProgressFile(unfetched)
    async with agent_in(pod) as agent:
        progress = Progress(200, report=file)
        progress.add(90)
        report = await agent.wait(lambda r: r.engine.fetched == 45)
        assert report.message == "Fetching the base: 45 %."
        assert (await agent.get("/healthz"))[0] == 200
        assert (await agent.get("/readyz"))[0] == 503
        progress.add(110)
        await agent.wait(lambda r: r.engine.fetched == 100)
        unfetched.with_name(".partial").rename(unfetched)
        report = await agent.wait(lambda r: r.engine.ready)
        assert report.engine.fetched is None


async def test_adapters_are_fetched_meanwhile_and_loaded_when_the_base_is_there(
    pod: Pod, unfetched: Path, engine: FakeEngine
) -> None:
    german = pod.adapter()
    async with agent_in(pod) as agent:
        await agent.put(german)
        await agent.wait_for(german, AdapterState.VERIFYING)
        assert engine.calls == []
        unfetched.with_name(".partial").rename(unfetched)
        await agent.wait_for(german, AdapterState.LOADED)


async def test_a_base_that_cannot_be_read_is_said_and_nothing_is_loaded(pod: Pod, engine: FakeEngine) -> None:
    write_base(pod.settings.base_path, architectures=None)
    german = pod.adapter()
    async with agent_in(pod) as agent:
        await agent.put(german)
        report = await agent.wait(lambda r: "The base cannot be read" in r.message)
        assert not report.engine.ready
        assert "architectures" in (await agent.wait_for(german, AdapterState.FAILED)).message
    assert engine.calls == []


def test_progress_is_told_in_steps(tmp_path: Path) -> None:
    progress = Progress(10_000, report=ProgressFile(tmp_path / "base"))
    path = progress_path(tmp_path / "base")
    told = []
    for _ in range(100):
        progress.add(100)
        told.append(path.read_text() if path.exists() else "")
    assert sorted(set(told), key=lambda text: int(text or 0)) == ["", *(str(5 * step) for step in range(1, 21))]
