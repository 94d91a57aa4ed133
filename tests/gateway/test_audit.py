"""The audit trail: what is in a line, that lines arrive, and that what is lost is counted."""

import json
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.gateway.records import CHAT, V1, make_record
from tunefleet.gateway.access import Tenant
from tunefleet.gateway.audit import BATCH, QUEUED, Audit, shown_path, trace_id
from tunefleet.gateway.audit_line import AuditLine
from tunefleet.gateway.audit_writer import AuditWriter, _small
from tunefleet.gateway.record import Record
from tunefleet.gateway.routes import ENGINE_PATHS, HEALTH_PATH, MODELS_PATH
from tunefleet.gateway.series import Counters, Series

TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Trail:
    """An audit trail into a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.counters = Counters()
        self.writer = AuditWriter(str(path))
        self.audit = Audit(self.writer, self.counters, 0.0)

    def write(self, *records: Record) -> None:
        for record in records:
            self.audit.write(record)

    def close(self) -> list[dict[str, Any]]:
        self.audit.close()
        return lines_of(self.path)


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def trail(tmp_path: Path) -> Iterator[Trail]:
    made = Trail(tmp_path / "audit.jsonl")
    yield made
    made.audit.close()


def full_record() -> Record:
    """A request of which everything is known."""
    return make_record(
        series=Series("support", "v1"), served_name="support", engine_name=V1, base_engine_name="tiny@v1-0",
        pod="ns/engine-0", endpoint="endpoint", region="eu-central-1", fallback="endpoint/other", events=9,
        body_bytes=1024, prompt_tokens=7, completion_tokens=5, retries=1, held=0.25,
        traceparent=TRACE, tenant=Tenant("acme"),
    )  # fmt: skip


def test_a_line_has_what_is_known(trail: Trail) -> None:
    trail.write(full_record())
    (line,) = trail.close()
    when = datetime.fromisoformat(line.pop("time"))
    assert abs((datetime.now(UTC) - when).total_seconds()) == pytest.approx(110, abs=5)  # its clock began at 0
    assert line == {
        "request_id": "request-1",
        "method": "POST",
        "path": CHAT,
        "status": 200,
        "seconds": 10.0,
        "outcome": "2xx",
        "tenant": "acme",
        "model": "support",
        "version": V1,
        "base": "tiny@v1-0",
        "pod": "ns/engine-0",
        "endpoint": "endpoint",
        "region": "eu-central-1",
        "fallback": "endpoint/other",
        "streamed": True,
        "events": 9,
        "prompt_tokens": 7,
        "completion_tokens": 5,
        "request_bytes": 1024,
        "retries": 1,
        "held_seconds": 0.25,
        "first_byte_seconds": 2.0,
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
    }


def test_what_is_not_known_is_left_out(trail: Trail) -> None:
    record = Record(b"request-2", "POST", CHAT, 1.0)
    record.refusal, record.status, record.ended = "invalid_api_key", 401, 1.0
    trail.write(record)
    (line,) = trail.close()
    assert line.keys() == {"time", "request_id", "method", "path", "status", "seconds", "refusal"}


def test_every_field_is_in_a_full_record(trail: Trail) -> None:
    record = full_record()
    record.refusal = "engine_failed"
    trail.write(record)
    assert trail.close()[0].keys() == {field.encode_name for field in msgspec.structs.fields(AuditLine)}


def test_nothing_that_a_client_says_freely_is_in_a_line(trail: Trail) -> None:
    secret = "sk-live-0123456789"
    refused = Record(b"id", "POST", f"/v1/{secret}", 1.0)
    refused.refusal, refused.tail, refused.traceparent = "unknown_url", secret.encode(), secret.encode()
    looked_up = Record(b"id", "GET", f"/v1/models/{secret}", 1.0)
    looked_up.refusal = "model_not_found"
    answered = full_record()
    answered.tail = f'{{"choices":[{{"message":{{"content":"{secret}"}}}}]}}'.encode()
    trail.write(refused, looked_up, answered)
    lines = trail.close()
    assert [line["path"] for line in lines] == ["other", "/v1/models/{id}", CHAT]
    assert secret not in trail.path.read_text()


def test_lines_go_in_batches_or_when_time_has_passed(trail: Trail) -> None:
    trail.write(full_record())
    assert trail.writer.queued == 0
    trail.audit.sweep(0.0)
    trail.write(*[full_record() for _ in range(BATCH + 1)])
    lines = trail.close()
    assert len(lines) == BATCH + 2
    assert trail.counters.audit_dropped == 0


def test_times_follow_the_wall_clock(trail: Trail) -> None:
    for ended in (1000.0, 1000.0625, 1001.5):
        trail.write(make_record(ended=ended))
    times = [datetime.fromisoformat(line["time"]) for line in trail.close()]
    assert [(time - times[0]).total_seconds() for time in times] == pytest.approx([0, 0.0625, 1.5], abs=0.001)


def test_a_file_that_was_moved_is_left_alone_and_a_new_one_begun(trail: Trail) -> None:
    trail.write(full_record())
    trail.audit.sweep(0.0)
    wait_for(lambda: bool(trail.path.read_text()))
    moved = trail.path.rename(trail.path.with_suffix(".1"))
    trail.write(full_record(), full_record())
    assert len(trail.close()) == 2
    assert len(lines_of(moved)) == 1


def test_a_file_can_be_opened_anew_by_hand(trail: Trail) -> None:
    trail.write(full_record())
    trail.audit.reopen()
    trail.write(full_record())
    assert len(trail.close()) == 2


def test_what_there_is_no_room_for_is_dropped_and_counted(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    trail = Trail(pipe)
    written = QUEUED + 20 * BATCH
    trail.write(*[full_record()] * written)
    assert 0 < trail.counters.audit_dropped < written
    os.set_blocking(reading, True)
    with os.fdopen(reading, "rb") as file:
        closing = threading.Thread(target=trail.audit.close)
        closing.start()
        arrived = sum(1 for _ in file)
        closing.join()
    assert arrived + trail.counters.audit_dropped == written


def test_lines_that_cannot_be_written_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    trail = Trail(Path("/dev/full"))
    trail.write(full_record(), full_record())
    trail.audit.sweep(0.0)
    trail.audit.close()
    assert trail.counters.audit_dropped == 2
    assert caplog.text.count("audit lines are lost") == 1


def test_a_path_that_cannot_be_opened_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        AuditWriter(str(tmp_path / "missing" / "audit.jsonl"))


def test_pipes_get_whole_lines() -> None:
    groups = list(_small([b"x" * size for size in (1000, 2000, 1500, 5000, 3)]))
    assert [[len(line) for line in group] for group in groups] == [[1000, 2000], [1500], [5000], [3]]


@pytest.mark.parametrize("given", [b"", b"junk", TRACE[:-1], TRACE.upper(), TRACE + b"\r\nx: y"])
def test_a_malformed_trace_context_has_no_id(given: bytes) -> None:
    assert trace_id(given) == ""
    assert trace_id(TRACE) == "0af7651916cd43dd8448eb211c80319c"


def test_paths() -> None:
    shown = [shown_path(path) for path in (CHAT, "/v1/models", "/v1/models/x", "/admin", "/v1/models/../x")]
    assert shown == [CHAT, "/v1/models", "/v1/models/{id}", "other", "/v1/models/{id}"]


def test_paths_that_exist_are_shown() -> None:
    exist = {*ENGINE_PATHS, MODELS_PATH, HEALTH_PATH}
    assert {shown_path(path) for path in exist} == exist


def wait_for(condition: Any) -> None:
    """Until the writer's thread has got so far."""
    gate = threading.Event()
    for _ in range(500):
        if condition():
            return
        gate.wait(0.01)
    raise AssertionError("it never came")
