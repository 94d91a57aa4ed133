"""Series come with traffic and go with their version; the text is what Prometheus reads."""

import asyncio

import pytest

from tests.gateway.records import CHAT, V1, V2, make_record, run, scraped, value
from tests.promtool import promtool
from tunefleet.gateway import names
from tunefleet.gateway.metrics import Metrics
from tunefleet.gateway.names import FAMILIES
from tunefleet.gateway.series import FIRST_TOKEN_BOUNDS
from tunefleet.gateway.telemetry import Telemetry

GENAI = {
    "gen_ai_operation_name": "chat",
    "gen_ai_provider_name": "tunefleet",
    "gen_ai_request_model": "support",
    "gen_ai_response_model": "support@v1",
}


def make() -> tuple[Telemetry, Metrics]:
    telemetry = Telemetry()
    return telemetry, Metrics(telemetry)


def test_a_request_is_counted_once_at_its_end() -> None:
    telemetry, metrics = make()
    record = make_record(series=telemetry.series(V1), engine_name=V1)
    version = {"model": "support", "version": "v1"}
    telemetry.begun(record)
    assert value(metrics, "tunefleet_gateway_requests_in_flight", **version) == 1
    telemetry.ended(record)
    assert value(metrics, "tunefleet_gateway_requests_in_flight", **version) == 0
    assert scraped(metrics)["tunefleet_gateway_requests_total"] == {frozenset({**version, "code": "2xx"}.items()): 1}


def test_times_have_the_names_of_the_conventions() -> None:
    telemetry, metrics = make()
    run(telemetry, completion_tokens=8)
    run(telemetry, outcome="5xx", status=500, streamed=False)
    found = scraped(metrics)
    genai = frozenset(GENAI.items())
    assert found["gen_ai_server_time_to_first_token_seconds_sum"][genai] == 2
    assert found["gen_ai_server_time_per_output_token_seconds_sum"][genai] == 1
    durations = found["gen_ai_server_request_duration_seconds_sum"]
    assert {dict(key)["error_type"]: total for key, total in durations.items()} == {"": 10, "5xx": 10}
    buckets = found["gen_ai_server_time_to_first_token_seconds_bucket"]
    assert len(buckets) == len(FIRST_TOKEN_BOUNDS) + 1
    assert {dict(key)["le"] for key, count in buckets.items() if count} == {"2.5", "5.0", "7.5", "10.0", "+Inf"}


def test_versions_that_left_go_when_nothing_of_them_runs() -> None:
    telemetry, metrics = make()
    run(telemetry, V1)
    going = make_record(series=telemetry.series(V2), engine_name=V2)
    telemetry.begun(going)
    telemetry.keep({"support@v2"})
    assert 'version="v1"' not in metrics.render().decode()
    telemetry.keep(set())
    assert value(metrics, "tunefleet_gateway_requests_in_flight", model="support", version="v2") == 1
    telemetry.ended(going)
    telemetry.sweep()
    assert b"support" not in metrics.render()


def test_a_version_is_one_series_whatever_its_bytes() -> None:
    telemetry, metrics = make()
    run(telemetry, "support@v1-00000000")
    run(telemetry, "support@v1-ffffffff")
    assert value(metrics, "tunefleet_gateway_requests_total", model="support", version="v1", code="2xx") == 2


def test_an_upstream_outside_has_no_versions_and_keeps_its_counts() -> None:
    telemetry, metrics = make()
    run(telemetry, "gpt-4o", fallback="external/provider")
    telemetry.keep(set())
    assert value(metrics, "tunefleet_gateway_requests_total", model="gpt-4o", version="", code="2xx") == 1
    assert value(metrics, "tunefleet_gateway_fallbacks_total", fallback="external/provider") == 1


def test_names_with_any_letters_are_escaped() -> None:
    telemetry, metrics = make()
    odd = 'a"b\\c%s{}'
    run(telemetry, f"{odd}@v1-00000000")
    assert value(metrics, "tunefleet_gateway_requests_total", model=odd, version="v1", code="2xx") == 1
    found = scraped(metrics)["gen_ai_server_request_duration_seconds_count"]
    assert [dict(key)["gen_ai_request_model"] for key in found] == [odd]


def test_every_metric_is_there_and_none_that_is_not_in_the_list() -> None:
    telemetry, metrics = make()
    run(telemetry)
    for family in (names.BREAKERS_OPEN, names.KEYS, names.KEYS_BAD, names.CERTIFICATE):
        metrics.add(family, lambda family=family: [(("x",) * len(family.labels), 1.5)])  # type: ignore[misc]
    lines = metrics.render().decode().splitlines()
    types = [line.split(" ")[2:] for line in lines if line.startswith("# TYPE")]
    ours = [kind for kind in types if not kind[0].startswith(("process_", "python_"))]
    assert sorted(ours) == sorted([family.name, family.kind] for family in FAMILIES)
    assert len(types) == len({kind[0] for kind in types})


def test_counters_end_in_total() -> None:
    for family in FAMILIES:
        assert (family.kind == "counter") == family.name.endswith("_total")


async def test_parts_make_the_whole_and_others_run_in_between() -> None:
    telemetry, metrics = make()
    for number in range(300):
        run(telemetry, f"model-{number}@v1-00000000")
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    running = asyncio.create_task(others())
    parts = [part async for part in metrics.parts()]
    running.cancel()
    assert b"".join(parts).count(b"\n") == metrics.render().count(b"\n")
    assert turns >= len(parts) - 2 > 0


@pytest.mark.cluster
def test_prometheus_has_nothing_to_object_to() -> None:
    telemetry, metrics = make()
    run(telemetry, completion_tokens=8)
    checked = promtool("check", "metrics", said=metrics.render())
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_a_path_is_an_operation() -> None:
    assert [names.operation_of(path) for path in (CHAT, "/v1/embeddings", "/v1/rerank")] == [
        "chat",
        "embeddings",
        "rerank",
    ]
