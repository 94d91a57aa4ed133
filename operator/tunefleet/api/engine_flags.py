"""Flags of `vllm serve` that users may not pass: fields of the API stand for them, or another value breaks a promise.

Names as of vLLM 0.32 (vllm/engine/arg_utils.py, vllm/entrypoints/launchers/cli_args.py). vLLM's parser takes dashes and
underscores alike, and abbreviations that are not ambiguous, so both are refused too.
"""

from collections.abc import Mapping

OWNED_FLAGS: Mapping[str, str] = {
    "--api-key": "",
    "--api-server-count": "",
    "--config": "",
    "--data-parallel-address": "",
    "--data-parallel-backend": "",
    "--data-parallel-external-lb": "",
    "--data-parallel-hybrid-lb": "",
    "--data-parallel-multi-port-external-lb": "",
    "--data-parallel-rank": "",
    "--data-parallel-rpc-port": "",
    "--data-parallel-size": "spec.replicas",
    "--data-parallel-size-local": "spec.replicas",
    "--data-parallel-start-rank": "",
    "--default-mm-loras": "",
    "--disable-access-log-for-endpoints": "",
    "--disable-log-stats": "",
    "--distributed-executor-backend": "",
    "--download-dir": "",
    "--dtype": "spec.engine.dtype",
    "--enable-lora": "",
    "--enable-prefix-caching": "spec.engine.prefixCaching",
    "--enable-sleep-mode": "",
    "--grpc": "",
    "--grpc-port": "",
    "--headless": "",
    "--hf-config-path": "",
    "--hf-token": "secretRef of the version's source",
    "--host": "",
    "--kv-cache-dtype": "spec.engine.kvCacheDtype",
    "--lora-modules": "spec.adapters.selector",
    "--master-addr": "",
    "--master-port": "",
    "--max-cpu-loras": "",
    "--max-lora-rank": "spec.adapters.maxRank",
    "--max-loras": "spec.adapters.slots",
    "--max-model-len": "spec.engine.maxModelLength",
    "--max-num-seqs": "spec.engine.maxConcurrentRequests",
    "--middleware": "",
    "--model": "spec.model",
    "--nnodes": "",
    "--no-enable-lora": "",
    "--no-enable-prefix-caching": "spec.engine.prefixCaching",
    "--no-enable-sleep-mode": "",
    "--node-rank": "",
    "--pipeline-parallel-size": "spec.parallelism.pipeline",
    "--port": "",
    "--quantization": "spec.engine.quantization",
    "--revision": "spec.model.version",
    "--root-path": "",
    "--served-model-name": "servedModelName of the BaseModel",
    "--shutdown-timeout": "",
    "--ssl-ca-certs": "",
    "--ssl-certfile": "",
    "--ssl-keyfile": "",
    "--tensor-parallel-size": "spec.parallelism.tensor",
    "--tokenizer": "",
    "--tokenizer-revision": "",
    "--trust-remote-code": "",
    "--uds": "",
}
"""Each owned flag, and the field that stands for it; empty where nothing does.

Several API servers have several adapter registries, a sleeping engine forgets its adapters, a configuration file
carries anything, and without statistics nobody can tell whether an engine is busy.
"""


def owned_flag(argument: str) -> str | None:
    """The owned flag that an argument sets, or None. Underscores and abbreviations count: the parser takes them too."""
    name = argument.partition("=")[0].partition(".")[0].replace("_", "-")
    if name in OWNED_FLAGS:
        return name
    return next((flag for flag in sorted(OWNED_FLAGS) if len(name) > len("--") and flag.startswith(name)), None)


def advice(flag: str) -> str:
    """What to do instead of passing an owned flag."""
    field = OWNED_FLAGS[flag]
    return f"{flag} is set by Tunefleet: remove it" + (f" and use {field}" if field else "")
