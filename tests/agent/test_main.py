"""The command line: fetch, inspect, run."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest
from click.testing import CliRunner, Result

from tests.agent.fake_engine import BASE, KEY, running_engine
from tests.agent.fleet import READ, digest_of
from tests.artifacts.samples import write_adapter, write_base
from tunefleet.agent import main as module
from tunefleet.agent.main import main
from tunefleet.api.conditions import Reason
from tunefleet.api.inspection import InspectionResult
from tunefleet.artifacts.store import stored_version


@pytest.fixture
def claim(tmp_path: Path) -> Path:
    write_adapter(tmp_path / "sources" / "models" / "german")
    write_base(tmp_path / "sources" / "models" / "tiny")
    return tmp_path / "sources" / "models"


@pytest.fixture
def termination(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "termination-log"
    path.touch()
    monkeypatch.setattr(module, "TERMINATION_LOG", path)
    return path


def invoke(claim: Path, *arguments: str) -> Result:
    command, *rest = arguments
    extra = ["--work", str(claim.parent.parent / "work")] if command == "inspect" else []
    return CliRunner().invoke(main, [command, "--mount-root", str(claim.parent), *extra, *rest])


def test_an_adapter_is_inspected(claim: Path, termination: Path) -> None:
    result = invoke(claim, "inspect", "--kind", "adapter", "--uri", "pvc://models/german")
    assert result.exit_code == 0
    answer = InspectionResult.read(json.loads(termination.read_text()))
    assert answer.digest == digest_of(claim / "german")
    assert answer.adapter is not None


def test_a_base_is_inspected(claim: Path, termination: Path) -> None:
    result = invoke(claim, "inspect", "--kind", "base", "--uri", "pvc://models/tiny")
    assert result.exit_code == 0
    answer = InspectionResult.read(json.loads(termination.read_text()))
    assert answer.architecture is not None
    assert "100%" in result.output


def test_a_refusal_is_an_answer(claim: Path, termination: Path) -> None:
    (claim / "german" / "adapter_config.json").write_text("{}")
    result = invoke(claim, "inspect", "--kind", "adapter", "--uri", "pvc://models/german")
    assert result.exit_code == 0
    assert json.loads(termination.read_text())["reason"] == Reason.CONFIG_INVALID


def test_what_may_pass_is_told_and_tried_again(claim: Path, termination: Path) -> None:
    result = invoke(claim, "inspect", "--kind", "adapter", "--uri", "pvc://models/nowhere")
    assert result.exit_code == 1
    assert json.loads(termination.read_text())["reason"] == Reason.SOURCE_NOT_FOUND


def test_a_base_is_fetched_once(claim: Path, tmp_path: Path, termination: Path) -> None:
    digest = InspectionResult.read(
        json.loads(invoke(claim, "inspect", "--kind", "base", "--uri", "pvc://models/tiny").output.splitlines()[-1])
    ).digest
    assert digest is not None
    target = tmp_path / "models" / digest.removeprefix("sha256:")
    arguments = ("fetch", "--uri", "pvc://models/tiny", "--digest", digest, "--to", str(target))
    result = invoke(claim, *arguments)
    assert result.exit_code == 0, result.output
    assert "100%" in result.output
    assert (target / "model.safetensors").exists()
    assert stored_version(tmp_path / "models", digest) is not None
    assert invoke(claim, *arguments).exit_code == 0


def test_other_bytes_are_not_fetched(claim: Path, tmp_path: Path, termination: Path) -> None:
    target = tmp_path / "models" / ("0" * 64)
    result = invoke(claim, "fetch", "--uri", "pvc://models/tiny", "--digest", "sha256:" + "0" * 64, "--to", str(target))
    assert result.exit_code == 1
    assert termination.read_text().startswith("DigestMismatch: ")
    assert not target.exists()


def test_a_directory_of_another_name_is_refused(claim: Path, tmp_path: Path) -> None:
    result = invoke(
        claim, "fetch", "--uri", "pvc://models/tiny", "--digest", "sha256:" + "0" * 64, "--to", str(tmp_path)
    )
    assert result.exit_code == 2
    assert "digest's 64 digits" in result.output


@pytest.mark.parametrize("command", ["run", "fetch", "inspect"])
def test_help_reads_well(command: str) -> None:
    result = CliRunner().invoke(main, [command, "--help"])
    assert result.exit_code == 0
    assert "Usage:" in result.output


def test_run_wants_its_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLLM_API_KEY", raising=False)
    arguments = ["--base-engine-name", BASE, "--base-path", str(tmp_path), "--slots", "8", "--max-rank", "16"]
    result = CliRunner().invoke(main, ["run", *arguments, "--namespace", "x", "--node", "n", "--disk-bytes", "1"])
    assert result.exit_code == 2
    assert "VLLM_API_KEY" in result.output


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number: int = listener.getsockname()[1]
    return number


async def test_a_real_process_serves_until_it_is_told_to_stop(tmp_path: Path, port: int) -> None:
    write_base(tmp_path / "base")
    async with running_engine() as engine:
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "TUNEFLEET_ENGINE_URL": engine.url,
            "TUNEFLEET_BASE_ENGINE_NAME": BASE,
            "TUNEFLEET_BASE_PATH": str(tmp_path / "base"),
            "TUNEFLEET_SLOTS": "8",
            "TUNEFLEET_MAX_RANK": "16",
            "TUNEFLEET_DEVICE": "cpu",
            "TUNEFLEET_AGENT_WRITE_TOKEN": "w",
            "TUNEFLEET_AGENT_READ_TOKEN": "read-token",
            "VLLM_API_KEY": KEY,
            "POD_NAMESPACE": "x",
            "NODE_NAME": "node-1",
            "TUNEFLEET_ADAPTERS_BYTES": "1000000",
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "from tunefleet.agent.main import main; main()"),
            *("run", "--port", str(port), "--adapters-root", str(tmp_path)),
            env=environment,
            stderr=subprocess.PIPE,
        )
        try:
            async with aiohttp.ClientSession() as session:
                report = await _first_ready_report(session, f"http://127.0.0.1:{port}/v1/adapters")
            assert report["engine"]["device"] == "cpu"
        finally:
            process.send_signal(signal.SIGTERM)
            _, errors = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0
    assert b"Traceback" not in errors


async def _first_ready_report(session: aiohttp.ClientSession, url: str) -> dict[str, dict[str, object]]:
    etag = ""
    for _ in range(400):
        try:
            async with session.get(url, params={"after": etag}, headers=READ) as response:
                report: dict[str, dict[str, object]] = await response.json()
        except aiohttp.ClientConnectorError:
            await asyncio.sleep(0.05)
            continue
        if report["engine"]["ready"]:
            return report
        etag = str(report["etag"])
    raise AssertionError("the agent never became ready")
