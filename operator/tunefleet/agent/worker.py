"""One adapter of the desired set, from its source to a loaded, proven state, and back there after every fault.

| state     | goes on when                     | then                                                      |
|-----------|----------------------------------|-----------------------------------------------------------|
| Fetching  | all bytes are on the disk        | Verifying                                                 |
| Verifying | digest and gate agree            | Loading                                                   |
| Loading   | the engine answers, with effect  | Loaded                                                    |
| Loaded    | the engine start is over         | Loading                                                   |
| Failed    | a pause is over, if that can help | Fetching; what the engine showed, at its next start      |
| Draining  | gateways know, no request uses it | gone                                                     |
"""

import asyncio
import logging
from typing import Any, NoReturn

from tunefleet.api.common import MAX_MESSAGE
from tunefleet.api.conditions import Reason
from tunefleet.api.lora_adapter import Fingerprint
from tunefleet.artifacts.digest import ADAPTER_WEIGHTS
from tunefleet.artifacts.errors import ArtifactError
from tunefleet.artifacts.progress import Progress
from tunefleet.artifacts.store import StoredVersion
from tunefleet.engine.adapters_api import AdapterReport, AdapterState, DesiredAdapter
from tunefleet.engine.errors import EngineError, LoadFault, classify_load_error
from tunefleet.engine.fingerprint import Verdict

from .base_files import STEP
from .board import Board
from .effect import Effects, recorded_for
from .engine_watch import EngineStart, EngineWatch
from .library import Library
from .loader import Load, Loader
from .settings import Timing
from .slots import Slots

logger = logging.getLogger(__name__)


