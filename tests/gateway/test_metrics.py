"""Series come with traffic and go with their version."""

from tunefleet.gateway.metrics import DISCONNECTED, Metrics, labels_of

V1, V2 = "support@v1-00000000", "support@v2-00000000"


def sample(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"tunefleet_gateway_{name}", {"model": "support", **labels})


def test_labels() -> None:
    assert [labels_of(V2), labels_of("odd")] == [("support", "v2"), ("odd", "")]


def test_a_request_is_counted_once_at_its_end() -> None:
    metrics = Metrics()
    version = metrics.version(V1)
    for _ in range(3):
        version.started()
    assert sample(metrics, "requests_in_flight", version="v1") == 3
    version.finished("2xx")
    version.finished(DISCONNECTED)
    version.finished(None)
    assert sample(metrics, "requests_in_flight", version="v1") == 0
    counted = {
        code: sample(metrics, "requests_total", version="v1", code=code) for code in ("2xx", DISCONNECTED, "5xx")
    }
    assert counted == {"2xx": 1, DISCONNECTED: 1, "5xx": None}


def test_versions_that_left_go_when_nothing_of_them_runs() -> None:
    metrics = Metrics()
    for name in (V1, V2):
        metrics.version(name).started()
        metrics.version(name).first_token.observe(1)
    metrics.version(V1).finished("2xx")
    metrics.keep({"support@v2"})
    assert sample(metrics, "requests_total", version="v1", code="2xx") is None
    assert b'version="v1"' not in metrics.render()
    metrics.keep(set())
    assert sample(metrics, "requests_in_flight", version="v2") == 1
    metrics.version(V2).finished("5xx")
    metrics.keep(set())
    assert b"support" not in metrics.render()
    metrics.version(V1).started()
    metrics.version(V1).finished("2xx")
    assert sample(metrics, "requests_total", version="v1", code="2xx") == 1
