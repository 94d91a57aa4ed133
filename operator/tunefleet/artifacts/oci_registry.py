"""A registry of the OCI distribution specification, read only: manifests, and ranges of blobs.

oras-py, the one client in Python that is kept up, is made of blocking calls that write whole files; ranged reads and
resumed transfers are not among them. What is needed here is two routes and two ways to log in, over aiohttp.
"""

import asyncio
import base64
import binascii
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from yarl import URL

from .errors import ArtifactError, denied, unreadable
from .http import Http
from .https import basic
from .oci_manifest import ACCEPT, MAX_MANIFEST_BYTES

MAX_TOKEN_BYTES = 2**16
_DOCKER_HUB = "docker.io"
_DOCKER_HUB_HOST = "registry-1.docker.io"
_DOCKER_HUB_KEY = "index.docker.io"
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True)
class Account:
    """Who reads."""

    name: str
    password: str = field(repr=False)


@dataclass
class Registry:
    """One repository of a registry."""

    http: Http
    host: str
    repository: str
    account: Account | None
    _authorization: str | None = field(default=None, init=False, repr=False)
    _login: asyncio.Lock = field(default_factory=asyncio.Lock, init=False, repr=False)

    async def manifest(self, reference: str) -> bytes:
        """A manifest by tag or digest. Raises ArtifactError."""
        async with self._request(self._url("manifests", reference), {"Accept": ACCEPT}) as response:
            if response.status != 200:
                raise self.http.refused(response.status)
            return await self.http.content(response, MAX_MANIFEST_BYTES)

    async def blob_range(self, digest: str, start: int, length: int) -> bytes:
        """Bytes of a blob. Raises ArtifactError."""
        if length == 0:
            return b""
        headers = {"Range": f"bytes={start}-{start + length - 1}"}
        async with self._request(self._url("blobs", digest), headers) as response:
            return await self.http.ranged(response, start, length)

    def _url(self, kind: str, reference: str) -> URL:
        host = _DOCKER_HUB_HOST if self.host == _DOCKER_HUB else self.host
        scheme = "http" if self.http.plain else "https"
        return self.http.address(f"{scheme}://{host}/v2/{self.repository}/{kind}/{reference}")

    @asynccontextmanager
    async def _request(self, url: URL, headers: Mapping[str, str]) -> AsyncIterator[aiohttp.ClientResponse]:
        """A GET, logged in when the registry asks for it; also anew, because tokens last for minutes."""
        used = self._authorization
        async with self.http.request("GET", url, self._signed(headers)) as response:
            if response.status != 401:
                yield response
                return
            challenge = response.headers.get("WWW-Authenticate", "")
        async with self._login:
            if self._authorization == used:
                self._authorization = await self._log_in(challenge)
        async with self.http.request("GET", url, self._signed(headers)) as response:
            yield response

    def _signed(self, headers: Mapping[str, str]) -> dict[str, str]:
        return {**headers, **({"Authorization": self._authorization} if self._authorization else {})}

    async def _log_in(self, challenge: str) -> str:
        """The Authorization header that the registry's challenge asks for. Raises ArtifactError."""
        kind = challenge.partition(" ")[0].lower()
        if kind == "basic" and self.account is not None:
            return basic(self.account.name, self.account.password)
        if kind != "bearer":
            raise self.http.refused(401)
        return f"Bearer {await self._token(dict(_PARAMETER.findall(challenge)))}"

    async def _token(self, asked: Mapping[str, str]) -> str:
        """https://distribution.github.io/distribution/spec/auth/token/"""
        query = {"scope": f"repository:{self.repository}:pull"} | (
            {"service": asked["service"]} if "service" in asked else {}
        )
        realm = self.http.address(asked.get("realm", ""))
        headers = {} if self.account is None else {"Authorization": basic(self.account.name, self.account.password)}
        content = await self.http.body(realm.update_query(query), MAX_TOKEN_BYTES, headers)
        try:
            answer = json.loads(content or b"")
            return str(answer.get("token") or answer["access_token"])
        except (ValueError, KeyError, AttributeError) as error:
            raise unreadable(f"{self.http.name}: the registry's token service gave no token") from error


def account_for(host: str, environment: Mapping[str, str], name: str) -> Account | None:
    """From the keys of a Secret of type basic-auth, or of type dockerconfigjson. Raises ArtifactError."""
    if user := environment.get("username"):
        return Account(user, environment.get("password", ""))
    config = environment.get(".dockerconfigjson")
    if not config:
        return None
    try:
        return _docker_account(host, json.loads(config)["auths"])
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise _bad_config(name) from error


def _docker_account(host: str, accounts: Mapping[str, Mapping[str, str]]) -> Account | None:
    wanted = {host, _DOCKER_HUB_KEY} if host == _DOCKER_HUB else {host}
    for server, entry in accounts.items():
        if server.removeprefix("https://").removeprefix("http://").partition("/")[0] in wanted:
            if "auth" not in entry:
                return Account(entry["username"], entry["password"])
            user, _, password = base64.b64decode(entry["auth"], validate=True).decode().partition(":")
            return Account(user, password)
    return None


def _bad_config(name: str) -> ArtifactError:
    return denied(f"{name}: .dockerconfigjson of the Secret is not valid; make it with kubectl create secret")
