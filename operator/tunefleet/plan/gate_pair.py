"""Checks of an adapter against a base: shapes decide, not names. In the order of `gate.AGAINST_BASE`."""

from tunefleet.api.base_model import Architecture
from tunefleet.api.conditions import Reason
from tunefleet.engine.lora_architectures import WITH_EMBEDDINGS, WITH_INPUT_EMBEDDING, WITHOUT_LORA

from .candidate import Pair, names
from .finding import Finding
from .gate_paths import in_tower

_EXPERTS = ".experts.*."
INPUT_EMBEDDINGS = frozenset({"embed_tokens", "wte", "word_embeddings", "tok_embeddings"})
OUTPUT_HEADS = frozenset({"lm_head", "output", "embed_out"})
"""Last parts of paths."""
LIKE_LAYERS = frozenset(
    {
        "GemmaForCausalLM",
        "Gemma2ForCausalLM",
        "Gemma3ForCausalLM",
        "GraniteForCausalLM",
        "LlamaForCausalLM",
        "MistralForCausalLM",
        "Olmo2ForCausalLM",
        "Phi3ForCausalLM",
        "Qwen2ForCausalLM",
        "Qwen3ForCausalLM",
    }
)
"""Architectures whose layers all have the same modules. Elsewhere a layer may lack a module by design."""
LARGEST = {"float16": 65504.0}
"""Largest finite value by dtype of the base; bfloat16 and float32 reach LARGEST_BFLOAT16."""
LARGEST_BFLOAT16 = 3.3895313892515355e38


def base_takes_adapters(candidate: Pair) -> Finding | None:
    """The engine must have the architecture's modules replaced by adaptable ones, and their shapes must be known."""
    base = candidate.base
    if base.class_name in WITHOUT_LORA:
        return Finding(
            Reason.ARCHITECTURE_UNSUPPORTED,
            f"The engine carries no adapters on {base.class_name}; use a base of another architecture, or merge the "
            "adapter into the base and serve that.",
        )
    if not any("*" in module for module in base.modules):
        return Finding(
            Reason.MODULE_UNSUPPORTED,
            f"The base's weights are packed ({base.quantization or 'unknown quantization'}), so no adapter can be "
            "checked against it; use a base whose weights are not packed.",
        )
    return None


def some_module_is_known(candidate: Pair) -> Finding | None:
    """No module at all in common: the adapter is of another architecture, or its paths are of another class."""
    base, modules = candidate.base.modules, candidate.adapter.modules
    known = any(module in base for module in modules)
    if known or not modules or all(in_tower(module) for module in modules):
        return None
    return _wrong_base(candidate, f"it adapts {names(tuple(sorted(modules)))} and the base has none of these")


def modules_fit(candidate: Pair) -> Finding | None:
    """A module that the base has must have the base's inputs and outputs."""
    base = candidate.base.modules
    for module, shape in sorted(candidate.adapter.modules.items()):
        if module in base and tuple(base[module]) != tuple(shape):
            return _wrong_base(
                candidate, f"{module} is {shape[0]} x {shape[1]} in the adapter and "
                f"{base[module][0]} x {base[module][1]} in the base"
            )  # fmt: skip
    if mixed := candidate.adapter.mixed_modules:
        return _wrong_base(candidate, f"{names(mixed)} has different sizes in different layers")
    return None


def modules_are_supported(candidate: Pair) -> Finding | None:
    """Every adapted module must exist in the base, by its whole path, and be one that the engine adapts."""
    base = candidate.base
    modules = sorted(candidate.adapter.modules)
    if towers := tuple(module for module in modules if in_tower(module)):
        return Finding(
            Reason.MODULE_UNSUPPORTED,
            f"The engine adapts the language model alone, not {names(towers)}; train the adapter without it.",
        )
    if unknown := tuple(module for module in modules if module not in base.modules):
        return Finding(
            Reason.MODULE_UNSUPPORTED,
            f"The base has no module {names(unknown)}; train the adapter on what the base has: "
            f"{names(tuple(sorted(base.modules)), at_most=12)}.",
        )
    if embeddings := tuple(module for module in modules if not _embedding_is_adaptable(module, base.class_name)):
        return Finding(
            Reason.MODULE_UNSUPPORTED,
            f"The engine cannot adapt {names(embeddings)} of {base.class_name}; train the adapter without it.",
        )
    return None


