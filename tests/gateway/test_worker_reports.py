"""Several workers' words as one gateway's."""

import asyncio
from datetime import UTC, datetime

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tunefleet.gateway.worker_demand import WorkerDemand
from tunefleet.gateway.worker_reports import merge_demand, merge_metrics, merge_tables
from tunefleet.plan.demand import AdapterDemand, DemandReport, Trial, VersionSample
from tunefleet.plan.times import parse_time

METRICS = """# HELP a_total Things, "said" {so}.
# TYPE a_total counter
a_total{model="x y",code="{2xx} "} 3
a_total %d
# HELP b Times.
# TYPE b histogram
b_bucket{le="1.0"} 1
b_bucket{le="+Inf"} 2
b_count{} 2
b_sum 1.5e-05
"""


def test_metrics_are_one_exposition_with_a_label() -> None:
    text = merge_metrics({"0": METRICS % 1, "1": METRICS % 2 + "# HELP c C.\n# TYPE c gauge\nc 7\n"})
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert {name: family.type for name, family in families.items()} == {"a": "counter", "b": "histogram", "c": "gauge"}
    found = {(s.name, *sorted(s.labels.items())): s.value for family in families.values() for s in family.samples}
    assert found["a_total", ("worker", "0")] == 1
    assert found["a_total", ("worker", "1")] == 2
    assert found["a_total", ("code", "{2xx} "), ("model", "x y"), ("worker", "1")] == 3
    assert found["b_bucket", ("le", "+Inf"), ("worker", "0")] == 2
    assert found["b_sum", ("worker", "0")] == 1.5e-05
    assert len(found) == 13
    assert text.count("# TYPE a_total") == text.count("# HELP b ") == 1


def test_metrics_of_nobody() -> None:
    assert merge_metrics({}) == ""


def test_what_is_no_metric_is_an_error() -> None:
    with pytest.raises(ValueError, match="no sample"):
        merge_metrics({"0": "# HELP a A.\nnonsense\n"})


def asked(name: str, waiting: int, running: int, last: str, rate: float) -> AdapterDemand:
    return AdapterDemand(
        namespace="ns", name=name, waiting=waiting, in_flight=running, last_asked=last, requests_per_minute=rate
    )


def trial(since: str, engine: str, requests: int, errors: int, *buckets: int) -> Trial:
    sample = VersionSample(engine_name=engine, requests=requests, errors=errors, first_token=buckets)
    return Trial(namespace="ns", name="a", since=since, versions=(sample,))


def report(
    *adapters: AdapterDemand, trials: tuple[Trial, ...] = (), since: str = "2026-01-01T00:00:00Z", etag: str = "x-1"
) -> DemandReport:
    return DemandReport(etag=etag, since=since, adapters=adapters, trials=trials)


def test_demand_adds_up() -> None:
    merged = merge_demand(
        [
            report(asked("a", 1, 2, "2026-01-01T00:00:05Z", 1.5), trials=(trial("s1", "e", 3, 1, 1, 2),)),
            report(
                asked("a", 4, 0, "2026-01-01T00:00:03Z", 0.1),
                asked("b", 0, 1, "2026-01-01T00:00:04Z", 1),
                trials=(trial("s1", "e", 5, 0, 1, 1, 1), trial("s1", "f", 1, 0), trial("s2", "e", 1, 1)),
                since="2026-01-01T00:00:02Z",
            ),
        ],
        "e-1",
        "",
    )
    assert merged.etag == "e-1"
    assert merged.since == "2026-01-01T00:00:02Z"
    assert merged.adapters == (
        asked("a", 5, 2, "2026-01-01T00:00:05Z", 1.6),
        asked("b", 0, 1, "2026-01-01T00:00:04Z", 1),
    )
    first, second = merged.trials
    assert (first.since, second.since) == ("s1", "s2")
    assert [(v.engine_name, v.requests, v.errors, v.first_token) for v in first.versions] == [
        ("e", 8, 1, (2, 3, 1)),
        ("f", 1, 0, ()),
    ]


def test_tables() -> None:
    tables = [{"models": ["m"], "pods": {"p": {"inFlight": n, "weight": 5}}} for n in (1, 2)] + [{"pods": {}}]
    assert merge_tables(tables) == {"models": ["m"], "pods": {"p": {"inFlight": 3, "weight": 5}}}


class Worker:
    """Says what it is told to; an exception ends it."""

    def __init__(self) -> None:
        self.says: asyncio.Queue[DemandReport | OSError] = asyncio.Queue()
        self.after: list[str] = []

    async def ask(self, after: str) -> DemandReport:
        self.after.append(after)
        said = await self.says.get()
        if isinstance(said, OSError):
            raise said
        return said


async def test_a_worker_that_ends_takes_its_load_along_and_leaves_its_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunefleet.gateway.worker_demand.PAUSE_SECONDS", 0)
    demand, one, other = WorkerDemand(), Worker(), Worker()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(demand.follow(name, w.ask)) for name, w in (("0", one), ("1", other))]
        etag = demand.report().etag
        asked_a = asked("a", 1, 2, "2026-01-01T00:00:05Z", 1)
        one.says.put_nowait(report(asked_a, trials=(trial("s", "e", 3, 1, 1),)))
        etag = (await demand.next_report(etag)).etag
        other.says.put_nowait(report(asked("a", 0, 1, "2026-01-01T00:00:03Z", 1), trials=(trial("s", "e", 1, 0, 1),)))
        both = await demand.next_report(etag)
        assert both.adapters == (asked("a", 1, 3, "2026-01-01T00:00:05Z", 2),)
        before = datetime.now(UTC).replace(microsecond=0)
        one.says.put_nowait(ConnectionError())
        left = await demand.next_report(both.etag)
        assert left.adapters == (asked("a", 0, 1, "2026-01-01T00:00:05Z", 1),)
        assert left.trials == both.trials
        assert parse_time(left.since) >= before
        one.says.put_nowait(report(trials=(trial("s", "e", 10, 0),), etag="y-1"))
        again = await demand.next_report(left.etag)
        assert again.trials[0].versions[0].requests == 14
        assert one.after[-2:] == ["", "y-1"] or one.after[-1] == ""
        for task in tasks:
            task.cancel()


async def test_a_step_that_is_over_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunefleet.gateway.worker_demand.PAUSE_SECONDS", 0)
    demand, one = WorkerDemand(), Worker()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(demand.follow("0", one.ask))
        last = demand.report()
        for said in (
            report(trials=(trial("s1", "e", 3, 1),)),
            ConnectionError(),
            report(trials=(trial("s2", "e", 1, 0),)),
        ):
            one.says.put_nowait(said)
            last = await demand.next_report(last.etag)
        assert [found.since for found in last.trials] == ["s2"]
        task.cancel()


async def test_a_poll_waits_for_news(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunefleet.gateway.worker_demand.LONG_POLL_SECONDS", 0.01)
    demand = WorkerDemand()
    etag = demand.report().etag
    assert (await demand.next_report(etag)).etag == etag
    assert (await demand.next_report("another")).etag == etag
