"""The least busy engine that holds the version, and none that just refused a connection."""

from collections import Counter

from tunefleet.gateway.balancer import SHUN_SECONDS, Balancer
from tunefleet.plan.facts import Key
from tunefleet.plan.route_table import Backend, Route, Target


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def backend(pod: str) -> Backend:
    return Backend("10.0.0.1", 8000, Key("ns", pod), "endpoint", "base@v1-00000000")


A, B, C = backend("a"), backend("b"), backend("c")


def on(*backends: Backend) -> Target:
    return Target("x@v1-00000000", 100, backends)


def pod(chosen: Backend | None) -> str | None:
    return chosen.pod.name if chosen else None


def test_no_engine_no_choice() -> None:
    balancer = Balancer(Clock())
    assert balancer.choose(on()) is None
    assert balancer.choose(on(A), avoid=(A.pod,)) is None


def test_least_in_flight_whatever_the_version() -> None:
    balancer = Balancer(Clock())
    for busy in (A, A, B):
        balancer.started(busy)
    assert pod(balancer.choose(on(A, B))) == "b"
    assert pod(balancer.choose(on(A, B), avoid=(B.pod,))) == "a"
    balancer.finished(A)
    balancer.finished(A)
    assert (pod(balancer.choose(on(A, B))), balancer.in_flight(A.pod)) == ("a", 0)


def test_ties_rotate() -> None:
    balancer = Balancer(Clock())
    assert Counter(pod(balancer.choose(on(A, B, C))) for _ in range(30)) == {"a": 10, "b": 10, "c": 10}


def test_a_shunned_pod_is_left_out_until_time_or_a_sign_of_life() -> None:
    clock = Clock()
    balancer = Balancer(clock)
    balancer.shun(A)
    assert {pod(balancer.choose(on(A, B))) for _ in range(4)} == {"b"}
    assert pod(balancer.choose(on(A))) == "a"  # better than an error
    assert balancer.forgive(A.pod)
    assert not balancer.forgive(A.pod)  # nobody waited for it
    assert {pod(balancer.choose(on(A, B))) for _ in range(4)} == {"a", "b"}
    balancer.shun(A)
    clock.now += SHUN_SECONDS
    assert {pod(balancer.choose(on(A, B))) for _ in range(4)} == {"a", "b"}


def test_who_was_held_goes_only_to_pods_that_gave_a_sign_of_life() -> None:
    clock = Clock()
    balancer = Balancer(clock)
    balancer.shun(A)
    clock.now += 10 * SHUN_SECONDS
    assert balancer.choose(on(A), alive=True) is None
    assert pod(balancer.choose(on(A, B), alive=True)) == "b"
    balancer.forgive(A.pod)
    assert pod(balancer.choose(on(A), alive=True)) == "a"


def test_pods_that_are_on_no_route_are_forgotten() -> None:
    balancer = Balancer(Clock())
    balancer.shun(A)
    balancer.shun(B)
    balancer.keep([Route("x", (on(A, C),))])
    assert not balancer.forgive(B.pod)
    assert balancer.forgive(A.pod)
