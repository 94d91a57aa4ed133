"""Secrets of the pod's namespace, read through the API server with the pod's own service account.

The account's Role names just the Secrets that the endpoint's adapters refer to; the operator keeps it in step, so a
refusal may pass within a second. Nothing is cached: a mended Secret counts from the next try on.
"""

import base64
import binascii
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

import aiohttp

from tunefleet.api.conditions import Reason
from tunefleet.artifacts.errors import ArtifactError, denied, unreadable

API_SERVER = "https://kubernetes.default.svc"
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TIMEOUT = aiohttp.ClientTimeout(total=10)


class SecretReader(Protocol):
    """Where credentials come from."""

    async def read(self, name: str) -> Mapping[str, str]:
        """A Secret's data, decoded. Raises ArtifactError."""
        ...


@dataclass(frozen=True)
class KubernetesSecrets:
    """Secrets of one namespace."""

    session: aiohttp.ClientSession
    namespace: str
    url: str = API_SERVER
    account: Path = ACCOUNT

    async def read(self, name: str) -> Mapping[str, str]:
        url = f"{self.url}/api/v1/namespaces/{quote(self.namespace)}/secrets/{quote(name, safe='')}"
        try:
            token = (self.account / "token").read_text().strip()
            headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
            async with self.session.get(url, headers=headers, ssl=self._tls(), timeout=TIMEOUT) as response:
                if response.status == 200:
                    return _decode(name, await response.json())
                raise self._refused(name, response.status)
        except (aiohttp.ClientError, OSError) as error:
            raise unreadable(f"the Secret {name} cannot be read: the API server does not answer") from error

    def _tls(self) -> ssl.SSLContext | bool:
        authority = self.account / "ca.crt"
        return ssl.create_default_context(cafile=str(authority)) if self.url.startswith("https:") else True

    def _refused(self, name: str, status: int) -> ArtifactError:
        if status == 404:
            return ArtifactError(
                Reason.SECRET_NOT_FOUND,
                f"the Secret {name} does not exist in namespace {self.namespace}; create it, or correct secretRef",
                transient=True,
            )
        if status in {401, 403}:
            return denied(f"this pod may not read the Secret {name} yet; the operator grants it within seconds")
        return unreadable(f"the Secret {name} cannot be read: the API server answered {status}")


def _decode(name: str, document: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
    try:
        return {key: base64.b64decode(value).decode().strip() for key, value in (document.get("data") or {}).items()}
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ArtifactError(
            Reason.SECRET_NOT_FOUND, f"the Secret {name} holds values that are not text; write it again", transient=True
        ) from error
