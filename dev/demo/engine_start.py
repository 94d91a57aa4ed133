"""How long the bare engine took to start: from its container's start to its first healthy answer, seen by a watch."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kubernetes import client, config, watch
from urllib3.exceptions import ProtocolError


@dataclass
class EngineStart:
    """Filled by the watch; `seconds` is None while no engine has started."""

    seconds: float | None = None
    _seen: threading.Event = field(default_factory=threading.Event)

    def note(self, pod: Any, now: datetime) -> None:
        """Take the first engine container that passed its startup probe."""
        for container in pod.status.container_statuses or ():
            running = container.state.running
            if container.name == "engine" and container.started and running and self.seconds is None:
                self.seconds = (now - running.started_at).total_seconds()
                self._seen.set()


@contextmanager
def watched_engine_start(kubeconfig: Path, namespace: str) -> Iterator[EngineStart]:
    """Watch the namespace's engine pods while the body runs."""
    start, watcher = EngineStart(), watch.Watch()
    api = client.CoreV1Api(config.new_client_from_config(str(kubeconfig)))

    def follow() -> None:
        engines = "app.kubernetes.io/component=engine"
        with suppress(ProtocolError):  # how a stopped watch ends
            for event in watcher.stream(
                api.list_namespaced_pod, namespace, label_selector=engines, timeout_seconds=600
            ):
                start.note(event["object"], datetime.now(UTC))

    thread = threading.Thread(target=follow, daemon=True, name="watch engine start")
    thread.start()
    try:
        yield start
    finally:
        watcher.stop()
