"""The table of revisions' states, and what follows from it."""

import re
from datetime import timedelta

from tests.plan.fleet import START
from tunefleet.api.inference_endpoint import RevisionState
from tunefleet.plan import rollout
from tunefleet.plan.rollout import DRAIN_SECONDS, MAX_WARM, TRANSITIONS, Candidate, Step, advance, expiry
from tunefleet.plan.times import rfc3339

NOW = START + timedelta(hours=1)
KEEP_WARM = 300


def candidate(name: str, state: RevisionState | None, age: float = 0, **more: bool) -> Candidate:
    since = rfc3339(NOW - timedelta(seconds=age)) if state else ""
    return Candidate(name, state, since, **{"can_serve": False, "answers": False, **more})


def states(candidates: list[Candidate], wanted: str | None) -> dict[str, RevisionState | None]:
    return {step.name: step.state for step in advance(candidates, wanted, KEEP_WARM, NOW)}


def test_the_documented_table_is_the_one_that_runs() -> None:
    rows = re.findall(r"^\| (\w+) \| (\w+) \| (\w+) \|$", rollout.__doc__ or "", re.MULTILINE)[1:]
    documented = {(state, trigger): None if following == "Gone" else following for state, trigger, following in rows}
    assert documented == {(state, trigger.value): following for (state, trigger), following in TRANSITIONS.items()}


def test_a_new_revision_waits_until_it_can_serve() -> None:
    old = candidate("old", "Serving", answers=True)
    assert states([old, candidate("new", "Progressing")], "new") == {"old": "Serving", "new": "Progressing"}


def test_taking_over_and_stepping_back_are_one_step() -> None:
    old = candidate("old", "Serving", answers=True)
    new = candidate("new", "Progressing", can_serve=True, answers=True)
    assert states([old, new], "new") == {"old": "Warm", "new": "Serving"}


def test_going_back_to_a_warm_revision_is_immediate() -> None:
    old = candidate("old", "Warm", age=10, can_serve=True, answers=True)
    new = candidate("new", "Serving", answers=True)
    assert states([old, new], "old") == {"old": "Serving", "new": "Warm"}


def test_going_back_while_the_new_one_still_starts() -> None:
    old = candidate("old", "Serving", answers=True)
    assert states([old, candidate("new", "Progressing")], "old") == {"old": "Serving", "new": None}


def test_a_warm_revision_drains_when_its_time_is_over_and_then_goes() -> None:
    new = candidate("new", "Serving", answers=True)
    assert states([new, candidate("old", "Warm", age=KEEP_WARM)], "new")["old"] == "Draining"
    assert states([new, candidate("old", "Warm", age=KEEP_WARM - 1)], "new")["old"] == "Warm"
    assert states([new, candidate("old", "Draining", age=DRAIN_SECONDS - 1)], "new")["old"] == "Draining"
    assert states([new, candidate("old", "Draining", age=DRAIN_SECONDS)], "new")["old"] is None


def test_a_revision_that_adapters_depend_on_stays() -> None:
    new = candidate("new", "Serving", answers=True)
    assert states([new, candidate("old", "Warm", age=9999, pinned=True)], "new")["old"] == "Warm"
    assert states([new, candidate("old", "Draining", age=9999, pinned=True)], "new")["old"] == "Warm"


def test_only_so_many_former_revisions_are_kept() -> None:
    warm = [candidate(f"old-{age}", "Warm", age=age) for age in range(10, 10 + MAX_WARM + 2)]
    steps = states([candidate("new", "Serving", answers=True), *warm], "new")
    drained = {name for name, state in steps.items() if state == "Draining"}
    assert drained == {f"old-{10 + MAX_WARM}", f"old-{11 + MAX_WARM}"}, "the oldest go first"


def test_nothing_wanted_changes_nothing_that_serves() -> None:
    serving, starting = candidate("a", "Serving", answers=True), candidate("b", "Progressing")
    assert states([serving, starting], None) == {"a": "Serving", "b": "Progressing"}


def test_a_broken_wanted_revision_is_not_replaced_behind_the_users_back() -> None:
    wanted = candidate("wanted", "Serving")
    warm = candidate("warm", "Warm", answers=True)
    assert states([wanted, warm], "wanted") == {"wanted": "Serving", "warm": "Warm"}


def test_a_lost_status_takes_nothing_from_clients() -> None:
    running = candidate("running", None, answers=True)
    wanted = candidate("wanted", None)
    assert states([running, wanted], "wanted") == {"running": "Serving", "wanted": "Progressing"}


def test_the_time_of_a_state_is_that_of_its_beginning() -> None:
    warm = candidate("old", "Warm", age=10)
    (step, _) = advance([warm, candidate("new", "Serving", answers=True)], "new", KEEP_WARM, NOW)
    assert step.since == warm.since


def test_the_next_expiry() -> None:
    steps = [
        Step("serving", "Serving", rfc3339(NOW)),
        Step("warm", "Warm", rfc3339(NOW - timedelta(seconds=KEEP_WARM - 50))),
        Step("draining", "Draining", rfc3339(NOW - timedelta(seconds=DRAIN_SECONDS - 20))),
        Step("pinned", "Warm", rfc3339(NOW - timedelta(seconds=KEEP_WARM + 50))),
    ]
    assert expiry(steps, KEEP_WARM, NOW) == 20
    assert expiry(steps[:1], KEEP_WARM, NOW) is None
