"""What is counted of a canary, and when it is worth another look."""

from tunefleet.gateway.trials import Step, Trials
from tunefleet.plan.demand import FIRST_TOKEN_BOUNDS
from tunefleet.plan.facts import Key
from tunefleet.plan.route_table import Route, Target, TrialTerms

OLD, NEW = "m@v1-00000000", "m@v2-00000000"
ADAPTER = Key("ns", "adapter")


def route(since: str = "2026-01-01T00:00:00Z", minimum: int = 10, name: str = "m") -> Route:
    targets = (Target(OLD, 90, ()), Target(NEW, 10, ()))
    return Route(name, targets, ADAPTER, TrialTerms(since, NEW, minimum))


def following(*routes: Route) -> tuple[Trials, list[str]]:
    looks: list[str] = []
    trials = Trials(lambda: looks.append("look"))
    trials.follow(routes)
    return trials, looks


def step_of(trials: Trials) -> Step:
    step = trials.of("m")
    assert step is not None
    return step


def test_counts_by_version() -> None:
    trials, _ = following(route())
    step = step_of(trials)
    step.ended(OLD, failed=False)
    step.ended(NEW, failed=True)
    step.ended(NEW, failed=False)
    step.sample(NEW).answered_after(0.0015)
    step.sample(NEW).answered_after(1e9)
    (trial,) = trials.report()
    assert (trial.namespace, trial.name, trial.since) == ("ns", "adapter", "2026-01-01T00:00:00Z")
    assert [(v.engine_name, v.requests, v.errors) for v in trial.versions] == [(OLD, 1, 0), (NEW, 2, 1)]
    histogram = trial.versions[1].first_token
    assert len(histogram) == len(FIRST_TOKEN_BOUNDS) + 1
    assert (sum(histogram), histogram[-1]) == (2, 1)
    bucket = histogram.index(1)
    assert FIRST_TOKEN_BOUNDS[bucket - 1] < 0.0015 <= FIRST_TOKEN_BOUNDS[bucket]


def test_looks_come_at_the_minimum_and_then_at_every_doubling() -> None:
    trials, looks = following(route(minimum=10))
    at: list[int] = []
    for count in range(1, 100):
        step_of(trials).ended(OLD, failed=False)
        step_of(trials).ended(NEW, failed=False)
        if len(looks) > len(at):
            at.append(count)
    assert at == [10, 20, 40, 80]


def test_without_an_analysis_there_is_nothing_to_look_at() -> None:
    trials, looks = following(route(minimum=0))
    for _ in range(50):
        step_of(trials).ended(NEW, failed=False)
    assert looks == []


def test_another_step_begins_at_nothing_and_the_same_one_goes_on() -> None:
    trials, _ = following(route())
    first = step_of(trials)
    first.ended(NEW, failed=False)
    trials.follow([route()])
    assert step_of(trials) is first
    trials.follow([route(since="2026-01-01T00:10:00Z")])
    first.ended(NEW, failed=False)  # a request that began in the former step
    assert [v.requests for v in trials.report()[0].versions] == [0, 0]
    trials.follow([])
    assert (trials.of("m"), trials.report()) == (None, ())
