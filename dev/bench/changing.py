"""Promote and roll back again and again while requests and streams run."""

import asyncio

from dev.demo.load import Load

from .fleet import CHANGING, VERSIONS, Fleet
from .judgement import Change

PATIENCE = 60.0
"""Seconds that one change may take before the bench gives up."""


async def change(fleet: Fleet, load: Load, number: int) -> Change:
    """Patch activeVersion; over when the first answer of a request that began after the patch has come, and one more.

    The patch is sent and answered in a thread of its own: a request may be answered before the API server's answer is.
    """
    version, patched = VERSIONS[CHANGING][number - 1], load.clock()
    patch = asyncio.create_task(asyncio.to_thread(fleet.patch, "loraadapters", CHANGING, {"activeVersion": number}))
    async with asyncio.timeout(PATIENCE):
        first = await load.first(lambda a: a.version == version and a.started > patched)
        await patch
        await load.first(lambda a: a.question.model == CHANGING and a.started > first.ended)
    return Change(version, patched, first.ended)


async def promote_and_roll_back(fleet: Fleet, load: Load, rounds: int) -> list[Change]:
    """`rounds` promotions, each rolled back."""
    return [await change(fleet, load, number) for _ in range(rounds) for number in (2, 1)]