def layers_exist(candidate: Pair) -> Finding | None:
    """The engine passes over tensors of layers that the base does not have."""
    if candidate.adapter.layers <= candidate.base.layers:
        return None
    return _wrong_base(
        candidate, f"it has tensors for {candidate.adapter.layers} layers and the base has {candidate.base.layers}"
    )


def experts_are_whole(candidate: Pair) -> Finding | None:
    """The engine stacks the tensors of all experts of a layer: none may be missing."""
    adapter, base = candidate.adapter, candidate.base
    if adapter.experts == 0:
        return None
    if adapter.experts > (base.experts or 0):
        return _wrong_base(candidate, f"it has tensors for {adapter.experts} experts and the base has {base.experts}")
    if adapter.experts < (base.experts or 0) or adapter.incomplete_experts or _missing_projections(candidate):
        return Finding(
            Reason.MODULE_UNSUPPORTED,
            f"The engine adapts all projections of all {base.experts} experts of a layer or none, and some have no "
            "tensors; train the adapter on all of them, or on none.",
        )
    return None


def every_layer_is_adapted(candidate: Pair) -> Finding | None:
    """PEFT adapts the listed modules of every layer: where one has none, tensors were lost or the base had fewer."""
    adapter, base = candidate.adapter, candidate.base
    if base.class_name not in LIKE_LAYERS or not adapter.every_layer or adapter.layers == 0:
        return None
    if missing := adapter.missing_in_layers:
        return Finding(
            Reason.WEIGHTS_INVALID,
            f"The adapter has no tensors of {names(missing)}; some were lost, save it again, or set "
            "layers_to_transform when it was trained so.",
        )
    if adapter.layers < base.layers:
        return _wrong_base(
            candidate, f"it has tensors for the first {adapter.layers} layers and the base has {base.layers}"
        )
    return None


def vocabulary_is_the_bases(candidate: Pair) -> Finding | None:
    """An embedding that PEFT saved beside the adapter is passed over; another size means that tokens were added."""
    rows, vocabulary = candidate.adapter.vocabulary, _vocabulary(candidate.base)
    if rows is None or rows == vocabulary:
        return None
    return _wrong_base(
        candidate,
        f"it was trained with a vocabulary of {rows} tokens and the base has {vocabulary}, and the engine passes over "
        "the embedding that was saved with it",
    )


def values_fit_the_dtype(candidate: Pair) -> Finding | None:
    """The engine turns A, and B times its scaling, into the base's dtype."""
    limit = LARGEST.get(candidate.base.dtype, LARGEST_BFLOAT16)
    if candidate.adapter.largest <= limit:
        return None
    return Finding(
        Reason.NOT_FINITE,
        f"A scaled weight of {candidate.adapter.largest:.3g} becomes infinite in {candidate.base.dtype}; "
        "check lora_alpha, or train again.",
    )


def _wrong_base(candidate: Pair, detail: str) -> Finding:
    name = candidate.adapter.base_model_name
    trained = f" adapter_config.json names {name} as its base." if name else ""
    return Finding(
        Reason.WRONG_BASE,
        f"The adapter was made for another base: {detail}.{trained} Set baseModelRef and baseModelVersion to the one "
        "that it was trained on.",
    )


def _embedding_is_adaptable(module: str, class_name: str) -> bool:
    """True also for what is no embedding."""
    last = module.rpartition(".")[2]
    if last in INPUT_EMBEDDINGS:
        return class_name in WITH_EMBEDDINGS | WITH_INPUT_EMBEDDING
    return last not in OUTPUT_HEADS or class_name in WITH_EMBEDDINGS


def _vocabulary(base: Architecture) -> int:
    """Rows of the embedding: some bases have more than config.json says."""
    shapes = (shape for module, shape in base.modules.items() if module.rpartition(".")[2] in INPUT_EMBEDDINGS)
    return next((rows for rows, _ in shapes), base.vocab_size)


def _missing_projections(candidate: Pair) -> set[str]:
    """Of experts: what the base has and the adapter, which adapts some of it, has not."""
    mixtures = {module.partition(_EXPERTS)[0] for module in candidate.adapter.modules if _EXPERTS in module}
    wanted = {m for m in candidate.base.modules if _EXPERTS in m and m.partition(_EXPERTS)[0] in mixtures}
    return wanted - candidate.adapter.modules.keys()
