"""The commands on a real API server: what they say, what they patch, how they end."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.objects import adapter, adapter_status, condition, digest, endpoint, endpoint_status, served
from tests.cli.session import Session

pytestmark = pytest.mark.apiserver

FIRST: dict[str, Any] = {"model": {"name": "tiny", "version": 1}}
SECOND: dict[str, Any] = {
    "model": {"name": "tiny", "version": 2},
    "engine": {"dtype": "float16", "maxModelLength": 512},
}


def test_history_of_an_adapter(session: Session) -> None:
    served(session, 2)
    ended = session.run("history", "lora", "german")
    assert ended.code == 0
    assert ended.out == (
        "TIME                   FROM   TO   CAUSE      DIGEST                RANK   ACCEPTED\n"
        "2026-11-21T12:00:00Z   -      1    Promoted   sha256:010000000000   8      yes\n"
        "2026-11-21T12:00:00Z   1      2    Promoted   sha256:020000000000   16     yes\n"
    )
    for form, read in (("json", json.loads), ("yaml", yaml.safe_load)):
        assert read(session.run("history", "loraadapter/german", "-o", form).out)[-1] == {
            "time": "2026-11-21T12:00:00Z",
            "from": 1,
            "to": 2,
            "cause": "Promoted",
            "digest": digest(2),
            "rank": 16,
            "accepted": True,
        }


def test_history_of_an_endpoint(session: Session) -> None:
    session.create(endpoint())
    session.report("iep/chat", endpoint_status(FIRST, SECOND))
    assert session.run("history", "iep", "chat").out == (
        "TIME                   REVISION        FROM            BASE      CAUSE     CHANGES\n"
        "2026-11-21T12:00:00Z   chat-00000000   -               tiny@v1   Created   -\n"
        "2026-11-21T12:00:00Z   chat-00000001   chat-00000000   tiny@v2   Changed   model.version: 1 -> 2\n"
    )


def test_history_of_what_never_served(session: Session) -> None:
    session.create(adapter())
    ended = session.run("history", "lora", "german")
    assert (ended.code, ended.out) == (0, "")
    assert ended.err == "lora/german has no history: nothing of it has served yet\n"


def test_promotion_is_told_until_it_answers(session: Session) -> None:
    served(session)
    with session.running("promote", "lora", "german", "2") as command:
        command.until("lora/german changed:")
        command.until("spec.activeVersion: 1 -> 2")
        command.until("waiting for the operator to see the change")
        loading = condition("Ready", "Unknown", "Loading", "version 2 is loaded on 1 of 2 engine pods", 2)
        session.report("lora/german", adapter_status(1, 2, conditions=[loading]))
        command.until("lora/german  Loading: version 2 is loaded on 1 of 2 engine pods")
        session.report("lora/german", adapter_status(2, 2))
        command.until("lora/german: version 2 answers, on 2 of 2 engine pods")
        assert command.end().code == 0
    found = session.get("lora/german")
    assert found["spec"]["activeVersion"] == 2
    assert "tunefleet-cli" in {entry["manager"] for entry in found["metadata"]["managedFields"]}


def test_a_refused_promotion_fails_with_the_conditions_words(session: Session) -> None:
    served(session)
    stalled = condition("Stalled", "True", "NoFreeSlot", "every adapter slot is taken", 2)
    with session.running("promote", "lora/german", "2") as command:
        command.until("changed")
        session.report("lora/german", adapter_status(1, 2, conditions=[stalled]))
        ended = command.end()
    assert ended.code == 1
    assert ended.err == "Error: lora/german: NoFreeSlot: every adapter slot is taken\n"


def test_a_canary_is_told_step_by_step_and_ends_at_one_without_duration(session: Session) -> None:
    served(session, rollout={"steps": [{"weight": 5, "durationSeconds": 60}, {"weight": 50}]})
    canary = {
        "version": 2,
        "state": "Progressing",
        "step": 0,
        "weight": 5,
        "since": "x",
        "rollout": "x",
        "message": "12 requests",
    }
    working = [condition("Ready", "Unknown", "Canary", "under way", 2)]
    with session.running("promote", "lora", "german", "2") as command:
        command.until("changed")
        session.report("lora/german", adapter_status(1, 2, canary=canary, conditions=working))
        command.until("canary step 1 of 2, 5 %: 12 requests")
        held = {**canary, "state": "Paused", "step": 1, "weight": 50}
        session.report("lora/german", adapter_status(1, 2, canary=held, conditions=working))
        ended = command.end()
    assert ended.code == 0
    assert ended.out.endswith(
        "the canary stays at step 2 with 50 %: go on with `tunefleet promote lora german 2 --now`, "
        "or back with `tunefleet rollback lora german`\n"
    )


def test_a_canary_that_was_taken_back_fails(session: Session) -> None:
    served(session)
    worse = condition("RolledBack", "True", "CanaryWorse", "9 of 50 requests failed", 2)
    with session.running("promote", "lora", "german", "2") as command:
        command.until("changed")
        session.report("lora/german", adapter_status(1, 2, conditions=[worse]))
        ended = command.end()
    assert (ended.code, ended.err) == (1, "Error: lora/german: CanaryWorse: 9 of 50 requests failed\n")


def test_now_skips_the_steps_and_a_later_promotion_does_not(session: Session) -> None:
    served(session)
    assert session.run("promote", "lora", "german", "2", "--now", "--no-wait").code == 0
    assert session.get("lora/german")["spec"]["rollout"]["skipStepsFor"] == 2
    session.run("promote", "lora", "german", "1", "--no-wait")
    session.run("promote", "lora", "german", "2", "--no-wait")
    spec = session.get("lora/german")["spec"]
    assert spec["activeVersion"] == 2
    assert "skipStepsFor" not in spec["rollout"]


def test_somebody_elses_change_ends_the_wait(session: Session) -> None:
    served(session)
    with session.running("promote", "lora", "german", "2") as command:
        command.until("waiting for the operator")
        session.kubectl("patch", "lora/german", "--type=merge", '--patch={"spec":{"activeVersion":3}}')
        ended = command.end()
    assert (ended.code, ended.err) == (1, "Error: lora/german: activeVersion was set to 3 meanwhile\n")


def test_what_takes_too_long_goes_on(session: Session) -> None:
    served(session)
    ended = session.run("promote", "lora", "german", "2", "--timeout", "1s")
    assert ended.code == 124
    assert ended.err == (
        "Error: lora/german is not done after 1 s: waiting for the operator to see the change; "
        "the change stands and goes on\n"
    )
    assert session.get("lora/german")["spec"]["activeVersion"] == 2


def test_an_interrupted_wait_leaves_the_change(session: Session) -> None:
    served(session)
    with session.running("promote", "lora", "german", "2") as command:
        command.until("waiting for the operator")
        command.interrupt()
        ended = command.end()
    assert ended.code == 130
    assert ended.err == "\nNot waited for any more. The change of lora/german stands and goes on.\n"
    assert session.get("lora/german")["spec"]["activeVersion"] == 2


def test_a_dry_run_changes_nothing(session: Session) -> None:
    served(session, 2)
    for kind, said in (("client", "would change"), ("server", "would change (checked by the API server)")):
        ended = session.run("rollback", "lora", "german", f"--dry-run={kind}")
        assert (ended.code, ended.out) == (0, f"lora/german {said}:\n  spec.activeVersion: 2 -> 1\n")
    assert session.get("lora/german")["spec"]["activeVersion"] == 2
    assert session.get("lora/german")["metadata"]["generation"] == 1


def test_rollback_of_an_adapter_goes_to_the_version_before(session: Session) -> None:
    served(session, 3)
    assert session.run("rollback", "lora", "german", "--no-wait").code == 0
    assert session.get("lora/german")["spec"]["activeVersion"] == 1
    assert session.run("rollback", "lora/german", "--to", "2", "--no-wait").code == 0
    assert session.get("lora/german")["spec"]["activeVersion"] == 2


def test_rollback_goes_past_a_canary_that_was_taken_back(session: Session) -> None:
    """It left traffic last, and never served."""
    session.create(adapter(active=2))
    status = adapter_status(2, 1)
    cause = "CanaryWorse: 9 of 50 requests failed"
    status["history"] += [{"time": "2026-01-01T00:00:00Z", "from": 3, "to": 2, "cause": cause}]
    session.report("lora/german", status)
    assert "spec.activeVersion: 2 -> 1" in session.run("rollback", "lora", "german", "--no-wait").out


def test_rollback_while_another_version_is_on_its_way_keeps_what_serves(session: Session) -> None:
    session.create(adapter(active=3))
    session.report("lora/german", adapter_status(2, 1))
    assert "spec.activeVersion: 3 -> 2" in session.run("rollback", "lora", "german", "--no-wait").out


def test_rollback_of_an_endpoint_brings_the_recorded_spec_back(session: Session) -> None:
    session.create(endpoint(**SECOND, adapters={"selector": {"matchLabels": {"team": "a"}}}, replicas=3))
    session.report(
        "iep/chat", endpoint_status(FIRST, SECOND | {"adapters": {"selector": {"matchLabels": {"team": "a"}}}})
    )
    with session.running("rollback", "iep", "chat") as command:
        command.until("changed")
        progress = condition("Ready", "Unknown", "Progressing", "revision chat-0: 0 of 3 replicas ready", 2)
        session.report("iep/chat", {"observedGeneration": 2, "conditions": [progress]})
        command.until("iep/chat  Progressing: revision chat-0: 0 of 3 replicas ready")
        session.report("iep/chat", endpoint_status(FIRST, SECOND, FIRST, generation=2))
        ended = command.end()
    assert (ended.code, ended.out) == (0, "iep/chat: 1 of 1 replicas ready, tiny@v1-1f3a9c2e\n")
    spec = session.get("iep/chat")["spec"]
    assert spec["model"]["version"] == 1
    assert spec["engine"]["dtype"] == "auto"
    assert "maxModelLength" not in spec["engine"]
    assert spec["adapters"]["selector"] == {"matchLabels": {}}
    assert spec["replicas"] == 3


def test_rollback_of_an_endpoint_with_its_adapters(session: Session) -> None:
    session.create(endpoint(**SECOND))
    session.report("iep/chat", endpoint_status(FIRST, SECOND))
    session.create(adapter(active=2, bases={1: 1, 2: 2}))
    session.report("lora/german", adapter_status(2, 1))
    ended = session.run("rollback", "iep", "chat", "--to", "00000000", "--with-adapters", "--no-wait")
    assert ended.out.splitlines()[:2] == ["lora/german changed:", "  spec.activeVersion: 2 -> 1"]
    assert "  spec.model.version: 2 -> 1" in ended.out
    assert session.get("lora/german")["spec"]["activeVersion"] == 1
    assert session.get("iep/chat")["spec"]["model"]["version"] == 1


def test_an_endpoint_that_would_leave_adapters_behind_says_how_to_take_them_along(session: Session) -> None:
    session.create(endpoint(**SECOND))
    session.report("iep/chat", endpoint_status(FIRST, SECOND))
    stalled = condition("Stalled", "True", "WouldOrphan", "would leave german", 2)
    with session.running("rollback", "iep", "chat") as command:
        command.until("changed")
        session.report("iep/chat", {"observedGeneration": 2, "conditions": [stalled]})
        ended = command.end()
    assert ended.code == 1
    assert ended.err.endswith("WouldOrphan: would leave german; `--with-adapters` takes them along when going back\n")


def test_differences(session: Session) -> None:
    served(session)
    assert session.run("diff", "lora", "german", "1", "v2").out.splitlines() == [
        "version: 1 -> 2",
        "source.uri: s3://adapters/german/1 -> s3://adapters/german/2",
        f"digest: {digest(1)} -> {digest(2)}",
        "sizeBytes: 100 -> 200",
        "rank: 8 -> 16",
    ]
    assert session.run("diff", "lora", "german", "1").out == "no difference\n"
    session.create(endpoint())
    session.report("iep/chat", endpoint_status(FIRST, SECOND))
    assert session.run("diff", "iep", "chat", "chat-00000000", "00000001").out.splitlines() == [
        "model.version: 1 -> 2",
        "engine.dtype: auto -> float16",
        "engine.maxModelLength: none -> 512",
    ]


def test_pause_and_resume(session: Session) -> None:
    served(session, generation=9)
    assert session.run("pause", "lora", "german").out.endswith("lora/german: seen; no canary runs\n")
    assert session.get("lora/german")["spec"]["rollout"]["paused"] is True
    assert session.run("resume", "lora", "german").code == 0
    assert session.get("lora/german")["spec"]["rollout"]["paused"] is False
    assert "nothing to change, the spec says so already" in session.run("resume", "lora", "german").out


def test_what_git_owns_is_warned_of(session: Session) -> None:
    manifest = adapter()
    manifest["metadata"]["labels"] = {"kustomize.toolkit.fluxcd.io/name": "models"}
    session.create(manifest)
    session.report("lora/german", adapter_status())
    ended = session.run("promote", "lora", "german", "2", "--no-wait")
    assert ended.code == 0
    assert ended.err == (
        "Warning: Flux manages LoRAAdapter german and will put back what git says. Commit this too, so that it stays:\n"
        "  spec:\n"
        "    activeVersion: 2\n"
    )


def test_namespace_and_context_come_from_the_kubeconfig_too(session: Session, tmp_path: Path) -> None:
    served(session)
    config = yaml.safe_load(session.shell.kubeconfig.read_text())
    here = {"name": "here", "context": {**config["contexts"][0]["context"], "namespace": session.namespace}}
    config["contexts"].append(here)
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    command = [session.command("tunefleet")[0], "history", "lora", "german", "--kubeconfig", str(path)]
    for context, code in (("here", 0), ("tests", 1)):
        done = subprocess.run([*command, "--context", context], capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
    before = [command[0], "--kubeconfig", str(path), "--context", "here", "history", "lora", "german"]
    assert subprocess.run(before, capture_output=True, check=False).returncode == 0


def test_kubectl_runs_it_as_a_plugin(session: Session) -> None:
    served(session, 2)
    ended = session.run("rollback", "lora", "german", "--no-wait", command="kubectl tunefleet")
    assert (ended.code, ended.out) == (0, "lora/german changed:\n  spec.activeVersion: 2 -> 1\n")
    ended = session.run("promote", "lora", "german", command="kubectl tunefleet")
    assert ended.code == 2
    assert ended.err.startswith("Usage: kubectl tunefleet promote [OPTIONS] lora NAME VERSION\n")
