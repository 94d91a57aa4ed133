"""What each request adds to the counts, the trial, the tenant's account."""

from typing import Any

import pytest

from tests.gateway.records import CHAT, V1, V2, make_record, run
from tunefleet.gateway.access import Tenant
from tunefleet.gateway.record import BROKEN, DISCONNECTED, Record
from tunefleet.gateway.series import Histogram, Series
from tunefleet.gateway.telemetry import Telemetry
from tunefleet.gateway.trials import Step
from tunefleet.plan.facts import Key
from tunefleet.plan.route_table import TrialTerms

USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5}}\n\ndata: [DONE]\n\n'


class Trial:
    """A step of a canary, and whether it asked to be looked at."""

    def __init__(self, min_requests: int = 2) -> None:
        self.looks = 0
        self.step = Step(Key("ns", "a"), TrialTerms("since", V2, min_requests), self.look)

    def look(self) -> None:
        self.looks += 1

    def of(self, **values: Any) -> tuple[int, int, int]:
        """Requests, errors and first tokens that a request adds."""
        telemetry = Telemetry()
        before = self.counts
        run(telemetry, V2, step=self.step, **values)
        after = self.counts
        return after[0] - before[0], after[1] - before[1], after[2] - before[2]

    @property
    def counts(self) -> tuple[int, int, int]:
        sample = self.step.sample(V2)
        return sample.requests, sample.errors, sum(sample.first_token)


def chat(series: Series, histogram: str = "duration") -> int:
    found: Histogram = getattr(series.latency[CHAT], histogram)
    return sum(found.counts)


def test_a_request_that_goes_from_one_engine_to_another_runs_once() -> None:
    telemetry = Telemetry()
    first, second = telemetry.series(V1), telemetry.series(V2)
    record = make_record(series=first)
    telemetry.begun(record)
    record.series = second
    telemetry.begun(record)
    assert (first.running, second.running) == (0, 1)
    telemetry.left(record)
    assert (first.running, second.running) == (0, 0)
    telemetry.begun(record)
    telemetry.ended(record)
    assert (first.running, second.running, second.requests) == (0, 0, {"2xx": 1})
    assert (first.begun, second.begun) == (1, 2)
    assert first.requests == {}


def test_tokens_are_those_of_the_answer() -> None:
    telemetry = Telemetry()
    record = run(telemetry, tail=USAGE)
    series = telemetry.series(V1)
    assert (record.prompt_tokens, record.completion_tokens) == (7, 5)
    assert (series.prompt_tokens, series.completion_tokens, series.without_usage) == (7, 5, 0)
    run(telemetry, tail=b"data: [DONE]\n\n")
    run(telemetry, tail=b'{"error":{}}', status=400, outcome="4xx", streamed=False)
    run(telemetry, path="/tokenize", tail=b'{"count":3}', streamed=False)
    assert (series.prompt_tokens, series.completion_tokens, series.without_usage) == (7, 5, 1)


def test_time_per_token_leaves_the_first_one_out_and_needs_two() -> None:
    telemetry = Telemetry()
    run(telemetry, tail=USAGE)
    latency = telemetry.series(V1).latency[CHAT]
    assert latency.per_token.total == pytest.approx(7 / 4)
    run(telemetry, completion_tokens=1)
    assert chat(telemetry.series(V1), "per_token") == 1
    run(telemetry, events=8)
    assert latency.per_token.total == pytest.approx(7 / 4 + 1)


@pytest.mark.parametrize(
    ("values", "first_tokens", "per_tokens"),
    [
        ({}, 1, 1),
        ({"outcome": BROKEN}, 1, 0),
        ({"outcome": DISCONNECTED}, 1, 0),
        ({"streamed": False}, 0, 0),
        ({"status": 500, "outcome": "5xx"}, 0, 0),
        ({"first_byte": 0.0, "outcome": DISCONNECTED}, 0, 0),
    ],
)
def test_only_streams_that_came_have_token_times(values: dict[str, Any], first_tokens: int, per_tokens: int) -> None:
    telemetry = Telemetry()
    run(telemetry, **{"events": 9, **values})
    series = telemetry.series(V1)
    assert (chat(series, "first_token"), chat(series, "per_token")) == (first_tokens, per_tokens)


def test_durations_of_failures_stand_apart() -> None:
    telemetry = Telemetry()
    run(telemetry)
    run(telemetry, outcome=BROKEN)
    series = telemetry.series(V1)
    assert chat(series) == 1
    assert {outcome: sum(found.counts) for outcome, found in series.latency[CHAT].failed.items()} == {BROKEN: 1}


def test_refusals_and_fallbacks_are_counted_without_an_engine() -> None:
    telemetry = Telemetry()
    refused = Record(b"id", "POST", CHAT, 1.0)
    refused.refusal = "model_not_found"
    telemetry.ended(refused)
    run(telemetry, fallback="endpoint/other")
    assert telemetry.counters.refused == {"model_not_found": 1}
    assert telemetry.counters.fallbacks == {"endpoint/other": 1}
    assert [series.requests for series in telemetry.versions()] == [{"2xx": 1}]


def test_a_request_without_an_end_ends_now() -> None:
    telemetry = Telemetry(lambda: 107.0)
    run(telemetry, ended=0.0)
    assert telemetry.series(V1).latency[CHAT].duration.total == 7.0


@pytest.mark.parametrize(
    ("values", "counted"),
    [
        ({}, (1, 0, 1)),
        ({"streamed": False}, (1, 0, 0)),
        ({"outcome": "4xx", "status": 400}, (1, 0, 0)),
        ({"outcome": "5xx", "status": 500}, (1, 1, 0)),
        ({"outcome": BROKEN}, (1, 1, 1)),
        ({"streamed_error": True}, (1, 1, 0)),
        ({"outcome": DISCONNECTED}, (1, 0, 1)),
        ({"outcome": DISCONNECTED, "first_byte": 0.0}, (0, 0, 0)),
        ({"outcome": "", "refusal": "engine_unreachable"}, (0, 0, 0)),
    ],
)
def test_a_trial_judges_what_the_version_did(values: dict[str, Any], counted: tuple[int, int, int]) -> None:
    assert Trial().of(**values) == counted


def test_a_trial_with_enough_requests_asks_to_be_looked_at() -> None:
    trial = Trial(min_requests=2)
    trial.of()
    assert trial.looks == 0
    trial.of()
    assert trial.looks == 1


def test_tenants_have_accounts_of_what_was_let_through() -> None:
    telemetry = Telemetry()
    tenant = Tenant("acme")
    run(telemetry, tenant=tenant, admitted=True, tail=USAGE)
    run(telemetry, tenant=tenant, admitted=False)
    account = telemetry.accounts["acme"]
    assert (account.requests, account.prompt_tokens, account.completion_tokens) == (1, 7, 5)
    telemetry.keep_tenants({"other"})
    assert telemetry.accounts == {}
