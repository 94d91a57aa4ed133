"""Which version is on which engine, and how little moves."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.plan.test_assignments import holding
from tunefleet.plan.asked import Asked
from tunefleet.plan.facts import Key
from tunefleet.plan.holdings import Holding, Need
from tunefleet.plan.placement import HEAT_STEP, Seat, place

Placed = Mapping[Key, tuple[Holding, ...]]
Demand = dict[Key, Asked]
Fleet = tuple[list[Seat], int, list[Holding], Demand]

NEEDS = st.sampled_from([Need.SERVING, Need.SERVING, Need.ACTIVE, Need.WARM])
RATES = st.sampled_from([0.0, 0.0, 0.5, 3.0, 10.0, 40.0, 200.0, 900.0])


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    """Engines that answer and hold nothing yet, with slots for some of the versions."""
    seats = [seat(f"pod-{n}") for n in range(draw(st.integers(1, 8)))]
    held = [
        replace(holding(f"a{n}", draw(NEEDS)), copies=draw(st.sampled_from([1, 1, 1, 2, 3])))
        for n in range(draw(st.integers(0, 24)))
    ]
    demand = {h.adapter: Asked(per_minute=draw(RATES)) for h in held}
    return seats, draw(st.integers(1, 8)), held, demand


def seat(name: str, held: Iterable[Holding] = (), *, ready: bool = True) -> Seat:
    names = frozenset(h.desired.engine_name for h in held)
    return Seat(Key("ml", name), ready, names, names if ready else frozenset())


def loaded(placed: Placed) -> list[Seat]:
    """The same engines when they have done what they were told."""
    return [seat(pod.name, held) for pod, held in placed.items()]


def changes(before: Placed, after: Placed) -> int:
    """Copies that came to engines which are there before and after."""
    return sum(len(set(after[pod]) - set(before[pod])) for pod in before if pod in after)


def copies(placed: Placed, one: Holding) -> int:
    return sum(one in held for held in placed.values())


@given(fleets())
@settings(deadline=None, max_examples=60)
def test_slots_are_never_exceeded_and_never_left_empty(fleet: Fleet) -> None:
    seats, capacity, held, demand = fleet
    placed = place(seats, capacity, held, demand)
    assert placed.keys() == {s.pod for s in seats}
    for mine in placed.values():
        assert len(mine) == len(set(mine)) == min(capacity, len(held))


@given(fleets())
@settings(deadline=None, max_examples=60)
def test_everybody_has_a_copy_before_anybody_has_one_too_many(
    fleet: Fleet,
) -> None:
    seats, capacity, held, demand = fleet
    placed = place(seats, capacity, held, demand)
    wanted = {h: min(h.copies, len(seats)) for h in held}
    if sum(wanted.values()) <= len(seats) * capacity:
        assert [h for h in held if not copies(placed, h)] == []
    needed = [h.need for h in held if not copies(placed, h)]
    assert not any(copies(placed, h) > 1 for h in held if needed and h.need >= max(needed))


@given(fleets(), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=60)
def test_the_order_of_the_input_says_nothing(fleet: Fleet, shuffled: random.Random) -> None:
    seats, capacity, held, demand = fleet
    first = place(seats, capacity, held, demand)
    shuffled.shuffle(seats)
    shuffled.shuffle(held)
    assert place(seats, capacity, held, demand) == first


@given(fleets())
@settings(deadline=None, max_examples=60)
def test_what_was_told_is_what_is_told_again(fleet: Fleet) -> None:
    seats, capacity, held, demand = fleet
    placed = place(seats, capacity, held, demand)
    assert place(loaded(placed), capacity, held, demand) == placed


@given(fleets())
@settings(deadline=None, max_examples=60)
def test_a_pod_that_comes_moves_nothing(fleet: Fleet) -> None:
    seats, capacity, held, demand = fleet
    once = [replace(h, copies=1) for h in held]
    before = place(seats, capacity, once, demand)
    after = place([*loaded(before), seat("newcomer", ready=False)], capacity, once, demand)
    assert changes(before, after) == 0


@given(fleets(), st.booleans())
@settings(deadline=None, max_examples=60)
def test_a_pod_that_goes_moves_no_more_than_it_held(fleet: Fleet, several: bool) -> None:
    """With minReplicas in play a copy that finds a new place may push another one on, once."""
    seats, capacity, held, demand = fleet
    held = held if several else [replace(h, copies=1) for h in held]
    before = place(seats, capacity, held, demand)
    gone, *stay = loaded(before)
    after = place(stay, capacity, held, demand)
    assert changes(before, after) <= len(gone.held or ()) * (2 if several else 1)


@given(fleets())
@settings(deadline=None, max_examples=60)
def test_one_more_version_takes_no_more_than_its_copies(fleet: Fleet) -> None:
    seats, capacity, held, demand = fleet
    before = place(seats, capacity, held, demand)
    newcomer = holding("newcomer", Need.ACTIVE)
    after = place(loaded(before), capacity, [*held, newcomer], demand)
    fits_everywhere = len(held) < capacity
    assert changes(before, after) <= (len(seats) if fits_everywhere else max(1, _room(before, capacity)))
    assert all(set(before[pod]) - set(after[pod]) == set() for pod in before) or not _room(before, capacity)


def _room(placed: Placed, capacity: int) -> int:
    return sum(capacity - len(held) for held in placed.values())


def test_a_second_copy_that_is_held_stays_when_another_version_warms_up() -> None:
    """Both must have two copies, and there is room for three."""
    seats = [seat("x"), seat("y"), seat("z")]
    held = [holding("a", copies=2), holding("b", copies=2)]
    before = place(seats, 1, held, {held[1].adapter: Asked(per_minute=0.5)})
    after = place(loaded(before), 1, held, {held[1].adapter: Asked(per_minute=1.0)})
    assert changes(before, after) == 0


@given(fleets(), st.floats(1 / HEAT_STEP, HEAT_STEP, exclude_min=True, exclude_max=True), st.integers(0, 100))
@settings(deadline=None, max_examples=60)
def test_demand_that_changes_a_little_moves_nothing(fleet: Fleet, factor: float, which: int) -> None:
    seats, capacity, held, demand = fleet
    before = place(seats, capacity, held, demand)
    if held:
        one = held[which % len(held)].adapter
        demand[one] = Asked(per_minute=demand[one].per_minute * factor)
    assert changes(before, place(loaded(before), capacity, held, demand)) == 0


@given(fleets())
@settings(deadline=None, max_examples=60)
def test_while_an_agent_is_unheard_nothing_is_taken_from_the_others(
    fleet: Fleet,
) -> None:
    seats, capacity, held, demand = fleet
    before = place(seats, capacity, held, {})
    silent, *others = loaded(before)
    after = place([replace(silent, held=None, loaded=frozenset()), *others], capacity, held, demand)
    for known in others:
        assert set(before[known.pod]) <= set(after[known.pod])


def test_what_fits_everywhere_is_everywhere() -> None:
    held = [holding("a"), holding("b", Need.WARM)]
    seats = [seat("x"), seat("y", ready=False), Seat(Key("ml", "z"), ready=True, held=None)]
    assert set(place(seats, 2, held, {}).values()) == {(held[0], held[1])}


def test_the_hot_ones_get_the_free_slots() -> None:
    held = [holding(f"a{n}", Need.SERVING) for n in range(6)]
    seats = [seat(f"pod-{n}") for n in range(4)]
    placed = place(seats, 3, held, {held[5].adapter: Asked(per_minute=1000)})
    assert [copies(placed, h) for h in held][5] == 4
    assert sum(copies(placed, h) for h in held) == 12
    assert all(copies(placed, h) >= 1 for h in held)


def test_free_slots_are_shared_by_requests_for_each_copy() -> None:
    held = [holding(f"a{n}", Need.SERVING) for n in range(3)]
    seats = [seat(f"pod-{n}") for n in range(8)]
    placed = place(seats, 2, held, {held[0].adapter: Asked(per_minute=1000), held[1].adapter: Asked(per_minute=900)})
    assert copies(placed, held[2]) == 1
    assert sorted([copies(placed, held[0]), copies(placed, held[1])]) == [7, 8]


def test_min_replicas_come_before_second_copies_of_others() -> None:
    many = replace(holding("many", Need.SERVING), copies=3)
    held = [many, *(holding(f"a{n}", Need.SERVING) for n in range(5))]
    placed = place([seat(f"pod-{n}") for n in range(4)], 2, held, {h.adapter: Asked(per_minute=500) for h in held[1:]})
    assert [copies(placed, h) for h in held] == [3, 1, 1, 1, 1, 1]


def test_somebody_who_waits_takes_the_slot_of_whom_nobody_asked_for_lately() -> None:
    old, recent, wanted = (holding(name, Need.SERVING) for name in ("old", "recent", "wanted"))
    seats = [seat("pod", [old, recent])]
    demand = {
        old.adapter: Asked(last="2026-11-21T10:00:00Z"),
        recent.adapter: Asked(last="2026-11-21T11:59:00Z"),
        wanted.adapter: Asked(waiting=1, last="2026-11-21T12:00:00Z"),
    }
    assert place(seats, 2, [old, recent, wanted], demand)[Key("ml", "pod")] == (recent, wanted)
    demand[wanted.adapter] = Asked(last="2026-11-21T12:00:00Z")
    assert place(seats, 2, [old, recent, wanted], demand)[Key("ml", "pod")] == (old, recent), "nobody waits for it"


def test_on_several_engines_too_and_nothing_else_moves() -> None:
    names = ("older", "recent", "latest", "wanted")
    held = {name: holding(name, Need.SERVING) for name in names}
    demand = {held[name].adapter: Asked(last=f"2026-11-21T1{n}:00:00Z") for n, name in enumerate(names)}
    demand[held["wanted"].adapter] = Asked(waiting=1, last="2026-11-21T13:00:00Z")
    seats = [seat("x", [held["recent"]]), seat("y", [held["older"]]), seat("z", [held["latest"]])]
    placed = place(seats, 1, held.values(), demand)
    assert [placed[s.pod] for s in seats] == [(held["recent"],), (held["wanted"],), (held["latest"],)]


def test_what_is_being_answered_is_not_taken_for_what_waits() -> None:
    busy, wanted = holding("busy", Need.SERVING), holding("wanted", Need.SERVING)
    demand = {busy.adapter: Asked(in_flight=1), wanted.adapter: Asked(waiting=1)}
    assert place([seat("pod", [busy])], 1, [busy, wanted], demand)[Key("ml", "pod")] == (busy,)


def test_an_adapter_whose_engine_is_down_gets_another_one() -> None:
    held = [holding(f"a{n}", Need.SERVING) for n in range(4)]
    seats = [seat("up", [held[0], held[1], held[2]]), seat("down", [held[3], held[0], held[1]], ready=False)]
    placed = place(seats, 3, held, {})
    assert set(placed[Key("ml", "up")]) == {held[0], held[1], held[2]}, "what answers alone stays"
    others = [seat("up", [held[0], held[1]]), seat("other", [held[0], held[2]]), seat("down", [held[3]], ready=False)]
    placed = place(others, 2, held, {})
    assert held[3] in placed[Key("ml", "up")] + placed[Key("ml", "other")], "a second copy gives way"


def test_a_new_version_takes_over_on_as_many_engines_as_answer_now() -> None:
    serving, others = holding("a", Need.SERVING), [holding(f"b{n}", Need.SERVING) for n in range(4)]
    active = replace(holding("a", Need.ACTIVE, version=2), adapter=serving.adapter)
    seats = [seat(f"pod-{n}", [serving, others[n]]) for n in range(4)]
    spread = [seat(s.pod.name, [serving, others[n], others[(n + 1) % 4]]) for n, s in enumerate(seats)]
    placed = place(spread, 3, [serving, active, *others], {})
    assert copies(placed, active) == 4


def test_what_left_traffic_stays_where_it_is_and_goes_nowhere_else() -> None:
    left = holding("a", Need.LEAVING)
    others = [holding(f"b{n}", Need.SERVING) for n in range(4)]
    seats = [seat("x", [left, others[0]]), seat("y", [others[1], others[2]])]
    placed = place(seats, 2, [left, *others[:3]], {others[3].adapter: Asked(per_minute=9000)})
    assert left in placed[Key("ml", "x")]
    assert left not in placed[Key("ml", "y")]


def names(held: Sequence[Holding]) -> list[str]:
    return [h.desired.engine_name for h in held]


def test_the_most_needed_comes_first_on_each_pod() -> None:
    held = [holding("w", Need.WARM), holding("a", Need.ACTIVE), holding("s", Need.SERVING)]
    (placed,) = place([seat("pod")], 2, held, {}).values()
    assert names(placed) == names([held[2], held[1]])
