"""Google's and Azure's storage on loopback: fake-gcs-server, and Azurite, which the makers of Azure keep."""

import base64
import hmac
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import obstore
from obstore.store import AzureStore

from tests.artifacts.server_process import free_port, serving

PLACE = "models"
ACCOUNT = "tunefleet"
KEY = base64.b64encode(b"a key of an account that exists here only").decode()


@dataclass(frozen=True)
class CloudServer:
    """One server with an empty bucket or container."""

    scheme: str
    environment: Mapping[str, str]
    """As a Secret holds it."""
    put: Callable[[str, bytes], None]
    """Writes an object."""

    def upload(self, directory: Path, prefix: str) -> str:
        """Put a directory's files under a prefix; returns their URI."""
        for path in directory.iterdir():
            self.put(f"{prefix}/{path.name}", path.read_bytes())
        return f"{self.scheme}://{PLACE}/{prefix}"


@contextmanager
def running_gcs(binary: Path, directory: Path) -> Iterator[CloudServer]:
    """Google's; it asks nobody for credentials."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    options = ["-scheme", "http", "-backend", "memory", "-host", "127.0.0.1", "-port", str(port)]
    with serving([binary, *options, "-public-host", f"127.0.0.1:{port}", "-log-level", "error"], port, directory):
        body = f'{{"name": "{PLACE}"}}'.encode()
        urlopen(Request(f"{url}/storage/v1/b", body, {"Content-Type": "application/json"})).close()  # noqa: S310

        def put(name: str, content: bytes) -> None:
            query = urlencode({"uploadType": "media", "name": name})
            urlopen(Request(f"{url}/upload/storage/v1/b/{PLACE}/o?{query}", content)).close()  # noqa: S310

        yield CloudServer("gs", {"GOOGLE_BASE_URL": url}, put)


@contextmanager
def running_azurite(package: Path, directory: Path) -> Iterator[CloudServer]:
    """Azure's; it verifies signatures."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/{ACCOUNT}"
    command: list[str | Path] = [
        package / "node_modules" / ".bin" / "azurite-blob",
        "--blobHost",
        "127.0.0.1",
        "--blobPort",
        str(port),
    ]
    options: list[str | Path] = ["--location", directory, "--skipApiVersionCheck", "--disableTelemetry"]
    with serving([*command, *options], port, directory, {"AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"}):
        store = AzureStore(
            PLACE, account_name=ACCOUNT, account_key=KEY, endpoint=url, client_options={"allow_http": True}
        )
        _create_container(url)
        environment = {
            "AZURE_STORAGE_ENDPOINT": url,
            "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": KEY,
        }

        def put(name: str, content: bytes) -> None:
            obstore.put(store, name, content)

        yield CloudServer("az", environment, put)


def _create_container(url: str) -> None:
    """obstore makes no containers. A request signed by hand:
    https://learn.microsoft.com/en-us/rest/api/storageservices/authorize-with-shared-key
    """
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
    signed = "".join(f"{name}:{value}\n" for name, value in headers.items())
    text = "PUT" + "\n" * 12 + signed + f"/{ACCOUNT}/{ACCOUNT}/{PLACE}\nrestype:container"
    signature = base64.b64encode(hmac.digest(base64.b64decode(KEY), text.encode(), "sha256")).decode()
    headers["Authorization"] = f"SharedKey {ACCOUNT}:{signature}"
    urlopen(Request(f"{url}/{PLACE}?restype=container", headers=headers, method="PUT")).close()  # noqa: S310