class AdapterWorker:
    """Runs one adapter's states until it is cancelled."""

    def __init__(
        self,
        desired: DesiredAdapter,
        *,
        board: Board,
        watch: EngineWatch,
        library: Library,
        loader: Loader,
        effects: Effects,
        slots: Slots,
        timing: Timing,
    ) -> None:
        self.desired = desired
        self._board = board
        self._watch = watch
        self._library = library
        self._loader = loader
        self._effects = effects
        self._slots = slots
        self._timing = timing
        self._failures = 0
        self._told = asyncio.Event()
        """Set when `desired` was changed in place."""

    @property
    def name(self) -> str:
        """Engine name."""
        return self.desired.engine_name

    async def run(self) -> NoReturn:
        """Fetch, verify and hold the adapter, again and again, until cancelled."""
        while True:
            try:
                stored = await self._fetch()
                await self._show(AdapterState.VERIFYING)
                await self._library.check(stored)
                self._failures = 0
                await self._hold(stored)
            except ArtifactError as error:
                await self._fail(error.reason, error.message)
                if not error.transient:
                    await asyncio.Event().wait()
            except Exception as error:  # a defect here must not take the other adapters along
                logger.exception("worker of %s failed", self.name)
                await self._fail(Reason.LOAD_FAILED, f"The agent failed: {type(error).__name__}; see its log")
            await self._rest()

    async def drain(self) -> None:
        """The adapter left the desired set: unload it when nothing uses it, and take it off the board."""
        self._slots.leave(self.name)
        if self._loader.may_hold(self.name):
            await self._show(AdapterState.DRAINING)
            await asyncio.sleep(self._timing.leave)
            await self._loader.unload_when_idle(self.name)
        self._effects.forget(self.name)
        await self._library.discard_partial(self.desired)
        await self._slots.free(self.name)
        await self._board.remove_adapter(self.name)

    async def tell(self, desired: DesiredAdapter) -> None:
        """The same bytes under another URI or Secret, or with other records: nothing is loaded again."""
        self.desired = desired
        self._told.set()
        former = self._board.adapter(self.name)
        if former is not None:
            await self._board.set_adapter(former.model_copy(update={"uri": desired.uri}))

    async def _fetch(self) -> StoredVersion:
        await self._show(AdapterState.FETCHING)
        shown = 0

        def report(progress: Progress) -> None:
            nonlocal shown
            if progress.percent >= shown + STEP:
                shown = progress.percent
                updates.create_task(self._show(AdapterState.FETCHING, progress=shown))

        async with asyncio.TaskGroup() as updates:
            try:
                return await self._library.fetch(self.desired, report)
            except ArtifactError as error:
                failure = error
        raise failure

    async def _hold(self, stored: StoredVersion) -> NoReturn:
        """Keep the adapter loaded across engine starts."""
        while True:
            start = await self._watch.up()
            await self._take_slot()
            if not self._loader.holds(start, self.name):
                await self._show(AdapterState.LOADING)
            try:
                load = await self._loader.load(start, self.name, stored.directory)
                verdict = await self._stay(start, load, stored.hashes[ADAPTER_WEIGHTS])
                if verdict is not None:
                    await self._withdraw(start, load, verdict)
            except EngineError as error:
                await self._after_refusal(start, error)

    async def _stay(self, start: EngineStart, load: Load, weights: str) -> Verdict | None:
        """Be Loaded until the engine start is over, or until the figures turn out to be wrong."""
        self._failures = 0
        while self._watch.current == start:
            self._told.clear()
            recorded = self.desired.fingerprints
            if verdict := self._effects.judge(start.reference, self.name, weights, load.figures, recorded):
                return verdict
            await self._show(AdapterState.LOADED, load_seconds=load.seconds, **self._measured(start, load))
            await self._gone_or_told(start)
        return None

    async def _gone_or_told(self, start: EngineStart) -> None:
        waits = [asyncio.create_task(self._watch.gone(start)), asyncio.create_task(self._told.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _withdraw(self, start: EngineStart, load: Load, verdict: Verdict) -> None:
        """First out of the report, so that gateways turn away, then out of the engine; again at its next start."""
        await self._fail(verdict.reason, verdict.message, **self._measured(start, load))
        await self._loader.withdraw(start, self.name)
        await self._slots.free(self.name)
        await self._watch.gone(start)

    def _measured(self, start: EngineStart, load: Load) -> dict[str, Any]:
        """Of the report: the figures, and whether they had to agree with recorded ones."""
        compared = recorded_for(start.reference, self.desired.fingerprints) is not None
        kind = start.reference.kind
        return {"fingerprint": Fingerprint(engine=kind, logprobs=load.figures), "compared": compared}

    async def _take_slot(self) -> None:
        if self._slots.take(self.name):
            return
        if leaving := self._slots.leaving:
            waits = f"Waits for a slot: adapters that were replaced still finish their requests ({leaving})."
            await self._show(AdapterState.LOADING, reason=Reason.NO_FREE_SLOT, message=waits)
        else:
            await self._fail(
                Reason.NO_FREE_SLOT,
                "Every adapter slot of this pod is taken; raise spec.adapters.slots of the InferenceEndpoint "
                "(on CPU one slot must stay free).",
            )
        await self._slots.wait_and_take(self.name)

    async def _after_refusal(self, start: EngineStart, error: EngineError) -> None:
        self._watch.look_now()
        if self._watch.current != start:
            return
        if classify_load_error(error) is LoadFault.ENGINE:
            await self._show(AdapterState.LOADING, message=f"Trying again: {error}"[:MAX_MESSAGE])
            await self._rest()
            return
        await self._fail(Reason.LOAD_FAILED, f"The engine refused the adapter: {error}")
        await self._slots.free(self.name)
        await self._watch.gone(start)

    async def _rest(self) -> None:
        self._failures += 1
        await asyncio.sleep(self._timing.retry(self._failures))

    async def _fail(self, reason: Reason, message: str, **details: Any) -> None:
        logger.warning("%s: %s: %s", self.name, reason, message)
        await self._show(AdapterState.FAILED, reason=reason, message=message[:MAX_MESSAGE], **details)

    async def _show(self, state: AdapterState, **details: Any) -> None:
        report = AdapterReport(
            engine_name=self.name, uri=self.desired.uri, digest=self.desired.digest, state=state, **details
        )
        await self._board.set_adapter(report)
