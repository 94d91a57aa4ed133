"""Load alone decides nothing anew; who waits, wakes, or is on trial does."""

from typing import Any

import pytest

from tests.plan.fleet import endpoint, lora_adapter
from tests.reconcile.objects import SETTINGS
from tunefleet.plan.demand import AdapterDemand, DemandReport, Trial, VersionSample
from tunefleet.plan.demanded import demanded
from tunefleet.plan.facts import Facts, Key, ObjectRef

ADAPTERS = {
    "german": lora_adapter("german"),
    "french": lora_adapter("french", base="other"),
    "sleeper": lora_adapter("sleeper", base="other", loading={"minReplicas": 0}),
}
ENDPOINTS = {"chat": endpoint(), "elsewhere": endpoint("elsewhere", base="other")}
GERMAN = {ObjectRef("LoRAAdapter", "ml", "german"), ObjectRef("InferenceEndpoint", "ml", "chat")}
SLEEPER = {ObjectRef("LoRAAdapter", "ml", "sleeper"), ObjectRef("InferenceEndpoint", "ml", "elsewhere")}


def facts(asleep: str | None = None) -> Facts:
    adapters = {Key("ml", name): adapter for name, adapter in ADAPTERS.items()}
    if asleep:
        known = adapters[Key("ml", asleep)]
        status = known.status.model_copy(update={"asleep_since": "2026-01-01T00:00:00Z"})
        adapters[Key("ml", asleep)] = known.model_copy(update={"status": status})
    endpoints = {Key("ml", name): found for name, found in ENDPOINTS.items()}
    return Facts(settings=SETTINGS, adapters=adapters, endpoints=endpoints)


def report(*adapters: AdapterDemand, trials: tuple[Trial, ...] = ()) -> DemandReport:
    return DemandReport(etag="boot-1", since="2026-01-01T00:00:00Z", adapters=adapters, trials=trials)


def asked(name: str = "german", last: str = "2026-01-01T00:00:00Z", **counts: Any) -> AdapterDemand:
    return AdapterDemand(namespace="ml", name=name, last_asked=last, **counts)


def trial(requests: int) -> Trial:
    sample = VersionSample(engine_name="german@v2-00000000", requests=requests)
    return Trial(namespace="ml", name="german", since="2026-01-01T00:00:00Z", versions=(sample,))


@pytest.mark.parametrize(
    ("former", "latest"),
    [
        (report(), report(asked())),
        (report(asked()), report()),
        (report(asked()), report(asked(waiting=1))),
        (report(asked(waiting=3)), report(asked())),
        (report(asked(requests_per_minute=9)), report(asked(requests_per_minute=90))),
        (report(asked()), report(asked(), trials=(trial(1),))),
        (report(trials=(trial(1),)), report(trials=(trial(2),))),
    ],
)
def test_what_may_change_a_decision(former: DemandReport, latest: DemandReport) -> None:
    assert demanded(facts(), former, latest) == GERMAN


@pytest.mark.parametrize(
    ("former", "latest"),
    [
        (report(asked()), report(asked(last="2026-01-01T00:00:09Z", in_flight=5, requests_per_minute=0.8))),
        (report(asked(waiting=1)), report(asked(waiting=9))),
        (report(asked("unknown")), report(asked("unknown", waiting=1))),
        (report(trials=(trial(2),)), report(trials=(trial(2),))),
    ],
)
def test_load_alone_does_not(former: DemandReport, latest: DemandReport) -> None:
    assert demanded(facts(), former, latest) == set()


def test_who_sleeps_and_is_asked_for_is_woken() -> None:
    before, after = report(asked()), report(asked(last="2026-01-02T00:00:00Z"))
    assert demanded(facts(), before, after) == set()
    assert demanded(facts(asleep="german"), before, after) == GERMAN


def test_an_answer_that_ends_lets_its_adapter_fall_asleep_where_it_may() -> None:
    assert demanded(facts(), report(asked("sleeper", in_flight=1)), report(asked("sleeper"))) == SLEEPER
    assert demanded(facts(), report(asked(in_flight=1)), report(asked())) == set()


def test_a_gateway_that_begins_or_ceases_to_answer_concerns_all_that_may_sleep() -> None:
    assert demanded(facts(), None, report()) == SLEEPER
    assert demanded(facts(), report(), None) == SLEEPER
    assert demanded(facts(), None, report(asked())) == SLEEPER | GERMAN
