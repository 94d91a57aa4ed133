"""Prompts that begin alike go to one pod, within a bound on its load; pods that are out get nothing."""

from collections import Counter
from collections.abc import Iterable, Sequence
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunefleet.gateway.balancer import Balancer, Lane, pick
from tunefleet.gateway.health import BUSY_MOST, FAILURES, FIRST_PAUSE, Health
from tunefleet.gateway.pods import Pod
from tunefleet.gateway.series import Series
from tunefleet.plan.facts import Key
from tunefleet.plan.route_table import Backend, RouteTable, Target

POINTS = st.integers(0, 2**32 - 1)
LOADS = st.lists(st.integers(0, 50), min_size=1, max_size=12)


def made(*names: str) -> tuple[Pod, ...]:
    return tuple(Pod(Key("ns", name), "10.0.0.1", 8000, Health({})) for name in names)


def lane(*names: str) -> Lane:
    return Lane("x@v1-00000000", Series("x", "v1"), made(*names))


def points(count: int) -> Iterable[int]:
    """As prompts give them."""
    return (crc32(b"prompt %d" % number) for number in range(count))


def numbered(count: int) -> list[str]:
    return [f"engine-7c9d8b6f5-{number}" for number in range(count)]


def name_of(pod: Pod | None) -> str:
    return pod.key.name if pod else ""


def owners(pods: Sequence[Pod], count: int = 400) -> dict[int, str]:
    return {point: name_of(pick(pods, point)) for point in points(count)}


def test_no_pod_no_choice() -> None:
    assert lane().choose(0, 0.0) is None
    assert lane("a").choose(0, 0.0, (Key("ns", "a"),)) is None


def test_the_same_in_every_process() -> None:
    """What other gateways compute: these change only with the hash itself."""
    pods = made("a", "b", "c", "d")
    assert [name_of(pick(pods, point)) for point in (0, 1, 12345, 2**32 - 1)] == ["d", "d", "a", "d"]


@given(st.permutations(numbered(6)), POINTS)
def test_the_order_of_the_pods_does_not_matter(names: list[str], point: int) -> None:
    assert name_of(pick(made(*names), point)) == name_of(pick(made(*numbered(6)), point))


@given(st.integers(1, 12), st.integers(0, 11))
def test_only_what_must_move_moves(count: int, which: int) -> None:
    """When a pod goes, its prompts go elsewhere and all others stay; the other way round when it comes."""
    names = numbered(count + 1)
    gone = names[which % len(names)]
    before = owners(made(*names))
    after = owners(made(*[name for name in names if name != gone]))
    assert {point: name for point, name in before.items() if name != gone}.items() <= after.items()


@pytest.mark.parametrize("count", [2, 3, 4, 8, 20, 50])
def test_idle_pods_share_the_prompts(count: int) -> None:
    shares = Counter(owners(made(*numbered(count)), 400 * count).values())
    assert len(shares) == count
    assert min(shares.values()) > 300
    assert max(shares.values()) < 500


