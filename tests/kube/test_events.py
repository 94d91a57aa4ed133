"""Events, against a real API server."""

import json
from typing import Any

import pytest

from dev.shell import Shell
from tunefleet.kube.client import Client
from tunefleet.kube.events import REPEAT_SECONDS, Occurrence, Recorder
from tunefleet.kube.fence import Unfenced
from tunefleet.kube.writer import Target

pytestmark = pytest.mark.apiserver


class Clock:
    """Moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def occurrence(namespace: str, message: str = "the image cannot be pulled") -> Occurrence:
    """About an endpoint."""
    return Occurrence(Target("InferenceEndpoint", namespace, "chat"), "uid-1", "Warning", "ImagePullFailed", message)


def events(kubectl: Shell, namespace: str) -> list[dict[str, Any]]:
    """Those that kubectl shows."""
    items: list[dict[str, Any]] = json.loads(kubectl.kubectl("get", "events", "-n", namespace, "-o", "json"))["items"]
    return items


async def test_an_event_tells_of_its_object(api: Client, kubectl: Shell, namespace: str) -> None:
    await Recorder(api, Unfenced(), "pod-1").record(occurrence(namespace))
    (event,) = events(kubectl, namespace)
    assert event["involvedObject"] == {
        "apiVersion": "tunefleet.io/v1alpha1",
        "kind": "InferenceEndpoint",
        "namespace": namespace,
        "name": "chat",
        "uid": "uid-1",
    }
    assert (event["type"], event["reason"], event["count"]) == ("Warning", "ImagePullFailed", 1)
    shown = kubectl.kubectl("events", "-n", namespace, "--for", "InferenceEndpoint/chat")
    assert "the image cannot be pulled" in shown


async def test_repeats_are_counted_on_one_event_and_not_all_sent(api: Client, kubectl: Shell, namespace: str) -> None:
    clock = Clock()
    recorder = Recorder(api, Unfenced(), "pod-1", clock=clock)
    for clock.now in (0.0, 1.0, REPEAT_SECONDS, REPEAT_SECONDS + 1):
        await recorder.record(occurrence(namespace))
    (event,) = events(kubectl, namespace)
    assert event["count"] == 2


async def test_different_words_are_different_events(api: Client, kubectl: Shell, namespace: str) -> None:
    recorder = Recorder(api, Unfenced(), "pod-1")
    await recorder.record(occurrence(namespace, "one"))
    await recorder.record(occurrence(namespace, "two"))
    assert sorted(event["message"] for event in events(kubectl, namespace)) == ["one", "two"]


async def test_an_event_that_the_api_server_forgot_is_posted_anew(api: Client, kubectl: Shell, namespace: str) -> None:
    clock = Clock()
    recorder = Recorder(api, Unfenced(), "pod-1", clock=clock)
    await recorder.record(occurrence(namespace))
    kubectl.kubectl("delete", "events", "--all", "-n", namespace)
    clock.now = REPEAT_SECONDS
    await recorder.record(occurrence(namespace))
    (event,) = events(kubectl, namespace)
    assert event["count"] == 1


async def test_a_message_that_is_too_long_is_cut(api: Client, kubectl: Shell, namespace: str) -> None:
    await Recorder(api, Unfenced(), "pod-1").record(occurrence(namespace, "x" * 5000))
    (event,) = events(kubectl, namespace)
    assert len(event["message"]) == 1024
