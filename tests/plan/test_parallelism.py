"""How many GPUs share a replica."""

from typing import Any

import pytest

from tests.plan.fleet import ARCHITECTURE
from tunefleet.plan.facts import Node
from tunefleet.plan.parallelism import (
    MEMORY_LABEL,
    PRODUCT_LABEL,
    REGION_LABEL,
    Demand,
    choose,
    fewest,
    tensor_sizes,
)

GIB = 1 << 30
LLAMA_70B = ARCHITECTURE.model_copy(update={"weight_bytes": 140 * GIB, "attention_heads": 64, "kv_heads": 8})
SMALL = ARCHITECTURE.model_copy(update={"weight_bytes": 16 * GIB, "attention_heads": 32, "kv_heads": 8})
GPU = Demand("nvidia.com/gpu")


def node(name: str, product: str, memory_gib: int, gpus: int, region: str = "", **more: Any) -> Node:
    labels = {PRODUCT_LABEL: product, MEMORY_LABEL: str(memory_gib * 1024)}
    if region:
        labels[REGION_LABEL] = region
    return Node(name, labels, {"nvidia.com/gpu": str(gpus)}, **more)


H100 = node("a", "H100", 80, 8, "eu")
A10 = node("b", "A10", 24, 1, "us")


def test_the_fewest_gpus_that_leave_room() -> None:
    chosen = choose(LLAMA_70B, GPU, [H100])
    assert (chosen.tensor, chosen.products) == (4, ("H100",)), "two of 80 GiB hold the weights and little else"
    assert "140.0 GiB of weights over 4 GPU(s)" in chosen.why


def test_products_on_which_the_number_is_too_small_are_left_out() -> None:
    chosen = choose(SMALL, GPU, [A10, H100])
    assert (chosen.tensor, chosen.products) == (1, ("A10", "H100"))
    bigger = SMALL.model_copy(update={"weight_bytes": 20 * GIB})
    chosen = choose(bigger, GPU, [A10, H100])
    assert (chosen.tensor, chosen.products) == (1, ("H100",))


@pytest.mark.parametrize(
    "demand",
    [Demand("nvidia.com/gpu", products=("A10",)), Demand("nvidia.com/gpu", regions=("us",))],
    ids=["product", "region"],
)
def test_only_nodes_that_the_spec_allows_count(demand: Demand) -> None:
    assert choose(SMALL, demand, [A10, H100]).products == ("A10",)


def test_too_large_for_every_node_asks_for_what_would_do() -> None:
    chosen = choose(LLAMA_70B, GPU, [A10])
    assert chosen.tensor * 24 * 0.92 * 0.8 >= 140
    assert "the largest node has 1" in chosen.why


@pytest.mark.parametrize(
    "nodes",
    [[], [Node("plain", {}, {"nvidia.com/gpu": "8"})], [node("c", "H100", 80, 8, schedulable=False)]],
    ids=["none", "unlabelled", "cordoned"],
)
def test_unknown_nodes_mean_one_gpu_and_say_so(nodes: list[Node]) -> None:
    chosen = choose(LLAMA_70B, GPU, nodes)
    assert chosen.tensor == 1
    assert "set spec.parallelism.tensor" in chosen.why


def test_pipeline_stages_share_the_weights_and_need_gpus_of_one_node() -> None:
    two_stages = Demand("nvidia.com/gpu", pipeline=2)
    assert choose(LLAMA_70B, two_stages, [H100]).tensor == 2


def test_tensor_sizes_divide_heads_and_go_with_kv_heads() -> None:
    assert list(tensor_sizes(LLAMA_70B)) == [1, 2, 4, 8, 16, 32, 64]
    odd = ARCHITECTURE.model_copy(update={"attention_heads": 12, "kv_heads": 3})
    assert list(tensor_sizes(odd)) == [1]


def test_no_allowed_number_is_enough() -> None:
    assert fewest(LLAMA_70B.model_copy(update={"attention_heads": 3, "kv_heads": 3}), 80 * GIB, 1) == 0


def test_the_order_of_nodes_does_not_matter() -> None:
    assert choose(SMALL, GPU, [A10, H100]) == choose(SMALL, GPU, [H100, A10])
