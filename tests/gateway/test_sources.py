"""A storm of changes is one table a turn, and a tenth of the process at most."""

import asyncio

from tests.reconcile.virtual_time import VirtualTimeLoop, run_virtual
from tunefleet.gateway.sources import REST, Rebuild


def test_all_changes_of_one_turn_make_one_table() -> None:
    async def main() -> int:
        built = 0

        def build() -> None:
            nonlocal built
            built += 1

        rebuild = Rebuild(build)
        for _ in range(100):
            rebuild.ask()
        await asyncio.sleep(1)
        first = built
        rebuild.ask()
        await asyncio.sleep(1)
        return first * 10 + built

    assert run_virtual(main()) == 12


def test_a_table_that_took_long_is_followed_by_a_rest() -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        starts: list[float] = []

        def build() -> None:
            starts.append(loop.time())
            loop._virtual.now += 2
            rebuild.ask()  # something changed meanwhile

        rebuild = Rebuild(build)
        await asyncio.sleep(100)
        rebuild.ask()
        await asyncio.sleep(50)
        assert rebuild.seconds == 2
        return starts

    every = 2 + 2 * REST
    assert run_virtual(main()) == [100, 100 + every, 100 + 2 * every]


def test_a_change_while_building_is_not_lost() -> None:
    async def main() -> int:
        built = 0

        def build() -> None:
            nonlocal built
            built += 1
            if built == 1:
                rebuild.ask()

        rebuild = Rebuild(build)
        rebuild.ask()
        await asyncio.sleep(1)
        return built

    assert run_virtual(main()) == 2


def test_a_build_that_fails_is_said_and_the_next_change_tries_again() -> None:
    async def main() -> list[str]:
        said: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: said.append(str(context["exception"])))

        def build() -> None:
            said.append("build")
            raise ValueError("bug")

        rebuild = Rebuild(build)
        for _ in range(2):
            rebuild.ask()
            await asyncio.sleep(1)
        return said

    assert run_virtual(main()) == ["build", "bug", "build", "bug"]
