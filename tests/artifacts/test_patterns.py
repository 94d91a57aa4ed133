"""Keys of rank_pattern: PEFT's rule, in bounded time."""

import pytest

from tunefleet.artifacts.patterns import MAX_COST, MAX_PATTERNS, PatternError, compile_patterns

Q = "model.layers.1.self_attn.q_proj"


@pytest.mark.parametrize(
    ("key", "matches"),
    [
        ("q_proj", True),
        ("self_attn.q_proj", True),
        (Q, True),
        (r".*\.q_proj", True),
        (r"layers\.\d+\.self_attn\.(q|v)_proj", True),
        ("^model.layers.(0|1).self_attn.q_proj", True),
        ("proj", False),
        ("layers.1", False),
    ],
)
def test_a_key_matches_a_whole_path_or_its_end_from_a_dot_on(key: str, matches: bool) -> None:
    assert compile_patterns({key: 4}).first(Q, 8) == (4 if matches else 8)


def test_the_first_key_wins() -> None:
    assert compile_patterns({"v_proj": 1, "q_proj": 2, ".*": 3}).first(Q, 8) == 2


@pytest.mark.parametrize(
    "key",
    [
        "(a+)+",
        "(a|aa)" * 20,
        "a?" * 30,
        ".*.*.*.*",
        "(?i)q_proj",
        "(?=q)",
        r"(q)\1",
        "[[a]]",
        "[a--b]",
        "",
        "(",
        "a)|(b",
        "a" * 300,
        "|".join("abcdefghijklmnopqrstuvwxyz" * 2),
    ],
)
def test_keys_that_could_take_long_or_mean_something_else_to_the_engine(key: str) -> None:
    with pytest.raises(PatternError):
        compile_patterns({key: 4})


def test_too_many_keys() -> None:
    with pytest.raises(PatternError):
        compile_patterns({f"m{n}": 1 for n in range(MAX_PATTERNS + 1)})


def test_the_cost_grows_with_modules_patterns_and_wildness() -> None:
    modules = [Q] * 560
    named = compile_patterns({f"model.layers.{n}.self_attn.q_proj": 4 for n in range(560)})
    wild = compile_patterns({".*layers.*(q|v)_proj": 4})
    assert named.cost(modules) <= MAX_COST
    assert wild.cost(modules) <= MAX_COST
    assert compile_patterns({f".*{n}.*x": 4 for n in range(64)}).cost(modules * 40) > MAX_COST
