"""Which layers and experts an adapter's tensors cover, from the paths of its modules."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator

from .tensor_names import expert_index, layer_index, module_pattern


def layer_count(modules: Iterable[str]) -> int:
    """The highest layer index plus one; 0 when nothing lies in a layer."""
    return max((index + 1 for path in modules if (index := layer_index(path)) is not None), default=0)


def missing_in_layers(modules: Collection[str]) -> Iterator[str]:
    """Kinds of modules that are adapted in some layers and not in others below the highest, with the first such layer.

    Says nothing of experts, see `incomplete_experts`.
    """
    layers: defaultdict[str, set[int]] = defaultdict(set)
    for path in modules:
        if (layer := layer_index(path)) is not None and expert_index(path) is None:
            layers[module_pattern(path)].add(layer)
    count = layer_count(modules)
    for pattern, present in sorted(layers.items()):
        absent = next((layer for layer in range(len(present)) if layer not in present), len(present))
        if absent < count:
            yield f"{pattern} in layer {absent}"


def incomplete_experts(modules: Iterable[str]) -> Iterator[str]:
    """Mixtures (paths up to their experts) of which some expert lacks a tensor that another one has."""
    experts: defaultdict[str, defaultdict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    for path in modules:
        if (index := expert_index(path)) is not None:
            mixture, _, rest = path.partition(f".experts.{index}.")
            experts[mixture][index].add(rest)
    for mixture, held in sorted(experts.items()):
        kinds = list(held.values())
        if len(held) <= max(held) or any(kind != kinds[0] for kind in kinds):
            yield mixture
