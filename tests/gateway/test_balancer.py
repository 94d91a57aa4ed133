"""The least busy engine that holds the version, and none that just refused a connection."""

from collections import Counter

from tunefleet.gateway.balancer import SHUN_SECONDS, Balancer, Choice
from tunefleet.plan.facts import Key
from tunefleet.plan.routing import Backend, Route, Target


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def backend(pod: str) -> Backend:
    return Backend("10.0.0.1", 8000, Key("ns", pod), "endpoint", "base@v1-00000000")


A, B, C = backend("a"), backend("b"), backend("c")


def route(*backends: Backend) -> Route:
    return Route("x", (Target("x@v1-00000000", 100, backends),))


def pod(choice: Choice | None) -> str | None:
    return choice.backend.pod.name if choice else None


def test_no_engine_no_choice() -> None:
    balancer = Balancer(Clock())
    assert balancer.choose(route()) is None
    assert balancer.choose(Route("x")) is None
    assert balancer.choose(route(A), avoid=A) is None


def test_least_in_flight_whatever_the_version() -> None:
    balancer = Balancer(Clock())
    for busy in (A, A, B):
        balancer.started(busy)
    assert pod(balancer.choose(route(A, B))) == "b"
    assert pod(balancer.choose(route(A, B), avoid=B)) == "a"
    balancer.finished(A)
    balancer.finished(A)
    assert (pod(balancer.choose(route(A, B))), balancer.in_flight(A.pod)) == ("a", 0)


def test_ties_rotate() -> None:
    balancer = Balancer(Clock())
    assert Counter(pod(balancer.choose(route(A, B, C))) for _ in range(30)) == {"a": 10, "b": 10, "c": 10}


def test_a_shunned_pod_is_left_out_until_time_or_a_sign_of_life() -> None:
    clock = Clock()
    balancer = Balancer(clock)
    balancer.shun(A)
    assert {pod(balancer.choose(route(A, B))) for _ in range(4)} == {"b"}
    assert pod(balancer.choose(route(A))) == "a"  # better than an error
    balancer.forgive(A.pod)
    assert {pod(balancer.choose(route(A, B))) for _ in range(4)} == {"a", "b"}
    balancer.shun(A)
    clock.now += SHUN_SECONDS
    assert {pod(balancer.choose(route(A, B))) for _ in range(4)} == {"a", "b"}


def test_versions_by_weight_among_those_that_some_engine_holds() -> None:
    balancer = Balancer(Clock())
    canary = Route("x", (Target("x@v1-0", 90, (A,)), Target("x@v2-0", 10, (B,)), Target("x@v3-0", 1000, ())))
    chosen = Counter(pod(balancer.choose(canary)) for _ in range(2000))
    assert set(chosen) == {"a", "b"}
    assert 100 < chosen["b"] < 320  # 200 expected; beyond 6 sigma either way