@given(LOADS, POINTS)
def test_nobody_gets_more_than_the_bound(loads: list[int], point: int) -> None:
    pods = made(*numbered(len(loads)))
    for pod, load in zip(pods, loads, strict=True):
        pod.in_flight = load
    chosen = pick(pods, point)
    assert chosen is not None
    bound = -(-5 * (sum(loads) + 1) // (4 * len(pods)))
    assert chosen.in_flight < bound


@given(LOADS, POINTS)
def test_what_overflows_goes_to_the_least_busy(loads: list[int], point: int) -> None:
    pods = made(*numbered(len(loads)))
    first = pick(pods, point)
    for pod, load in zip(pods, loads, strict=True):
        pod.in_flight = load
    chosen = pick(pods, point)
    assert chosen is not None
    assert chosen is first or chosen.in_flight == min(loads)


@pytest.mark.parametrize("count", [2, 4, 10])
def test_one_prompt_for_all_does_not_send_all_to_one_pod(count: int) -> None:
    """A system prompt that every client sends."""
    one = lane(*numbered(count))
    for _ in range(40 * count):
        pod = one.choose(12345, 0.0)
        assert pod is not None
        one.started(pod)
    assert max(pod.in_flight for pod in one.pods) <= 50
    assert min(pod.in_flight for pod in one.pods) >= 30


def test_few_requests_at_a_time_stay_together() -> None:
    """Overflow among idle pods is decided by the score, so the second request of a prompt has its own pod too."""
    pods = made(*numbered(20))
    first = pick(pods, 99)
    assert first is not None
    first.in_flight = 1
    assert len({name_of(pick(made_busy, 99)) for made_busy in [pods] * 5}) == 1


def test_pods_that_refuse_are_left_out_even_when_nothing_else_is_left() -> None:
    one = lane("a", "b")
    a, b = one.pods
    a.health.refused(0.0)
    assert {name_of(one.choose(point, 0.5)) for point in points(20)} == {"b"}
    b.health.refused(0.5)
    assert one.choose(0, 0.6) is None


def test_one_request_at_a_time_looks_whether_a_pod_is_back() -> None:
    one = lane("a")
    one.pods[0].health.refused(0.0)
    assert one.choose(0, FIRST_PAUSE, alive=True) is None
    probe = one.choose(0, FIRST_PAUSE)
    assert name_of(probe) == "a"
    assert probe is not None
    one.started(probe)
    assert one.choose(0, FIRST_PAUSE) is None
    one.finished(probe)  # its client left; nobody knows
    assert name_of(one.choose(0, FIRST_PAUSE)) == "a"


def test_bad_answers_leave_pods_out_but_never_all() -> None:
    one = lane("a", "b", "c")
    for request, pod in enumerate(one.pods):
        for again in range(FAILURES):
            pod.health.failed(0.0, 10 * request + again)
        left = {name_of(one.choose(point, 0.0)) for point in points(40)}
        assert left == ({"b", "c"}, {"c"}, {"a", "b", "c"})[request]


def test_when_all_are_out_those_that_asked_for_a_pause_are_the_least_bad() -> None:
    one = lane("refused", "failed", "busy")
    one.pods[0].health.refused(0.0)
    for request in range(FAILURES):
        one.pods[1].health.failed(0.0, request)
    assert {name_of(one.choose(point, 0.0)) for point in points(20)} == {"busy"}
    one.pods[2].health.busy(0.0, BUSY_MOST)
    assert {name_of(one.choose(point, 0.0)) for point in points(20)} == {"busy"}
    assert {name_of(one.choose(point, 0.0, (Key("ns", "busy"),))) for point in points(20)} == {"failed"}


def test_one_request_alone_leaves_at_most_one_pod_out() -> None:
    """It may find one pod gone and fail at the next; sent again and again, it still ejects nobody for its answers."""
    one = lane("a", "b", "c")
    for _ in range(20):
        pod = one.choose(7, 0.0)
        assert pod is not None
        pod.health.failed(0.0, 4711)
    assert [pod.health.why for pod in one.pods] == ["", "", ""]


# --- pods and tables


def backend(name: str, ip: str = "10.0.0.1", region: str = "") -> Backend:
    return Backend(ip, 8000, Key("ns", name), "endpoint", "base@v1-00000000", region)


def target(*backends: Backend) -> Target:
    return Target("x@v1-00000000", 100, backends)


def table(*backends: Backend) -> RouteTable:
    return RouteTable(backends=backends)


class World:
    def __init__(self) -> None:
        self.ejections: dict[str, int] = {}
        self.balancer = Balancer(
            lambda b: f"authorization: {b.endpoint}\r\n".encode(), lambda n: Series(n, ""), self.ejections
        )


def test_lanes_last_as_long_as_the_table() -> None:
    balancer = World().balancer
    a = backend("a")
    same = target(a)
    balancer.follow(table(a))
    first = balancer.lane(same)
    assert first is balancer.lane(same)
    assert (first.engine_name, first.name, first.series.model) == (
        same.engine_name,
        b'"x@v1-00000000"',
        "x@v1-00000000",
    )
    balancer.follow(table(a))
    assert balancer.lane(same) is not first
    assert balancer.lane(same).pods == first.pods  # the very same objects


def test_pods_know_their_header_lines() -> None:
    balancer = World().balancer
    (pod,) = balancer.lane(target(backend("a"))).pods
    assert (pod.host, pod.port, pod.authorization) == ("10.0.0.1", 8000, b"authorization: endpoint\r\n")
    assert pod.answer_lines == b"x-tunefleet-base: base@v1-00000000\r\n"
    (pod,) = balancer.lane(target(backend("a", region="eu-1"))).pods
    assert pod.answer_lines == b"x-tunefleet-base: base@v1-00000000\r\nx-tunefleet-region: eu-1\r\n"


def test_what_is_known_of_a_pod_outlives_tables_but_not_its_address() -> None:
    world = World()
    balancer, a = world.balancer, backend("a")
    (pod,) = balancer.lane(target(a)).pods
    pod.health.refused(0.0)
    pod.in_flight = 1
    balancer.follow(table(a))
    assert balancer.pod(a.pod) is pod
    assert world.ejections == {"refused": 1}
    balancer.follow(table(backend("a", "10.0.0.2")))
    assert balancer.pod(a.pod) is not pod
    assert pod in balancer.pods()  # its connections have to be swept
    pod.in_flight = 0
    balancer.follow(table())
    assert (balancer.pods(), balancer.pod(a.pod)) == ([], None)


def test_a_sign_of_life_ends_an_ejection_for_a_refused_connection_only() -> None:
    balancer, a, b = World().balancer, backend("a"), backend("b")
    balancer.follow(table(a, b))
    for key in (a.pod, b.pod):
        assert not balancer.forgive(key)
    first, second = balancer.lane(target(a, b)).pods
    first.health.refused(0.0)
    second.health.busy(0.0, 5)
    assert balancer.forgive(a.pod)
    assert not balancer.forgive(a.pod)  # nobody waits for it any more
    assert not balancer.forgive(b.pod)
    assert not balancer.forgive(Key("ns", "unknown"))
    assert [first.health.why, second.health.why] == ["", "busy"]


def test_a_description_for_people() -> None:
    (pod,) = made("a")
    pod.in_flight = 3
    assert pod.describe(0.0) == {
        "namespace": "ns",
        "name": "a",
        "address": "10.0.0.1:8000",
        "inFlight": 3,
        "idleConnections": 0,
        "ejected": None,
    }
    pod.health.refused(1.0)
    assert pod.describe(1.5)["ejected"] == {"why": "refused", "seconds": 0.5}
