"""How many GPUs share one replica, from the labels of the nodes there are.

The rule: weights split evenly over the GPUs, and at least a fifth of what vLLM may use of each GPU must stay for
KV cache, adapter slots, activations and CUDA graphs. It is coarse on purpose; what it chose and why stands in
status.plan.why, and spec.parallelism.tensor overrides it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tunefleet.api.base_model import Architecture

from .facts import Node

PRODUCT_LABEL = "nvidia.com/gpu.product"
MEMORY_LABEL = "nvidia.com/gpu.memory"
"""MiB of one GPU, written by NVIDIA's GPU Feature Discovery."""
REGION_LABEL = "topology.kubernetes.io/region"

UTILISATION = 0.92
"""vLLM's default --gpu-memory-utilization (0.32)."""
WEIGHTS_SHARE = 0.8
"""Of what vLLM may use of a GPU, the most that weights may take."""
MAX_TENSOR = 64
_MIB = 1 << 20


@dataclass(frozen=True)
class Demand:
    """What a replica asks of nodes."""

    resource_name: str
    products: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    pipeline: int = 1


@dataclass(frozen=True)
class Offering:
    """One GPU product among the nodes."""

    product: str
    memory_bytes: int
    """Of one GPU."""
    most: int
    """GPUs of the node that has most of them."""


@dataclass(frozen=True)
class Parallelism:
    """GPUs that share every layer, and the products on which that number fits (empty: any)."""

    tensor: int
    products: tuple[str, ...]
    why: str


def choose(architecture: Architecture, demand: Demand, nodes: Iterable[Node]) -> Parallelism:
    """The fewest GPUs, a power of two that divides the heads, whose shares of the weights leave room."""
    offered = offerings(demand, nodes)
    if not offered:
        return Parallelism(1, demand.products, _nothing_known(demand))
    needs = {o.product: fewest(architecture, o.memory_bytes, demand.pipeline) for o in offered}
    fitting = [o for o in offered if 0 < needs[o.product] * demand.pipeline <= o.most]
    if not fitting:
        return _beyond(architecture, demand, offered, needs)
    tensor = min(needs[o.product] for o in fitting)
    products = tuple(sorted(o.product for o in fitting if needs[o.product] <= tensor))
    return Parallelism(tensor, products, _chosen(architecture, tensor, products))


def offerings(demand: Demand, nodes: Iterable[Node]) -> Sequence[Offering]:
    """Products with known memory on nodes that the demand allows, by name; of one, the smallest memory."""
    memory: dict[str, list[int]] = defaultdict(list)
    most: dict[str, int] = defaultdict(int)
    for node in nodes:
        for product, bytes_, count in _gpus(node, demand):
            memory[product].append(bytes_)
            most[product] = max(most[product], count)
    return [Offering(product, min(memory[product]), most[product]) for product in sorted(memory)]


def fewest(architecture: Architecture, memory_bytes: int, pipeline: int) -> int:
    """The fewest GPUs of this size that hold the weights; 0 when no allowed number does."""
    room = memory_bytes * UTILISATION * WEIGHTS_SHARE
    allowed = (t for t in tensor_sizes(architecture) if architecture.weight_bytes / (t * pipeline) <= room)
    return next(allowed, 0)


def tensor_sizes(architecture: Architecture) -> Iterator[int]:
    """Powers of two that divide the query heads and go evenly with the KV heads (vLLM's own conditions)."""
    size = 1
    while size <= MAX_TENSOR:
        heads_split = architecture.attention_heads % size == 0
        if heads_split and (architecture.kv_heads % size == 0 or size % architecture.kv_heads == 0):
            yield size
        size *= 2


def _gpus(node: Node, demand: Demand) -> Iterator[tuple[str, int, int]]:
    labels = node.labels
    count = int(node.allocatable.get(demand.resource_name, "0"))
    product, memory = labels.get(PRODUCT_LABEL, ""), labels.get(MEMORY_LABEL, "")
    if count == 0 or not node.schedulable or not memory.isdigit():
        return
    if demand.products and product not in demand.products:
        return
    if demand.regions and labels.get(REGION_LABEL) not in demand.regions:
        return
    yield product, int(memory) * _MIB, count


def _beyond(
    architecture: Architecture, demand: Demand, offered: Sequence[Offering], needs: Mapping[str, int]
) -> Parallelism:
    """No node has enough: ask for what would do on the roomiest product, and let the scheduler say what is missing."""
    roomiest = max(offered, key=lambda o: (o.memory_bytes, o.product))
    tensor = needs[roomiest.product] or max(tensor_sizes(architecture))
    return Parallelism(
        tensor,
        demand.products or (roomiest.product,),
        f"no node has enough GPUs for {_gib(architecture.weight_bytes)} GiB of weights; on {roomiest.product} "
        f"{tensor * demand.pipeline} would do and the largest node has {roomiest.most}",
    )


def _nothing_known(demand: Demand) -> str:
    return (
        f"no node that offers {demand.resource_name} and suits the endpoint has the label {MEMORY_LABEL}; "
        "one GPU assumed, set spec.parallelism.tensor if that is too few"
    )


def _chosen(architecture: Architecture, tensor: int, products: Sequence[str]) -> str:
    return (
        f"tensor {tensor}: {_gib(architecture.weight_bytes)} GiB of weights over {tensor} GPU(s) leave room on "
        f"{', '.join(products) or 'unnamed GPUs'}"
    )


def _gib(bytes_: int) -> str:
    return f"{bytes_ / (1 << 30):.1f}"
