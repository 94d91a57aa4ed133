"""Where the API server is and how to prove who asks: what a pod finds in its files, or what a kubeconfig says.

A pod's account is read here, without the Kubernetes library, which takes 13 MB of memory to import: as much as the
routes of 2,000 models. A kubeconfig is left to the library, with its exec plugins, certificates and contexts.
"""

import os
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds `token`, `ca.crt` and `namespace`."""


class NoClusterError(Exception):
    """Nothing says where the API server is, or how to speak to it."""


def _nobody() -> str | None:
    return None


@dataclass(frozen=True)
class Server:
    """An API server, and how to speak to it."""

    url: str
    authorization: Callable[[], str | None] = _nobody
    """The header's value, asked for at each request, since tokens rotate."""
    tls: ssl.SSLContext | None = None
    """For https."""
    tls_name: str | None = None
    """The name in its certificate, when that is not the URL's."""
    proxy: str | None = None
    """URL of what is asked to connect; a pod needs none."""


class TokenFile:
    """A token that the kubelet replaces well before it ends. Reading costs less than a request, so it is never old."""

    def __init__(self, path: Path) -> None:
        """Raises OSError, and ValueError when it is empty."""
        self._path = path
        self._last = self._read()

    def header(self) -> str:
        """`Bearer TOKEN`; the last one that could be read, while none can."""
        with suppress(OSError, ValueError):
            self._last = self._read()
        return self._last

    def _read(self) -> str:
        if token := self._path.read_text().strip():
            return f"Bearer {token}"
        raise ValueError(f"{self._path} is empty.")


def in_pod(folder: Path = SERVICE_ACCOUNT) -> bool:
    """Whether this process has a pod's account."""
    return (folder / "token").exists()


def of_pod(environ: Mapping[str, str] = os.environ, folder: Path = SERVICE_ACCOUNT) -> Server:
    """As the pod's account. Raises NoClusterError with a sentence that says what is missing."""
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT")
    if not host or not port:
        raise NoClusterError("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set.")
    try:
        token = TokenFile(folder / "token")
        tls = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        raise NoClusterError(f"The account in {folder} cannot be used: {error}") from error
    return Server(f"https://{f'[{host}]' if ':' in host else host}:{port}", token.header, tls)
