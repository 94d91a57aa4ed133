"""An answer is computed once for facts that are the same, and never taken for one about others."""

from dataclasses import replace
from datetime import timedelta

from tests.plan.fleet import SETTINGS, START, lora_adapter
from tunefleet.plan.facts import Facts, Key
from tunefleet.plan.same_facts import SameFacts, Timed

FACTS = Facts(SETTINGS, adapters={Key("ml", n): lora_adapter(n) for n in ("a", "b")})


class Counting:
    """Answers with the number of times that it was asked."""

    def __init__(self, seconds: float | None = None) -> None:
        self.seconds = seconds
        self.asked = 0

    def __call__(self) -> Timed[int]:
        self.asked += 1
        return Timed(self.asked, self.seconds)


def test_other_facts_with_the_same_objects_have_the_same_answer() -> None:
    kept: SameFacts[int] = SameFacts()
    compute = Counting()
    assert kept.ask(FACTS, "x", START, compute) == 1
    assert kept.ask(replace(FACTS, adapters=dict(FACTS.adapters)), "x", START + timedelta(days=1), compute) == 1
    assert kept.ask(FACTS, "y", START, compute) == 2


def test_any_new_object_makes_it_void_also_an_equal_one() -> None:
    kept: SameFacts[int] = SameFacts()
    compute = Counting()
    kept.ask(FACTS, "x", START, compute)
    changed = replace(FACTS, adapters={**FACTS.adapters, Key("ml", "b"): lora_adapter("b")})
    assert kept.ask(changed, "x", START, compute) == 2
    assert kept.ask(replace(changed, gateways={Key("s", "g"): None}), "x", START, compute) == 3
    assert kept.ask(changed, "x", START, compute) == 4


def test_time_makes_it_void_when_it_said_so() -> None:
    kept: SameFacts[int] = SameFacts()
    compute = Counting(seconds=10)
    kept.ask(FACTS, "x", START, compute)
    assert kept.ask(FACTS, "x", START + timedelta(seconds=9), compute) == 1
    assert kept.ask(FACTS, "x", START + timedelta(seconds=10), compute) == 2
    assert kept.ask(FACTS, "x", START, compute) == 3, "the clock was put back"
