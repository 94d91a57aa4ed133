"""Reading single values out of vLLM's metrics page."""

import pytest

from tunefleet.engine.metrics import busy_adapters, sample, waiting_requests

PAGE = """# HELP process_start_time_seconds Start time of the process since unix epoch in seconds.
# TYPE process_start_time_seconds gauge
process_start_time_seconds 1.79521670563e+09
vllm:num_requests_running{engine="0",model_name="m"} 2.0
vllm:num_requests_waiting{engine="0",model_name="m"} 0.0
vllm:lora_requests_info{max_lora="2",running_lora_adapters="m0",waiting_lora_adapters="m0"} 1.7952168552320447e+09
vllm:lora_requests_info{max_lora="2",running_lora_adapters="m1,m2",waiting_lora_adapters="m1,m2"} 1.795216856298113e+09
"""


def test_a_sample_without_labels() -> None:
    assert sample(PAGE, "process_start_time_seconds") == 1.79521670563e09


@pytest.mark.parametrize("page", ["", "process_start_time_seconds\n", "process_start_time_seconds x\n", "other 1\n"])
def test_a_sample_that_is_not_there(page: str) -> None:
    assert sample(page, "process_start_time_seconds") is None


def test_the_newest_label_set_names_the_busy_adapters() -> None:
    assert busy_adapters(PAGE) == {"m1", "m2"}


def test_an_engine_without_requests_keeps_old_label_sets_and_has_no_busy_adapter() -> None:
    assert busy_adapters(PAGE.replace("} 2.0", "} 0.0")) == frozenset()
    assert busy_adapters("") == frozenset()


def test_a_base_request_alone_makes_no_adapter_busy() -> None:
    newest = 'vllm:lora_requests_info{max_lora="2",running_lora_adapters="",waiting_lora_adapters=""} 1.9e+09\n'
    assert busy_adapters(PAGE + newest) == frozenset()


def test_requests_that_wait() -> None:
    assert waiting_requests(PAGE) == 0
    assert waiting_requests(PAGE.replace('model_name="m"} 0.0', 'model_name="m"} 3.0')) == 3
    assert waiting_requests("") == 0
