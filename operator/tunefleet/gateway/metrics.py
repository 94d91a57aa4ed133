"""What Prometheus sees of the gateway: the counts of `Telemetry`, rendered when it asks.

Labels are bounded: models of the route table and their versions, tenants, codes of the gateway's own.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, disable_created_metrics, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from . import names
from .exposition import HistogramText, Sample, head, sample_lines
from .names import Family
from .series import HELD_BOUNDS, Counters
from .telemetry import Telemetry
from .version_metrics import version_pieces

disable_created_metrics()  # type: ignore[no-untyped-call,unused-ignore]  # a second series for every counter

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SLICE_SECONDS = 0.001
"""How long rendering goes on before others get their turn."""

_HELD = HistogramText(names.HELD_SECONDS, HELD_BOUNDS)


class Metrics:
    """Every metric of one gateway process."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._process = CollectorRegistry()
        ProcessCollector(registry=self._process)
        PlatformCollector(registry=self._process)
        GCCollector(registry=self._process)
        self._more: dict[Family, Callable[[], Iterable[Sample]]] = {}

    def add(self, family: Family, read: Callable[[], Iterable[Sample]]) -> None:
        """Another one, of `names.FAMILIES`, read each time."""
        self._more[family] = read

    def render(self) -> bytes:
        """Everything at once."""
        return "".join(self.pieces()).encode()

    async def parts(self) -> AsyncIterator[bytes]:
        """Everything, in parts between which the loop runs."""
        clock = asyncio.get_running_loop().time
        part, began = "", clock()
        for piece in self.pieces():
            part += piece
            if clock() - began > SLICE_SECONDS:
                yield part.encode()
                await asyncio.sleep(0)
                part, began = "", clock()
        yield part.encode()

    def pieces(self) -> Iterator[str]:
        """Everything, a few lines at a time."""
        telemetry = self._telemetry
        yield from version_pieces(tuple(telemetry.versions()))
        for family, samples in (*_of_process(telemetry.counters), *_of_tenants(telemetry)):
            yield head(family) + "".join(sample_lines(family, samples))
        yield head(names.HELD_SECONDS) + _HELD.of("", telemetry.counters.held_seconds)
        for family, read in self._more.items():
            yield head(family) + "".join(sample_lines(family, read()))
        yield generate_latest(self._process).decode()


def _of_process(counters: Counters) -> Iterator[tuple[Family, Iterable[Sample]]]:
    yield names.REFUSED, _by(counters.refused)
    yield names.EJECTIONS, _by(counters.ejections)
    yield names.FALLBACKS, _by(counters.fallbacks)
    yield names.HELD, _one(counters.held)
    yield names.HELD_TOTAL, _by(counters.held_outcomes)
    yield names.CONNECTIONS, _one(counters.connections)
    yield names.MODELS, _one(counters.models)
    yield names.ROUTES, _one(counters.routes)
    yield names.TABLE_BUILDS, _one(counters.table_builds)
    yield names.TABLE_SECONDS, _one(counters.table_seconds)
    yield names.AUDIT_DROPPED, _one(counters.audit_dropped)


def _of_tenants(telemetry: Telemetry) -> Iterator[tuple[Family, Iterable[Sample]]]:
    accounts = tuple(telemetry.accounts.items())
    yield names.TENANT_REQUESTS, [((name,), account.requests) for name, account in accounts]
    yield (
        names.TENANT_TOKENS,
        [
            ((name, kind), number)
            for name, account in accounts
            for kind, number in (("input", account.prompt_tokens), ("output", account.completion_tokens))
        ],
    )


def _by(counts: dict[str, int]) -> list[Sample]:
    return [((key,), number) for key, number in counts.items()]


def _one(number: float) -> tuple[Sample]:
    return (((), number),)
