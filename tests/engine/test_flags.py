"""Command lines of the engine, and arguments that users may not pass."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunefleet.engine.flags import (
    LORA_RANKS,
    SHUTDOWN_TIMEOUT_SECONDS,
    EngineSettings,
    arithmetic_options,
    engine_rank,
    extra_args_problem,
    serve_arguments,
)

SETTINGS = EngineSettings(model_path="/models/ab", served_name="tiny@v1-00000000", slots=8, max_rank=16)


def test_what_changes_figures_and_what_only_changes_room() -> None:
    others = [
        replace(SETTINGS, dtype="float16"),
        replace(SETTINGS, quantization="fp8"),
        replace(SETTINGS, kv_cache_dtype="fp8"),
        replace(SETTINGS, tensor=2),
        replace(SETTINGS, pipeline=2),
        replace(SETTINGS, extra_args=("--seed=1",)),
    ]
    assert len({arithmetic_options(settings) for settings in (SETTINGS, *others)}) == len(others) + 1
    roomier = replace(SETTINGS, slots=64, max_rank=64, max_model_length=8192, max_concurrent_requests=4)
    assert arithmetic_options(roomier) == arithmetic_options(SETTINGS)


def value(arguments: tuple[str, ...], flag: str) -> str:
    return arguments[arguments.index(flag) + 1]


def test_a_gpu_engine() -> None:
    arguments = serve_arguments(
        EngineSettings(
            model_path="/models/ab",
            served_name="tiny@v1-00000000",
            slots=8,
            max_rank=16,
            cached_adapters=24,
            tensor=2,
            quantization="fp8",
            max_model_length=4096,
            max_concurrent_requests=64,
            prefix_caching=False,
            kv_cache_dtype="fp8",
            extra_args=("--max-num-queued-reqs=100",),
        )
    )
    assert arguments == (
        *("serve", "/models/ab", "--served-model-name", "tiny@v1-00000000", "--port", "8000"),
        *("--shutdown-timeout", "25", "--disable-access-log-for-endpoints", "/health,/metrics"),
        *("--enable-lora", "--max-loras", "8", "--max-cpu-loras", "24", "--max-lora-rank", "16"),
        *("--dtype", "auto", "--no-enable-prefix-caching", "--quantization", "fp8", "--max-model-len", "4096"),
        *("--max-num-seqs", "64", "--kv-cache-dtype", "fp8"),
        *("--tensor-parallel-size", "2", "--pipeline-parallel-size", "1", "--max-num-queued-reqs=100"),
    )


def test_a_cpu_engine_runs_in_one_process_without_compiling() -> None:
    arguments = serve_arguments(EngineSettings("/m", "x", slots=3, max_rank=8, device="cpu"))
    assert arguments[-3:] == ("--enforce-eager", "--distributed-executor-backend", "uni")
    assert "--tensor-parallel-size" not in arguments


def test_host_memory_never_holds_fewer_adapters_than_the_slots() -> None:
    arguments = serve_arguments(EngineSettings("/m", "x", slots=32, max_rank=8, cached_adapters=4))
    assert value(arguments, "--max-cpu-loras") == "32"


def test_the_engine_drains_within_the_pods_grace_period() -> None:
    assert 0 < SHUTDOWN_TIMEOUT_SECONDS < 60


@pytest.mark.parametrize(("rank", "engine"), [(1, 1), (2, 8), (8, 8), (9, 16), (65, 128), (300, 320), (512, 512)])
def test_the_smallest_rank_that_holds_an_adapter(rank: int, engine: int) -> None:
    assert engine_rank(rank) == engine


@given(st.integers(1, 512))
def test_engine_ranks_hold_what_they_are_for(rank: int) -> None:
    assert rank <= engine_rank(rank)
    assert engine_rank(rank) in LORA_RANKS


def test_ranks_that_no_engine_has() -> None:
    with pytest.raises(ValueError, match="513 is above 512"):
        engine_rank(513)
    with pytest.raises(ValueError, match="24 is not one of"):
        serve_arguments(EngineSettings("/m", "x", slots=1, max_rank=24))


@pytest.mark.parametrize(
    "argument",
    [
        "--api-key=x",
        "--served_model_name=x",
        "--max-loras=9",
        "--max-lora=9",
        "--serve=x",
        "--lora-modules=a=b",
        "--config=/x.yaml",
        "--port",
        "--data-parallel-size=2",
        "--no-enable-prefix-caching",
        "--trust-remote-code",
    ],
)
def test_owned_flags_are_refused_by_name_however_they_are_written(argument: str) -> None:
    problem = extra_args_problem((argument,))
    assert problem is not None
    assert "--" in problem
    with pytest.raises(ValueError, match="extraArgs"):
        serve_arguments(EngineSettings("/m", "x", slots=1, max_rank=8, extra_args=(argument,)))


@pytest.mark.parametrize(
    "argument",
    ["--max-num-queued-reqs=4", "--enable-chunked-prefill", "--fully-sharded-loras", "--speculative-config={}"],
)
def test_other_flags_pass_through(argument: str) -> None:
    assert extra_args_problem((argument,)) is None


@pytest.mark.parametrize("argument", ["-tp=2", "value", "-O3", ""])
def test_short_flags_and_bare_values_are_refused(argument: str) -> None:
    assert extra_args_problem((argument,)) is not None
