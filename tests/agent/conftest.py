"""A pod with a fake engine."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.agent.fake_engine import FakeEngine, running_engine
from tests.agent.fleet import Pod, Running, agent_in


@pytest.fixture
async def engine() -> AsyncIterator[FakeEngine]:
    async with running_engine() as engine:
        yield engine


@pytest.fixture
def pod(tmp_path: Path, engine: FakeEngine) -> Pod:
    return Pod(tmp_path, engine)


@pytest.fixture
async def agent(pod: Pod) -> AsyncIterator[Running]:
    async with agent_in(pod) as running:
        yield running
