"""The environment of the engine container, pure. The API key comes from a Secret and is not in here."""

from .flags import Device

API_KEY = "VLLM_API_KEY"
"""Guards /v1 only; other routes of the port are closed by the NetworkPolicy."""

_COMMON = {
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",  # the load and unload routes exist only with it
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",  # weights are on the disk already, verified
    "TRANSFORMERS_OFFLINE": "1",
}

_CPU = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # without it the platform turns the `uni` executor back into `mp`
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
    # The pod asks for a part of a core, and threads that share cores with others wait for each other at every layer.
    "OMP_NUM_THREADS": "1",
    "TORCHDYNAMO_DISABLE": "1",  # the first request with logprobs would compile, for seconds, and needs a C compiler
}


def engine_environment(device: Device) -> dict[str, str]:
    """Variables that every engine of this device gets."""
    return dict(_COMMON) if device == "gpu" else {**_COMMON, **_CPU}
