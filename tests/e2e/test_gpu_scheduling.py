"""GPU requests on a real scheduler: this node is made to advertise GPUs that it has not, so pods are only scheduled."""

import json
from collections.abc import Iterator

import pytest

from .fleet import Fleet, endpoint

pytestmark = pytest.mark.e2e

PRODUCT = "nvidia.com/gpu.product"
LABELS = {PRODUCT: "NVIDIA-H100-80GB-HBM3", "nvidia.com/gpu.memory": "81559", "nvidia.com/gpu.count": "2"}


@pytest.fixture
def gpu_node(serving: Fleet) -> Iterator[str]:
    """The node advertises two H100."""
    node = serving.kubectl("get", "nodes", "-o", "name").split()[0]
    serving.kubectl("label", node, *(f"{k}={v}" for k, v in LABELS.items()), "--overwrite")
    capacity = json.dumps({"status": {"capacity": {"nvidia.com/gpu": "2"}}})
    serving.kubectl("patch", node, "--subresource=status", "--type=merge", f"--patch={capacity}")
    yield node
    serving.delete(["inferenceendpoint/on-gpus"])
    serving.kubectl("label", node, *(f"{k}-" for k in LABELS))
    gone = json.dumps({"status": {"capacity": {"nvidia.com/gpu": None}, "allocatable": {"nvidia.com/gpu": None}}})
    serving.kubectl("patch", node, "--subresource=status", "--type=merge", f"--patch={gone}")


def test_more_gpus_than_there_are_stay_pending_and_the_status_says_so(serving: Fleet, gpu_node: str) -> None:
    serving.apply(endpoint("on-gpus", accelerator={}, parallelism={"tensor": 4}))
    message = serving.wait_reason("inferenceendpoint/on-gpus", "Ready", "Unschedulable")
    assert "nvidia.com/gpu" in message
    pods = serving.items("pods", "tunefleet.io/endpoint=on-gpus")
    assert [pod["status"]["phase"] for pod in pods] == ["Pending"]


def test_a_product_that_no_node_has_says_so(serving: Fleet, gpu_node: str) -> None:
    serving.apply(endpoint("on-gpus", accelerator={"products": ["NVIDIA-B200"]}, parallelism={"tensor": 1}))
    message = serving.wait_reason("inferenceendpoint/on-gpus", "Ready", "Unschedulable")
    assert "NVIDIA-B200" in message or "affinity" in message


def test_what_fits_is_bound_with_the_flags_of_two_gpus(serving: Fleet, gpu_node: str) -> None:
    serving.apply(endpoint("on-gpus", accelerator={"products": [LABELS[PRODUCT]]}, parallelism={"tensor": 2}))
    serving.wait("inferenceendpoint/on-gpus", "jsonpath={.status.plan.tensor}=2")
    serving.kubectl(
        "wait", "pod", "-l", "tunefleet.io/endpoint=on-gpus", "--for=condition=PodScheduled", "--timeout=60s"
    )
    (pod,) = serving.items("pods", "tunefleet.io/endpoint=on-gpus")
    assert f"node/{pod['spec']['nodeName']}" == gpu_node
    engine = next(c for c in pod["spec"]["containers"] if c["name"] == "engine")
    assert engine["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert "--tensor-parallel-size=2" in engine["args"] or "--tensor-parallel-size 2" in " ".join(engine["args"])
    assert any(t.get("key") == "nvidia.com/gpu" for t in pod["spec"]["tolerations"])
