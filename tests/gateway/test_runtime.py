"""What runs is what was meant to run."""

import asyncio
from importlib import import_module
from pathlib import Path

import uvloop
from click.testing import CliRunner

from tunefleet.gateway import runtime
from tunefleet.gateway.main import main

from .conftest import COMPILED

ROOT = Path(__file__).resolve().parents[2]


def hot_modules() -> list[str]:
    text = (ROOT / "setup.py").read_text()
    return [
        line.strip().strip('",') for line in text.partition("HOT = (")[2].partition(")")[0].split("\n") if line.strip()
    ]


def test_hot_modules_are_compiled_where_they_should_be() -> None:
    compiled = {
        name: not str(import_module(f"tunefleet.gateway.{name}").__file__).endswith(".py") for name in hot_modules()
    }
    assert set(compiled.values()) == {COMPILED}
    assert runtime.compiled() is COMPILED


def test_the_version_says_how_it_was_built() -> None:
    said = CliRunner().invoke(main, ["--version"])
    assert said.exit_code == 0
    assert ("compiled" in said.output, "interpreted" in said.output) == (COMPILED, not COMPILED)


def test_it_runs_on_uvloop() -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())

    runtime.run(serve())
    assert isinstance(loops[0], uvloop.Loop)
