"""The engine's environment."""

from tunefleet.engine.environment import API_KEY, engine_environment


def test_runtime_loading_is_on_and_nothing_is_fetched() -> None:
    environment = engine_environment("gpu")
    assert environment["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "True"
    assert environment["HF_HUB_OFFLINE"] == environment["TRANSFORMERS_OFFLINE"] == "1"
    assert "VLLM_SERVER_DEV_MODE" not in environment
    assert API_KEY not in environment


def test_cpu_engines_run_in_one_process() -> None:
    assert engine_environment("cpu")["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"
    assert engine_environment("cpu").items() >= engine_environment("gpu").items()
