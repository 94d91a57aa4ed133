"""The table of a canary's states, and what follows from it."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.plan.fleet import START
from tunefleet.api.canary import AdapterRollout, CanaryStatus
from tunefleet.plan import canary_states
from tunefleet.plan.canary import REWOUND_SECONDS, Course, Scene, advance, requeue_after
from tunefleet.plan.canary_analysis import Comparison, Counts
from tunefleet.plan.canary_states import TRANSITIONS, Trigger
from tunefleet.plan.demand import LONG_POLL_SECONDS
from tunefleet.plan.times import parse_time

DOCUMENT = Path(__file__).parents[2] / "docs" / "design" / "canary.md"
STEPS = [{"weight": 5, "durationSeconds": 300}, {"weight": 50, "durationSeconds": 600}]
ANALYSIS = {"minRequests": 50, "maxErrorRate": 0.05}


def rollout(**fields: Any) -> AdapterRollout:
    return AdapterRollout.read({"steps": STEPS, **fields})


def scene(**fields: Any) -> Scene:
    """Version 5 is ready to take over from version 4."""
    return Scene(**{"active": 5, "serving": 4, "rollout": rollout(), "ready": True, "held": True, **fields})


SCENE = scene()
JUDGED = scene(rollout=rollout(analysis=ANALYSIS))


def begun(at: Scene = SCENE, now: datetime = START) -> CanaryStatus:
    status = advance(None, at, now).canary
    assert status is not None
    return status


def counted(at: Scene, status: CanaryStatus, requests: int, errors: int = 0) -> Scene:
    return replace(at, counted={status.since: Comparison(Counts(requests, errors), Counts(20 * requests, errors))})


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def triggers(course: Course) -> list[str]:
    return [passage.trigger.value for passage in course.passed]


def brief(status: CanaryStatus | None) -> tuple[str, int, int] | None:
    return (status.state, status.step, status.weight) if status else None


@pytest.mark.parametrize("text", [canary_states.__doc__ or "", DOCUMENT.read_text()], ids=["module", "docs"])
def test_the_documented_table_is_the_one_that_runs(text: str) -> None:
    rows = re.findall(r"^\| (\w+) \| ([A-Z_]+) \| (\w+) \|$", text, re.MULTILINE)
    documented = {(state, trigger): following for state, trigger, following in rows}
    assert len(rows) == len(documented)
    assert documented == {(s or "none", t.value): following or "none" for (s, t), following in TRANSITIONS.items()}


@pytest.mark.parametrize("trigger", Trigger)
def test_every_trigger_is_explained(trigger: Trigger) -> None:
    assert f"**{trigger}**" in DOCUMENT.read_text()


def test_it_goes_through_its_steps_and_takes_over() -> None:
    status = begun()
    assert brief(status) == ("Progressing", 0, 5)
    assert advance(status, SCENE, after(299.9)).canary == status
    second = advance(status, SCENE, after(300))
    assert triggers(second) == ["STEP_OVER"]
    assert brief(second.canary) == ("Progressing", 1, 50)
    assert advance(second.canary, SCENE, after(899)).canary == second.canary
    last = advance(second.canary, SCENE, after(900))
    assert (triggers(last), last.takes_over, last.canary) == (["LAST_STEP_OVER"], True, None)


def test_it_does_not_begin_before_the_engines_hold_it() -> None:
    assert advance(None, scene(ready=False), START) == Course(None)


@pytest.mark.parametrize(
    "at_once",
    [
        scene(rollout=AdapterRollout()),
        scene(rollout=rollout(skipStepsFor=5)),
        scene(serving=None),
        scene(active=3),
    ],
    ids=["no steps", "skipped", "nothing served yet", "back"],
)
def test_what_takes_no_steps(at_once: Scene) -> None:
    course = advance(None, at_once, START)
    assert (triggers(course), course.takes_over, course.canary) == (["SKIPPED"], True, None)
    assert advance(None, replace(at_once, ready=False), START) == Course(None), "not before the engines hold it"


def test_going_back_takes_no_steps_even_to_what_no_history_remembers() -> None:
    assert advance(None, scene(active=1), START).takes_over


def test_skipping_ends_a_canary_that_runs_and_one_that_was_taken_back() -> None:
    running = begun(JUDGED)
    worse = advance(running, counted(JUDGED, running, 50, 30), after(10)).canary
    for status in (running, worse):
        skipped = advance(status, scene(rollout=rollout(analysis=ANALYSIS, skipStepsFor=5)), after(20))
        assert (triggers(skipped), skipped.takes_over) == (["SKIPPED"], True)


def test_skipping_another_version_is_nothing_to_this_one() -> None:
    assert brief(begun(scene(rollout=rollout(skipStepsFor=4)))) == ("Progressing", 0, 5)


def test_back_to_the_serving_version_ends_it_at_once() -> None:
    aborted = advance(begun(), scene(active=4, ready=False), after(1))
    assert (triggers(aborted), aborted.canary, aborted.takes_over) == (["ABORTED"], None, False)


def test_another_promotion_begins_another_canary() -> None:
    first = begun()
    for moment in (START, after(0.1), after(100)):
        other = advance(first, scene(active=6), moment)
        assert triggers(other) == ["SUPERSEDED", "BEGUN"]
        assert other.canary is not None
        assert (other.canary.version, other.canary.step) == (6, 0)
        assert other.canary.since != first.since, "gateways count by it"


def test_promotion_and_roll_back_crossing() -> None:
    back = advance(begun(), scene(active=3), after(0.05))
    assert (triggers(back), back.takes_over, back.canary) == (["SUPERSEDED", "SKIPPED"], True, None)


def test_a_pause_holds_the_step_and_its_time_goes_on() -> None:
    status = begun()
    paused = advance(status, scene(rollout=rollout(paused=True)), after(10)).canary
    assert brief(paused) == ("Paused", 0, 5)
    assert advance(paused, scene(rollout=rollout(paused=True)), after(9999)).canary == paused
    resumed = advance(paused, SCENE, after(20)).canary
    assert resumed is not None
    assert (brief(resumed), resumed.since) == (("Progressing", 0, 5), status.since)
    assert triggers(advance(paused, SCENE, after(400))) == ["RESUMED", "STEP_OVER"]


def test_a_step_without_duration_stays() -> None:
    endless = scene(rollout=rollout(steps=[{"weight": 20}]))
    course = advance(None, endless, START)
    assert triggers(course) == ["BEGUN", "PAUSED"]
    assert advance(course.canary, endless, after(10**6)).passed == ()
    assert "until spec.rollout.skipStepsFor is 5" in (course.canary.message if course.canary else "")


def test_a_step_waits_for_its_requests() -> None:
    status = begun(JUDGED)
    late = advance(status, counted(JUDGED, status, 49), after(5000))
    assert brief(late.canary) == ("Progressing", 0, 5)
    assert late.canary is not None
    assert "time is over, and it waits for 50 requests" in late.canary.message
    assert advance(status, JUDGED, after(5000)).canary == late.canary, "gateways that have not told yet are no figures"
    assert triggers(advance(late.canary, counted(JUDGED, status, 50), after(5001))) == ["STEP_OVER"]


def test_looks_are_recorded_and_nothing_between_them() -> None:
    status = begun(JUDGED)
    assert advance(status, counted(JUDGED, status, 40), after(1)).canary == status
    first = advance(status, counted(JUDGED, status, 60, 1), after(2)).canary
    assert first is not None
    assert first.canary is not None
    assert (first.canary.requests, first.canary.errors) == (60, 1)
    assert advance(first, counted(JUDGED, status, 99, 9), after(3)).canary == first
    second = advance(first, counted(JUDGED, status, 101, 1), after(4)).canary
    assert second != first


def test_worse_takes_it_back_and_it_stays_so() -> None:
    status = begun(JUDGED)
    course = advance(status, counted(JUDGED, status, 50, 20), after(5))
    worse = course.canary
    assert worse is not None
    assert (triggers(course), brief(worse)) == (["WORSE"], ("RolledBack", 0, 0))
    assert worse.message.startswith("20 of 50 requests failed")
    assert advance(worse, JUDGED, after(10**6)) == Course(worse)
    for fields in ({"paused": True}, {"skipStepsFor": 4}):
        assert advance(worse, scene(rollout=rollout(analysis=ANALYSIS, **fields)), after(9)) == Course(worse)


def test_a_paused_canary_is_taken_back_all_the_same() -> None:
    paused = scene(rollout=rollout(analysis=ANALYSIS, paused=True))
    status = begun(paused)
    assert status.state == "Paused"
    assert brief(advance(status, counted(paused, status, 50, 20), after(5)).canary) == ("RolledBack", 0, 0)


def test_the_end_of_a_step_looks_with_what_there_is() -> None:
    """Errors that the looks before were too strict for."""
    status = begun(JUDGED)
    some = counted(JUDGED, status, 100, 11)
    looked = advance(status, some, after(5)).canary
    assert brief(looked) == ("Progressing", 0, 5)
    assert brief(advance(looked, some, after(300)).canary) == ("RolledBack", 0, 0)


def test_a_changed_rollout_begins_it_anew() -> None:
    status = begun(JUDGED)
    second = advance(status, counted(JUDGED, status, 50), after(300)).canary
    worse = advance(status, counted(JUDGED, status, 50, 30), after(5)).canary
    changed = scene(rollout=rollout(analysis={**ANALYSIS, "maxErrorRate": 0.9}))
    for former in (second, worse):
        course = advance(former, changed, after(400))
        assert triggers(course) == ["CHANGED", "BEGUN"]
        assert brief(course.canary) == ("Progressing", 0, 5)


def test_steps_taken_away_mean_at_once() -> None:
    assert advance(begun(), scene(rollout=AdapterRollout()), after(1)).takes_over
    waiting = advance(begun(), scene(rollout=AdapterRollout(), ready=False), after(1))
    assert waiting.passed == ()


def test_without_pods_it_gets_nothing_and_its_step_begins_anew() -> None:
    status = begun()
    lost = advance(status, scene(held=False, ready=False), after(200))
    assert (triggers(lost), brief(lost.canary)) == (["LOST"], ("Waiting", 0, 0))
    assert advance(lost.canary, scene(held=False, ready=False), after(10**6)).passed == ()
    found = advance(lost.canary, SCENE, after(10**6))
    assert (triggers(found), brief(found.canary)) == (["FOUND"], ("Progressing", 0, 5))
    assert advance(found.canary, SCENE, after(10**6 + 299)).passed == ()


def test_a_new_leader_takes_nothing_from_pods_that_it_has_not_heard() -> None:
    status = begun()
    unheard = scene(held=None, ready=False)
    assert advance(status, unheard, after(100)) == Course(status)
    assert advance(status, unheard, after(9999)).passed == (), "and no step ends unseen"


def test_it_takes_over_when_every_engine_holds_it() -> None:
    last = begun().model_copy(update={"step": 1, "weight": 50})
    assert advance(last, scene(ready=False), after(9999)).passed == ()
    assert advance(last, SCENE, after(9999)).takes_over


def test_nothing_is_taken_back_to_a_version_that_answers_nowhere() -> None:
    alone = replace(JUDGED, serving_answers=False)
    status = begun(alone)
    looked = advance(status, counted(alone, status, 50, 40), after(5))
    assert triggers(looked) == ["LOOKED"]
    assert advance(looked.canary, counted(alone, status, 50, 40), after(999)).passed == (), "nor does it go on"
    again = advance(looked.canary, counted(JUDGED, status, 50, 40), after(1000))
    assert triggers(again) == ["WORSE"]


def test_a_clock_that_jumps_ahead_ends_one_step_at_most() -> None:
    far = after(10**7)
    second = advance(begun(), SCENE, far)
    assert brief(second.canary) == ("Progressing", 1, 50)
    assert advance(second.canary, SCENE, far).passed == ()


def test_a_clock_that_is_put_back_neither_ends_a_step_nor_holds_it_for_ever() -> None:
    status = begun(now=after(10**7))
    just = parse_time(status.since) - timedelta(seconds=REWOUND_SECONDS)
    assert advance(status, SCENE, just).canary == status, "clocks of two machines may differ"
    course = advance(status, SCENE, START)
    assert triggers(course) == ["REWOUND"]
    assert brief(course.canary) == ("Progressing", 0, 5)
    assert advance(course.canary, SCENE, after(299)).passed == ()
    assert triggers(advance(course.canary, SCENE, after(300))) == ["STEP_OVER"]


def test_a_step_that_begins_within_a_second_is_no_shorter() -> None:
    status = begun(now=after(0.4))
    assert parse_time(status.since) == after(1)
    assert advance(status, SCENE, after(300.9)).passed == ()


def test_when_to_decide_again() -> None:
    status = begun()
    assert requeue_after(status, SCENE.rollout, after(100)) == 200
    assert requeue_after(status, SCENE.rollout, after(301)) is None, "it waits for something that is an event"
    assert requeue_after(None, SCENE.rollout, START) is None
    judged = begun(JUDGED)
    assert requeue_after(judged, JUDGED.rollout, after(1)) == LONG_POLL_SECONDS
    assert requeue_after(judged, JUDGED.rollout, after(298)) == 2


def test_the_message_says_where_it_stands() -> None:
    status = begun(JUDGED)
    assert status.message == (
        "version 5 gets 5 % since 2026-11-21T12:00:00Z, step 1 of 2; it is looked at after 50 requests"
    )
    looked = advance(status, counted(JUDGED, status, 64, 1), after(9)).canary
    assert looked is not None
    assert "at the last look 64 requests, 1 error; the serving version 1280 requests, 1 error" in looked.message


ROLLOUTS: list[dict[str, Any]] = [
    {},
    {"analysis": ANALYSIS},
    {"paused": True},
    {"skipStepsFor": 5},
    {"steps": []},
    {"steps": [{"weight": 10}]},
    {"steps": STEPS[:1], "analysis": ANALYSIS},
]
MOMENTS = st.floats(-5000, 5000).map(lambda s: START.astimezone(UTC) + timedelta(seconds=s))
SCENES = st.builds(
    Scene,
    active=st.integers(3, 6),
    serving=st.sampled_from((4, 4, 4, None, 5)),
    rollout=st.sampled_from([rollout(**fields) for fields in ROLLOUTS]),
    ready=st.booleans(),
    held=st.sampled_from((True, False, None)),
    serving_answers=st.booleans(),
)
COUNTS = st.tuples(st.integers(0, 400), st.integers(0, 100))


@given(st.lists(st.tuples(SCENES, MOMENTS, COUNTS), max_size=25))
@settings(deadline=None)
def test_any_history_keeps_to_the_table(history: list[tuple[Scene, datetime, tuple[int, int]]]) -> None:
    status: CanaryStatus | None = None
    for at, moment, (requests, errors) in history:
        if status:
            at = counted(at, status, requests, min(errors, requests))
        course = advance(status, at, moment)
        for passage in course.passed:
            former = passage.before.state if passage.before else None
            assert TRANSITIONS[former, passage.trigger] == (passage.after.state if passage.after else None)
        assert course.takes_over <= at.ready
        status = course.canary
        if status:
            assert CanaryStatus.read(status.dump()) == status, "what a restart reads is what was decided"
            assert (status.weight > 0) == (status.state in ("Progressing", "Paused"))
            assert status.version == at.active != at.serving
        if not course.takes_over:
            assert advance(status, at, moment) == Course(status), "deciding again changes nothing"
