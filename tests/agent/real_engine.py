"""A fresh vLLM in a pod of the local cluster, that reads a directory of this machine."""

import json
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dev.shell import Shell
from tunefleet.api.names import ENGINE_PORT
from tunefleet.engine.environment import API_KEY, engine_environment
from tunefleet.engine.flags import EngineSettings, serve_arguments

BASE_NAME = "tiny-chat@v1-0123abcd"
KEY = "contract-key"
SLOTS = 3
MAX_RANK = 16


@dataclass(frozen=True)
class RealEngine:
    """Where it listens, and a directory that it sees at the same path."""

    url: str
    files: Path
    namespace: str
    """Of its pod, which is named engine."""


@contextmanager
def engine_pod(shell: Shell, image: str, base: Path) -> Iterator[RealEngine]:
    """The engine while the context is open, started with the operator's own flags and environment."""
    directory = Path(tempfile.mkdtemp(prefix="tunefleet-contract-"))
    namespace = f"contract-{uuid.uuid4().hex[:8]}"
    try:
        directory.chmod(0o755)
        shutil.copytree(base, directory / "base")
        (directory / "adapters").mkdir()
        for path in directory.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        shell.kubectl("create", "namespace", namespace)
        shell.kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(_pod(image, directory)))
        shell.kubectl("wait", "-n", namespace, "pod/engine", "--for=condition=Ready", "--timeout=400s")
        address = shell.kubectl("get", "-n", namespace, "pod/engine", "-o", "jsonpath={.status.podIP}")
        yield RealEngine(f"http://{address}:{ENGINE_PORT}", directory / "adapters", namespace)
    finally:
        shell.kubectl("delete", "namespace", namespace, "--ignore-not-found", "--wait=false")
        shutil.rmtree(directory)


def _pod(image: str, directory: Path) -> dict[str, Any]:
    settings = EngineSettings(
        model_path=str(directory / "base"),
        served_name=BASE_NAME,
        slots=SLOTS,
        max_rank=MAX_RANK,
        device="cpu",
        max_model_length=512,
        max_concurrent_requests=8,
    )
    environment = {**engine_environment("cpu"), API_KEY: KEY, "HOME": "/tmp"}
    engine = {
        "name": "engine",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["vllm"],
        "args": list(serve_arguments(settings)),
        "env": [{"name": name, "value": value} for name, value in environment.items()],
        "readinessProbe": {"httpGet": {"path": "/health", "port": ENGINE_PORT}, "periodSeconds": 1},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "files", "mountPath": str(directory), "readOnly": True}],
    }
    spec = {
        "enableServiceLinks": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "terminationGracePeriodSeconds": 5,
        "containers": [engine],
        "volumes": [{"name": "files", "hostPath": {"path": str(directory)}}],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "engine"}, "spec": spec}
