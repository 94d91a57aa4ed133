"""A session keeps its version, weights are what they say, and growing a canary takes only from the others."""

import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunefleet.gateway.stickiness import POINTS, draw, point_of, session_point
from tunefleet.plan.facts import Key
from tunefleet.plan.route_table import Backend, Target

A = Backend("10.0.0.1", 8000, Key("ns", "a"), "endpoint", "base@v1-00000000")
EVERY_POINT = range(POINTS)


def target(name: str, weight: int, *, held: bool = True) -> Target:
    return Target(name, weight, (A,) if held else ())


def name_at(targets: list[Target], point: int) -> str | None:
    found = draw(targets, point)
    return found.engine_name if found else None


def shares(targets: list[Target]) -> Counter[str | None]:
    return Counter(name_at(targets, point) for point in EVERY_POINT)


def test_weights_are_shares_of_the_points() -> None:
    assert shares([target("old", 95), target("new", 5)]) == {"old": 9500, "new": 500}
    assert shares([target("a", 1), target("b", 1), target("c", 2)]) == {"a": 2500, "b": 2500, "c": 5000}


@given(st.integers(1, 99), st.integers(1, 99))
def test_a_canary_that_grows_keeps_its_sessions(one: int, other: int) -> None:
    small, large = sorted((one, other))

    def canary(weight: int) -> set[int]:
        targets = [target("old", 100 - weight), target("new", weight)]
        return {point for point in range(0, POINTS, 7) if name_at(targets, point) == "new"}

    assert canary(small) <= canary(large)


def test_a_version_that_no_engine_holds_gives_its_share_to_the_others() -> None:
    assert shares([target("old", 90), target("new", 10, held=False)]) == {"old": POINTS}
    assert shares([target("old", 90, held=False), target("new", 10)]) == {"new": POINTS}
    held = [target("a", 20), target("b", 20), target("c", 60)]
    missing = [target("a", 20), target("b", 20, held=False), target("c", 60)]
    assert shares(missing) == {"a": 2500, "c": 7500}
    stayed = [p for p in EVERY_POINT if name_at(held, p) != "b"]
    assert all(name_at(held, p) == name_at(missing, p) for p in stayed)


def test_without_an_engine_there_is_no_version() -> None:
    assert draw([], 5) is None
    assert draw([target("a", 1, held=False), target("b", 1, held=False)], 5) is None


def test_the_header_is_the_session_and_else_the_bodys_user() -> None:
    ann, bob = session_point(b"ann", "m"), session_point(b"bob", "m")
    assert ann != bob
    assert point_of(b"ann", b'{"user":"bob"}', "m") == ann
    assert point_of(None, b'{"model":"m", "user" : "bob"}', "m") == bob
    assert point_of(None, b'{"messages":[{"user":"ann"}],"user":"\\u0062ob"}', "m") == bob
    assert point_of(b"", b'{"user":"bob"}', "m") == bob


@pytest.mark.parametrize("body", [b"{}", b'{"user":null}', b'{"user":""}', b'{"user":7}', b'{"user":{"user":"x"}}'])
def test_without_a_session_requests_are_spread(body: bytes) -> None:
    points = [point_of(None, body, "m") for _ in range(2000)]
    assert all(0 <= point < POINTS for point in points)
    assert 800 < sum(point < POINTS // 2 for point in points) < 1200  # 9 sigma


def test_sessions_are_spread_and_names_are_independent_of_each_other() -> None:
    one = [session_point(b"%d" % n, "one") < POINTS // 10 for n in range(4000)]
    two = [session_point(b"%d" % n, "two") < POINTS // 10 for n in range(4000)]
    assert 280 < sum(one) < 520  # 6 sigma around 400
    assert 5 < sum(a and b for a, b in zip(one, two, strict=True)) < 90  # around 40


def test_every_process_finds_the_same_point() -> None:
    program = "from tunefleet.gateway.stickiness import session_point as p; print(p(b'ann', 'support-de'))"
    environment = {"PYTHONPATH": "operator", "PYTHONHASHSEED": "77"}
    ran = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert int(ran.stdout) == session_point(b"ann", "support-de")
