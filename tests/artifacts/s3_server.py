"""A real S3 server (versitygw) over a directory, on a loopback port."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import obstore
from obstore.store import S3Store

ACCESS, SECRET = "tunefleet", "a-long-secret-key"
BUCKET = "models"


@dataclass(frozen=True)
class S3Server:
    """Where it listens, and how to write to it."""

    endpoint: str

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }

    def upload(self, directory: Path, prefix: str) -> None:
        """Put a directory's files under a prefix."""
        for path in directory.iterdir():
            obstore.put(self.store(), f"{prefix}/{path.name}", path)

    def store(self) -> S3Store:
        return S3Store(
            BUCKET,
            endpoint=self.endpoint,
            access_key_id=ACCESS,
            secret_access_key=SECRET,
            region="us-east-1",
            client_options={"allow_http": True},
        )


@contextmanager
def running_s3(binary: Path, directory: Path) -> Iterator[S3Server]:
    """The server while the context is open; its bucket is empty."""
    (directory / "data" / BUCKET).mkdir(parents=True)
    port = _free_port()
    command = [str(binary), "--port", f"127.0.0.1:{port}", "--access", ACCESS, "--secret", SECRET, "--quiet"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory)}
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "posix", str(directory / "data")], env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            _wait_for(port, process)
            yield S3Server(f"http://127.0.0.1:{port}")
        finally:
            process.terminate()
            process.wait(timeout=10)
            shutil.rmtree(directory / "data")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        assert process.poll() is None, "versitygw ended"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("versitygw does not listen")
