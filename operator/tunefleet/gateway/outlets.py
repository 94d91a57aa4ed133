"""Where audit lines and spans leave the process: opened before the first request, emptied after the last."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator

from .audit import Audit
from .audit_writer import AuditWriter
from .settings import AUDIT_OFF, Settings
from .telemetry import Telemetry


class NoOpenTelemetryError(Exception):
    """Spans are asked for, and what makes them is not installed."""


@contextlib.asynccontextmanager
async def outlets(telemetry: Telemetry, settings: Settings) -> AsyncIterator[None]:
    """While this is entered, what the settings ask for is open.

    Raises OSError when the audit file cannot be opened, and NoOpenTelemetryError.
    """
    async with contextlib.AsyncExitStack() as stack:
        if settings.otel_endpoint:
            _trace(telemetry, settings.otel_endpoint, stack)
        if settings.audit != AUDIT_OFF:
            _keep_audit(telemetry, settings.audit, stack)
        yield


def _keep_audit(telemetry: Telemetry, destination: str, stack: contextlib.AsyncExitStack) -> None:
    audit = telemetry.audit = Audit(AuditWriter(destination), telemetry.counters, telemetry.clock())
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, audit.reopen)

    async def close() -> None:
        loop.remove_signal_handler(signal.SIGHUP)
        telemetry.audit = None
        await asyncio.to_thread(audit.close)

    stack.push_async_callback(close)


def _trace(telemetry: Telemetry, endpoint: str, stack: contextlib.AsyncExitStack) -> None:
    try:
        from .tracing import open_tracing
    except ImportError as error:
        raise NoOpenTelemetryError(
            f"spans need OpenTelemetry: pip install 'tunefleet[otel]', or leave --otel-endpoint out ({error})"
        ) from None
    tracing = telemetry.tracing = open_tracing(endpoint, telemetry.clock())

    async def close() -> None:
        telemetry.tracing = None
        await asyncio.to_thread(tracing.close)

    stack.push_async_callback(close)
