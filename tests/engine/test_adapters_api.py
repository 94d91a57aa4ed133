"""The agent's API as structures: what travels reads back as it was."""

from typing import Any

import pytest
from pydantic import ValidationError

from tunefleet.api.names import engine_name
from tunefleet.engine.adapters_api import AdapterReport, AdaptersReport, AdapterState, DesiredAdapter, EngineReport

DIGEST = "sha256:1f3a9c2e" + "0" * 56
DESIRED: dict[str, Any] = {
    "engineName": "support-de@v4-1f3a9c2e",
    "uri": "s3://models/support-de/4",
    "digest": DIGEST,
    "rank": 16,
}


def test_a_desired_adapter_as_the_reference_writes_it() -> None:
    adapter = DesiredAdapter.read(DESIRED)
    assert adapter.engine_name == engine_name("support-de", 4, DIGEST)
    assert adapter.secret_name is None
    assert adapter.dump() == DESIRED | {"fingerprints": []}


def test_a_report_reads_back() -> None:
    report = AdaptersReport(
        etag="b-1",
        engine=EngineReport(name="base@v1-00000000", ready=True, slots=8, max_rank=16),
        adapters=(
            AdapterReport(engine_name="a@v1-00000000", uri="pvc://a/b", digest=DIGEST, state=AdapterState.LOADED),
        ),
    )
    assert AdaptersReport.read(report.dump()) == report
    assert report.dump()["engine"]["maxRank"] == 16


@pytest.mark.parametrize(
    "name",
    [
        "support-de",
        "support-de@v4",
        "a/b@v1-00000000",
        "a@v1-0000000",
        "a@v-00000000",
        "@v1-00000000",
        "a b@v1-00000000",
    ],
)
def test_names_that_are_no_engine_names(name: str) -> None:
    with pytest.raises(ValidationError):
        DesiredAdapter.read({**DESIRED, "engineName": name})
