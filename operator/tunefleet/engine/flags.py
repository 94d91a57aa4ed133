"""How `vllm serve` is started: settings to arguments, pure. Names and choices as of vLLM 0.32."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from tunefleet.api.engine_flags import advice, owned_flag
from tunefleet.api.names import ENGINE_PORT

Device = Literal["cpu", "gpu"]

LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""Choices of --max-lora-rank (vllm/config/lora.py, MaxLoRARanks); any other ends the engine with exit code 2."""

SHUTDOWN_TIMEOUT_SECONDS = 25
"""--shutdown-timeout: streams end by themselves in this time after SIGTERM. With vLLM's default of 0 they hang, open
and silent, until the kubelet kills the container. Below the pod's grace period."""


@dataclass(frozen=True)
class EngineSettings:
    """Everything that decides how one engine is started."""

    model_path: str
    """Directory of the base's weights."""
    served_name: str
    """Engine name of the base, NAME@vN-DIGEST8."""
    slots: int
    """Adapters that can run in one batch."""
    max_rank: int
    """Highest rank of an adapter; one of LORA_RANKS."""
    device: Device = "gpu"
    cached_adapters: int = 0
    """Adapters that stay in host memory; never fewer than the slots. Beyond it the engine reads files again."""
    tensor: int = 1
    pipeline: int = 1
    dtype: str = "auto"
    quantization: str | None = None
    max_model_length: int | None = None
    max_concurrent_requests: int | None = None
    prefix_caching: bool = True
    kv_cache_dtype: str | None = None
    extra_args: tuple[str, ...] = ()


def engine_rank(rank: int) -> int:
    """The smallest --max-lora-rank that holds adapters of this rank. Raises ValueError above vLLM's highest."""
    fitting = next((choice for choice in LORA_RANKS if choice >= rank), None)
    if fitting is None:
        raise ValueError(f"rank {rank} is above {LORA_RANKS[-1]}, the highest that the engine holds")
    return fitting


def serve_arguments(settings: EngineSettings) -> tuple[str, ...]:
    """The command line after `vllm`: `serve PATH --flag value …`, the user's own arguments last.

    Raises ValueError for a rank that vLLM does not know and for extra arguments that the operator owns.
    """
    if settings.max_rank not in LORA_RANKS:
        raise ValueError(f"max rank {settings.max_rank} is not one of {', '.join(map(str, LORA_RANKS))}")
    if problem := extra_args_problem(settings.extra_args):
        raise ValueError(problem)
    return (
        "serve",
        settings.model_path,
        *_server(settings),
        *_lora(settings),
        *_model(settings),
        *_device(settings),
        *settings.extra_args,
    )


def arithmetic_options(settings: EngineSettings) -> str:
    """What changes the figures that an engine gives, as text. How much it holds, and for how long, does not."""
    options = (
        ("dtype", settings.dtype),
        ("quantization", settings.quantization),
        ("kv-cache-dtype", settings.kv_cache_dtype),
        ("tensor", settings.tensor),
        ("pipeline", settings.pipeline),
        ("extra", " ".join(settings.extra_args)),
    )
    return ",".join(f"{name}={value}" for name, value in options if value)


def extra_args_problem(extra_args: Iterable[str]) -> str | None:
    """A sentence on the first argument that may not be passed through, or None when all may."""
    for argument in extra_args:
        if not argument.startswith("--"):
            return f"extraArgs: {argument!r} must be written as --name or --name=value"
        if owned := owned_flag(argument):
            return f"extraArgs: {advice(owned)}"
    return None


def _server(settings: EngineSettings) -> Iterator[str]:
    yield from ("--served-model-name", settings.served_name)
    yield from ("--port", str(ENGINE_PORT))
    yield from ("--shutdown-timeout", str(SHUTDOWN_TIMEOUT_SECONDS))
    yield from ("--disable-access-log-for-endpoints", "/health,/metrics")


def _lora(settings: EngineSettings) -> Iterator[str]:
    yield "--enable-lora"
    yield from ("--max-loras", str(settings.slots))
    yield from ("--max-cpu-loras", str(max(settings.slots, settings.cached_adapters)))
    yield from ("--max-lora-rank", str(settings.max_rank))


def _model(settings: EngineSettings) -> Iterator[str]:
    yield from ("--dtype", settings.dtype)
    yield "--enable-prefix-caching" if settings.prefix_caching else "--no-enable-prefix-caching"
    optional = (
        ("--quantization", settings.quantization),
        ("--max-model-len", settings.max_model_length),
        ("--max-num-seqs", settings.max_concurrent_requests),
        ("--kv-cache-dtype", settings.kv_cache_dtype),
    )
    for flag, value in optional:
        if value is not None:
            yield from (flag, str(value))


def _device(settings: EngineSettings) -> Iterator[str]:
    if settings.device == "cpu":
        yield from ("--enforce-eager", "--distributed-executor-backend", "uni")
        return
    yield from ("--tensor-parallel-size", str(settings.tensor))
    yield from ("--pipeline-parallel-size", str(settings.pipeline))
