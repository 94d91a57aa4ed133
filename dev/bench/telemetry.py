"""`python -m dev.bench.telemetry`: what counting, audit lines and a scrape cost a gateway, in CPU time of the process.

A request's cost is that of `begun` and `ended` for a plain answer of half a kilobyte with `usage`, the fastest of five
rounds. A scrape is of many versions with traffic; pauses are those of a loop that does nothing else meanwhile.
"""

import asyncio
import gc
import os
import time
from collections.abc import Callable

import click

from tunefleet.gateway import telemetry as measured
from tunefleet.gateway.audit import Audit
from tunefleet.gateway.audit_writer import AuditWriter
from tunefleet.gateway.metrics import Metrics
from tunefleet.gateway.record import Record
from tunefleet.gateway.telemetry import Telemetry

from .figures import write_figures

PATH = "/v1/chat/completions"
ROUND = 50_000
ROUNDS = 5
BREATH = 256
"""Requests after which the audit's thread gets its turn, as an idle loop would give it."""
ANSWER = (
    b'{"id":"chatcmpl-1","choices":[{"index":0,"message":{"role":"assistant","content":"' + b"Hello " * 50 + b'"},'
    b'"finish_reason":"stop"}],"usage":{"prompt_tokens":17,"total_tokens":59,"completion_tokens":42}}'
)


def request(telemetry: Telemetry, engine_name: str, *, streamed: bool = False) -> Record:
    """One that was answered after a second."""
    record = Record(b"0123456789abcdef0123456789abcdef", "POST", PATH, 1.0)
    record.series = telemetry.series(engine_name)
    record.engine_name, record.served_name, record.pod = engine_name, "support", "ns/engine-0"
    record.sent, record.first_byte, record.ended = 1.0, 1.05, 2.0
    record.status, record.outcome, record.tail, record.streamed = 200, "2xx", ANSWER, streamed
    return record


def microseconds(once: Callable[[], None]) -> float:
    """CPU time of one call, all threads together."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(ROUND):
            once()
        best = min(best, (time.process_time() - start) / ROUND * 1e6)
    return best


def cost_of_requests() -> dict[str, float]:
    """Microseconds a request, without and with an audit line."""
    telemetry = Telemetry()
    count = 0

    def make() -> None:
        request(telemetry, "support@v4-0123abcd")

    def run() -> None:
        nonlocal count
        record = request(telemetry, "support@v4-0123abcd")
        telemetry.begun(record)
        telemetry.ended(record)
        count += 1
        if count % BREATH == 0:
            time.sleep(0)

    base = microseconds(make)
    plain = microseconds(run)
    telemetry.audit = Audit(AuditWriter(os.devnull), telemetry.counters, 0.0)
    audited = microseconds(run)
    telemetry.audit.close()
    return {"counting_us": plain - base, "audit_us": audited - plain}


async def cost_of_scrape(versions: int) -> dict[str, float]:
    """Seconds of CPU, megabytes, lines, and the longest time that the loop was away."""
    telemetry = Telemetry()
    for number in range(versions):
        telemetry.ended(request(telemetry, f"model-{number}@v1-0123abcd", streamed=True))
    metrics, pauses = Metrics(telemetry), [0.0]
    gc.collect()
    gc.freeze()  # as the gateway does once it has a table

    async def beat() -> None:
        while True:
            before = time.thread_time()
            await asyncio.sleep(0)
            pauses.append(time.thread_time() - before)

    beating = asyncio.create_task(beat())
    size = lines = 0
    start = time.process_time()
    async for part in metrics.parts():
        size, lines = size + len(part), lines + part.count(b"\n")
    spent = time.process_time() - start
    beating.cancel()
    return {"cpu_s": spent, "mb": size / 1e6, "lines": lines, "longest_pause_ms": max(pauses) * 1e3}


@click.command()
@click.option("--versions", default=2000, show_default=True)
def main(versions: int) -> None:
    """Measure, and write the figures as JSON. With PYTHONPATH=build/compiled the compiled modules are measured."""
    scrape = asyncio.run(cost_of_scrape(versions))
    compiled = not str(measured.__file__).endswith(".py")
    figures = {"compiled": compiled, "versions": versions, **cost_of_requests(), "scrape": scrape}
    write_figures("telemetry", figures)
    click.echo(figures)


if __name__ == "__main__":
    main()
