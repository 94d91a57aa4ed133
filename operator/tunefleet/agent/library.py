"""Adapters on this pod's disk, checked: fetched once, verified and judged once for each agent process."""

import asyncio
import os
import shutil
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from tunefleet.api.base_model import Architecture
from tunefleet.api.inspection import AdapterFacts, InspectionResult
from tunefleet.artifacts.adapter import read_adapter
from tunefleet.artifacts.disk import mark_used
from tunefleet.artifacts.errors import ArtifactError
from tunefleet.artifacts.fetch import fetch
from tunefleet.artifacts.identity import workload_identity
from tunefleet.artifacts.inspection import Question, inspect_adapter, refusal
from tunefleet.artifacts.opening import open_source
from tunefleet.artifacts.progress import Report
from tunefleet.artifacts.store import StoredVersion, partial_directory, stored_version, verify
from tunefleet.engine.adapters_api import DesiredAdapter
from tunefleet.plan.gate import Limits, check_adapter

from .disk import Disk
from .kubernetes_secrets import SecretReader

TRANSFERS_AT_ONCE = 3


class Library:
    """Fetches and checks adapters under one root."""

    def __init__(
        self,
        root: Path,
        mount_root: Path,
        secrets: SecretReader,
        base: Callable[[], Awaitable[Architecture]],
        limits: Limits,
        disk: Disk,
    ) -> None:
        """`base` may have to wait for the base's files; adapters are fetched meanwhile."""
        self._root = root
        self._mount_root = mount_root
        self._secrets = secrets
        self._base = base
        self._limits = limits
        self._disk = disk
        self._facts: dict[str, AdapterFacts] = {}
        self._verified: set[str] = set()
        self._transfers = asyncio.Semaphore(TRANSFERS_AT_ONCE)
        self._one_at_a_time: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def fetch(self, adapter: DesiredAdapter, report: Report) -> StoredVersion:
        """The adapter's files; at once, and without its source, when they are here. Raises ArtifactError."""
        async with self._alone(adapter.uri, adapter.digest):
            if stored := stored_version(self._root, adapter.digest):
                mark_used(self._root, adapter.digest)
                return stored
            environment = await self._environment(adapter.secret_name)
            async with self._transfers, open_source(adapter.uri, environment, mount_root=self._mount_root) as source:
                return await fetch(
                    source,
                    "adapter",
                    self._root,
                    digest=adapter.digest,
                    report=report,
                    make_room=self._disk.make_room,
                )

    async def discard_partial(self, adapter: DesiredAdapter) -> None:
        """Delete what a transfer has left, unless another adapter of the same bytes goes on with it."""
        if not self._one_at_a_time[adapter.digest].locked():
            await asyncio.to_thread(shutil.rmtree, partial_directory(self._root, adapter.digest), ignore_errors=True)

    async def check(self, stored: StoredVersion) -> None:
        """Raises ArtifactError when the files are not what they hash to, or the gate refuses the adapter."""
        if stored.digest not in self._verified:
            await asyncio.to_thread(verify, stored)
            self._verified.add(stored.digest)
        if stored.digest not in self._facts:
            self._facts[stored.digest] = await asyncio.to_thread(read_adapter, stored.directory)
        if finding := check_adapter(self._facts[stored.digest], await self._base(), self._limits):
            raise ArtifactError(finding.reason, finding.message)

    async def inspect(self, uri: str, secret_name: str | None, digest: str | None) -> InspectionResult:
        """What is at a URI. The files stay, so that loading it needs no second transfer."""
        async with self._alone(uri, digest), self._transfers:
            try:
                environment = await self._environment(secret_name)
            except ArtifactError as error:
                return refusal("adapter", error)
            question = Question(uri, environment, digest, self._mount_root)
            result = await inspect_adapter(question, self._root, make_room=self._disk.make_room)
        if result.digest is not None and result.adapter is not None:
            self._facts[result.digest] = result.adapter
        return result

    @asynccontextmanager
    async def _alone(self, uri: str, digest: str | None) -> AsyncIterator[None]:
        """One transfer a URI, and one a digest: adapters of the same bytes under several names share a directory."""
        async with AsyncExitStack() as stack:
            for key in filter(None, (uri, digest)):
                await stack.enter_async_context(self._one_at_a_time[key])
            yield

    async def _environment(self, secret_name: str | None) -> Mapping[str, str]:
        """The pod's own identity, and what the Secret says instead of it."""
        secret = {} if secret_name is None else await self._secrets.read(secret_name)
        return {**workload_identity(os.environ), **secret}
