"""What is wrong with a pod or a Deployment, in the words of whoever knows: lifted to the object that owns it.

Each check looks at one cause; the first hit wins. Causes nearest to the user's hand come first.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tunefleet.api.common import MAX_MESSAGE
from tunefleet.api.conditions import Reason

from .facts import Manifest
from .finding import Finding
from .pods import Pod

FETCH_CONTAINER = "fetch"
"""The init container that brings the base's weights into the pod."""

_IMAGE_REASONS = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_CONFIG_REASONS = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_LAST_WORDS = 400
"""Characters of a container's termination message that a condition repeats."""

Check = Callable[[Pod], Finding | None]


def pod_failure(pod: Pod) -> Finding | None:
    """Why this pod does not come up; None while nothing is known to be wrong."""
    return next((found for check in CHECKS if (found := check(pod)) is not None), None)


def first_failure(pods: Iterable[Pod]) -> Finding | None:
    """The failure of the first pod that has one."""
    return next((found for pod in pods if (found := pod_failure(pod)) is not None), None)


def unschedulable(pod: Pod) -> Finding | None:
    """No node fits; a claim that does not exist is named as such, since no node could mend it."""
    condition = pod.condition("PodScheduled")
    if condition.get("status") != "False" or condition.get("reason") != "Unschedulable":
        return None
    message = str(condition.get("message", ""))
    claim = re.search(r'persistentvolumeclaim "([^"]+)" not found', message)
    if claim:
        return Finding(
            Reason.SOURCE_NOT_FOUND, f"PersistentVolumeClaim {claim.group(1)} does not exist; create it or fix the URI"
        )
    return Finding(Reason.UNSCHEDULABLE, _clip(f"pod {pod.key.name} fits no node: {message}"))


def image_pull(pod: Pod) -> Finding | None:
    """A container image cannot be pulled."""
    for status, waiting in _waiting(pod):
        if waiting.get("reason") in _IMAGE_REASONS:
            said = waiting.get("message") or waiting["reason"]
            return Finding(
                Reason.IMAGE_PULL_FAILED, _clip(f"image {status.get('image', '?')} cannot be pulled: {said}")
            )
    return None


def missing_secret(pod: Pod) -> Finding | None:
    """The kubelet cannot start a container, mostly for a Secret that is not there."""
    for _, waiting in _waiting(pod):
        if waiting.get("reason") in _CONFIG_REASONS:
            return _config_error(str(waiting.get("message", "")))
    return None


def out_of_memory(pod: Pod) -> Finding | None:
    """A container was killed for memory."""
    for status in pod.container_statuses():
        ended = _last_end(status)
        if ended.get("reason") == "OOMKilled" and not status.get("ready"):
            return Finding(
                Reason.OUT_OF_MEMORY,
                f"container {status['name']} was killed for memory; lower maxModelLength, maxConcurrentRequests or "
                "slots, or use a larger node",
            )
    return None


def fetch_failed(pod: Pod) -> Finding | None:
    """The base's weights did not arrive; the fetch leaves REASON: SENTENCE as its last words."""
    for status in pod.container_statuses():
        ended = _last_end(status)
        if status["name"] == FETCH_CONTAINER and ended.get("exitCode", 0) != 0:
            return _fetch_finding(str(ended.get("message", "")), int(ended["exitCode"]))
    return None


def crash_loop(pod: Pod) -> Finding | None:
    """A container keeps failing. A single restart is not yet a failure: the kubelet mends it by itself."""
    for status, waiting in _waiting(pod):
        if waiting.get("reason") == "CrashLoopBackOff":
            ended = _last_end(status)
            words = _clip(str(ended.get("message", "")).strip()[-_LAST_WORDS:])
            said = f": {words}" if words else "; see its log"
            return Finding(
                Reason.CRASH_LOOP,
                _clip(f"container {status['name']} keeps failing, last exit code {ended.get('exitCode', '?')}{said}"),
            )
    return None


CHECKS: tuple[Check, ...] = (unschedulable, image_pull, missing_secret, out_of_memory, fetch_failed, crash_loop)


def deployment_failure(deployment: Manifest) -> Finding | None:
    """Pods that cannot even be created: quota, admission, Pod Security."""
    conditions = deployment.get("status", {}).get("conditions") or ()
    failed = next((c for c in conditions if c["type"] == "ReplicaFailure" and c["status"] == "True"), None)
    if failed is None:
        return None
    return Finding(Reason.PROGRESSING, _clip(f"pods cannot be created: {failed.get('message', '')}"))


def _config_error(message: str) -> Finding:
    secret = re.search(r'secret "([^"]+)" not found', message)
    if secret:
        name = secret.group(1).rpartition("/")[2]
        return Finding(
            Reason.SECRET_NOT_FOUND, f"Secret {name} does not exist in this namespace; create it or fix secretRef"
        )
    return Finding(Reason.CRASH_LOOP, _clip(f"a container cannot start: {message}"))


def _fetch_finding(message: str, code: int) -> Finding:
    """`message` is REASON: SENTENCE, or any text when the fetch itself broke."""
    said = re.match(r"([A-Za-z]+): (.+)", message.strip(), re.DOTALL)
    if said and said.group(1) in set(Reason):
        return Finding(Reason(said.group(1)), _clip(said.group(2)))
    words = message.strip()[-_LAST_WORDS:]
    tail = f": {words}" if words else ""
    return Finding(Reason.FETCH_FAILED, _clip(f"the base's weights could not be fetched, exit code {code}{tail}"))


def _waiting(pod: Pod) -> Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    for status in pod.container_statuses():
        waiting = status.get("state", {}).get("waiting")
        if waiting:
            yield status, waiting


def _last_end(status: Mapping[str, Any]) -> Mapping[str, Any]:
    """How the container last ended: now, or before its present start."""
    ended: Mapping[str, Any] = (
        status.get("state", {}).get("terminated") or status.get("lastState", {}).get("terminated") or {}
    )
    return ended


def _clip(text: str) -> str:
    return text if len(text) <= MAX_MESSAGE else text[: MAX_MESSAGE - 1] + "…"
