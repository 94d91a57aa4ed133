"""A real S3 server (versitygw) over a directory, on a loopback port."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import obstore
from obstore.store import S3Store

from tests.artifacts.server_process import free_port, serving

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
    port = free_port()
    command: list[str | Path] = [
        binary,
        "--port",
        f"127.0.0.1:{port}",
        "--access",
        ACCESS,
        "--secret",
        SECRET,
        "--quiet",
    ]
    with serving([*command, "posix", directory / "data"], port, directory):
        yield S3Server(f"http://127.0.0.1:{port}")
    shutil.rmtree(directory / "data")
