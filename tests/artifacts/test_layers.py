"""Which layers and experts an adapter covers."""

import pytest

from tunefleet.artifacts.layers import incomplete_experts, layer_count, missing_in_layers

Q, V = "model.layers.{}.self_attn.q_proj", "model.layers.{}.self_attn.v_proj"


def paths(pattern: str, layers: list[int]) -> list[str]:
    return [pattern.format(layer) for layer in layers]


def test_layers_are_counted_by_the_highest_index() -> None:
    assert layer_count(paths(Q, [0, 3])) == 4
    assert layer_count(["lm_head"]) == 0


@pytest.mark.parametrize(
    ("modules", "missing"),
    [
        (paths(Q, [0, 1, 2]) + paths(V, [0, 1, 2]), []),
        (paths(Q, [0, 1, 2]) + paths(V, [0, 1]), ["model.layers.*.self_attn.v_proj in layer 2"]),
        (paths(Q, [1, 2]), ["model.layers.*.self_attn.q_proj in layer 0"]),
        (paths(Q, [0, 2]), ["model.layers.*.self_attn.q_proj in layer 1"]),
        (["lm_head"], []),
        (paths("model.layers.0.mlp.experts.{}.up_proj", [0, 1]), []),
    ],
)
def test_layers_that_lack_a_kind_of_module(modules: list[str], missing: list[str]) -> None:
    assert list(missing_in_layers(modules)) == missing


@pytest.mark.parametrize(
    ("modules", "incomplete"),
    [
        (["up", "down"], False),
        (["up"], False),
    ],
)
def test_experts_that_are_alike(modules: list[str], incomplete: bool) -> None:
    found = [f"model.layers.0.mlp.experts.{e}.{m}" for e in range(3) for m in modules]
    assert bool(list(incomplete_experts(found))) == incomplete
    assert list(incomplete_experts(found[:-1])) == ([] if len(modules) == 1 else ["model.layers.0.mlp"])
    assert list(incomplete_experts(found[len(modules) :])) == ["model.layers.0.mlp"]
