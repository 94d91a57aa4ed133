"""What kubelet and scheduler say of a pod, lifted with its reason."""

from typing import Any

import pytest

from tunefleet.api.common import MAX_MESSAGE
from tunefleet.api.conditions import Reason
from tunefleet.plan.child_failures import deployment_failure, pod_failure
from tunefleet.plan.facts import Key
from tunefleet.plan.pods import Pod


def pod(init: list[dict[str, Any]] | None = None, **status: Any) -> Pod:
    status = {**status, "initContainerStatuses": init or []}
    return Pod(Key("ml", "chat-1"), {"metadata": {"name": "chat-1"}, "status": status})


def waiting(name: str, reason: str, message: str = "", **more: Any) -> dict[str, Any]:
    return {"name": name, "image": "runtime:1", "state": {"waiting": {"reason": reason, "message": message}}, **more}


def ended(code: int, message: str = "", reason: str = "Error") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "message": message, "reason": reason}}


def unschedulable(message: str) -> Pod:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return pod(conditions=[condition])


CASES: list[tuple[Pod, Reason, str]] = [
    (unschedulable("0/3 nodes are available: 3 Insufficient nvidia.com/gpu."), Reason.UNSCHEDULABLE, "3 Insufficient"),
    (unschedulable('persistentvolumeclaim "weights" not found'), Reason.SOURCE_NOT_FOUND, "weights does not exist"),
    (
        pod(containerStatuses=[waiting("engine", "ImagePullBackOff", "not found")]),
        Reason.IMAGE_PULL_FAILED,
        "runtime:1 cannot be pulled: not found",
    ),
    (pod([waiting("fetch", "ErrImagePull")]), Reason.IMAGE_PULL_FAILED, "ErrImagePull"),
    (
        pod([waiting("fetch", "CreateContainerConfigError", 'secret "store" not found')]),
        Reason.SECRET_NOT_FOUND,
        "Secret store does not exist",
    ),
    (
        pod(containerStatuses=[waiting("engine", "CrashLoopBackOff", lastState=ended(137, reason="OOMKilled"))]),
        Reason.OUT_OF_MEMORY,
        "killed for memory",
    ),
    (
        pod([waiting("fetch", "CrashLoopBackOff", lastState=ended(1, "AccessDenied: the key is wrong"))]),
        Reason.ACCESS_DENIED,
        "the key is wrong",
    ),
    (
        pod([{"name": "fetch", "state": ended(1, "Traceback: something else")}]),
        Reason.FETCH_FAILED,
        "exit code 1: Traceback: something else",
    ),
    (
        pod(containerStatuses=[waiting("engine", "CrashLoopBackOff", lastState=ended(2, "invalid choice: 24"))]),
        Reason.CRASH_LOOP,
        "last exit code 2: invalid choice: 24",
    ),
    (
        pod(containerStatuses=[waiting("engine", "CrashLoopBackOff", lastState=ended(0))]),
        Reason.CRASH_LOOP,
        "last exit code 0; see its log",
    ),
]


@pytest.mark.parametrize(("broken", "reason", "sentence"), CASES, ids=lambda v: v if isinstance(v, str) else "")
def test_a_broken_pod_says_why(broken: Pod, reason: Reason, sentence: str) -> None:
    finding = pod_failure(broken)
    assert finding is not None
    assert finding.reason is reason
    assert sentence in finding.message


def test_a_message_fits_a_status() -> None:
    finding = pod_failure(unschedulable("x" * 9000))
    assert finding is not None
    assert len(finding.message) == MAX_MESSAGE


def test_a_pod_that_starts_is_not_broken() -> None:
    assert pod_failure(pod(containerStatuses=[waiting("engine", "PodInitializing")])) is None


def test_a_single_restart_is_not_a_failure() -> None:
    running = {"name": "engine", "state": {"running": {}}, "lastState": ended(1), "restartCount": 1, "ready": True}
    assert pod_failure(pod(containerStatuses=[running])) is None


def test_pods_that_cannot_be_created_at_all() -> None:
    failed = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}
    finding = deployment_failure({"status": {"conditions": [failed]}})
    assert finding is not None
    assert "exceeded quota" in finding.message
    assert deployment_failure({"status": {}}) is None
