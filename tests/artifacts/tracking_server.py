"""A real MLflow server on loopback, and what a training run does with it, through its REST API."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from tests.artifacts.server_process import free_port, serving

_QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


@dataclass(frozen=True)
class TrackingServer:
    """A server that serves the artifacts itself."""

    url: str

    @property
    def environment(self) -> dict[str, str]:
        return {"MLFLOW_TRACKING_URI": self.url}

    def train(self, directory: Path, folder: str, **told: dict[str, str]) -> str:
        """A run that logs `metrics`, `params` and `tags` and a directory's files; returns its id."""
        info = self.post("runs/create", experiment_id="0", run_name="of the tests")["run"]["info"]
        run_id = str(info["run_id"])
        pairs = {kind: [{"key": k, "value": v} for k, v in values.items()] for kind, values in told.items()}
        for metric in pairs.get("metrics", ()):
            metric |= {"value": float(metric["value"]), "timestamp": 1, "step": 1}  # type: ignore[dict-item]
        self.post("runs/log-batch", run_id=run_id, **pairs)
        place = str(info["artifact_uri"]).removeprefix("mlflow-artifacts:/")
        for path in directory.iterdir():
            self._put(f"{place}/{folder}/{path.name}", path.read_bytes())
        return run_id

    def log_dataset(self, run_id: str, name: str, digest: str) -> None:
        dataset = {"name": name, "digest": digest, "source_type": "http", "source": "https://data/x?sig=abcdef"}
        self.post("runs/log-inputs", run_id=run_id, datasets=[{"dataset": dataset, "tags": []}])

    def register(self, name: str, source: str, run_id: str | None = None) -> str:
        """Register a model version; returns its number."""
        known = self.get(f"registered-models/search?filter=name%3D%27{name}%27")
        if not known.get("registered_models"):
            self.post("registered-models/create", name=name)
        answer = self.post("model-versions/create", name=name, source=source, **({"run_id": run_id} if run_id else {}))
        return str(answer["model_version"]["version"])

    def alias(self, name: str, alias: str, version: str) -> None:
        self.post("registered-models/alias", name=name, alias=alias, version=version)

    def get(self, route: str) -> dict[str, Any]:
        return self._ask(Request(f"{self.url}/api/2.0/mlflow/{route}"))  # noqa: S310

    def post(self, route: str, **body: Any) -> dict[str, Any]:
        content = json.dumps(body).encode()
        return self._ask(Request(f"{self.url}/api/2.0/mlflow/{route}", content, {"Content-Type": "application/json"}))  # noqa: S310

    def _put(self, path: str, content: bytes) -> None:
        urlopen(Request(f"{self.url}/api/2.0/mlflow-artifacts/artifacts/{path}", content, method="PUT")).close()  # noqa: S310

    def _ask(self, request: Request) -> dict[str, Any]:
        with urlopen(request) as answer:  # noqa: S310
            document: dict[str, Any] = json.loads(answer.read())
            return document


@contextmanager
def running_mlflow(package: Path, directory: Path) -> Iterator[TrackingServer]:
    """The server with an empty registry while the context is open."""
    port = free_port()
    options = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--serve-artifacts"]
    stores: list[str | Path] = [
        "--backend-store-uri",
        f"sqlite:///{directory}/mlflow.db",
        "--artifacts-destination",
        directory / "files",
    ]
    command: list[str | Path] = [package / "bin" / "python", "-m", "mlflow", "server", *options, *stores]
    path = f"{package / 'bin'}:{os.environ['PATH']}"
    with serving(command, port, directory, {**_QUIET, "PATH": path}):
        yield TrackingServer(f"http://127.0.0.1:{port}")
