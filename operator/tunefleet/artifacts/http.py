"""HTTP for sources: no answer is trusted, credentials stay with the origin that they are for, nothing is unbounded."""

import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from yarl import URL

from .errors import ArtifactError, denied, not_found, unreadable

TIMEOUT = aiohttp.ClientTimeout(total=None, connect=10, sock_connect=5, sock_read=30)
MAX_REDIRECTS = 5
WHOLE_BYTES = 64 * 2**20
"""A file of at most so many bytes may be read from a server that knows no ranges: each chunk costs all before it."""
CA_CERTIFICATE = "CA_CERTIFICATE"
"""Key of a Secret: PEM of the authority that signed a private server's certificate."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PRIVATE = frozenset({"authorization"})


@dataclass(frozen=True)
class Http:
    """A session for one source, whose messages begin with `name`."""

    name: str
    session: aiohttp.ClientSession
    keys: str
    """Keys of the Secret that open the server, for messages."""
    plain: bool = False
    """Whether http:// is allowed."""

    @asynccontextmanager
    async def request(
        self, method: str, url: URL, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer after redirects, whatever its status is. Raises ArtifactError when there is none."""
        try:
            async with await self._follow(method, url, dict(headers or {})) as response:
                yield response
        except aiohttp.ClientConnectorCertificateError as error:
            raise unreadable(
                f"{self.name}: the certificate of {error.host} is not trusted; put its authority's PEM into the "
                f"Secret as {CA_CERTIFICATE}"
            ) from error
        except (aiohttp.ClientError, TimeoutError, OSError, UnicodeError) as error:
            raise unreadable(f"{self.name}: {type(error).__name__} from {url.host}") from error

    async def _follow(self, method: str, url: URL, headers: dict[str, str]) -> aiohttp.ClientResponse:
        for _ in range(MAX_REDIRECTS + 1):
            if url.scheme != "https" and not (self.plain and url.scheme == "http"):
                raise unreadable(f"{self.name}: {url.host} would be read without TLS; use a server that has it")
            response = await self.session.request(method, url, headers=headers, allow_redirects=False)
            if response.status not in _REDIRECTS:
                return response
            response.release()
            target = self.address(response.headers.get("Location", ""), url)
            if target.origin() != url.origin():
                headers = {name: value for name, value in headers.items() if name.lower() not in _PRIVATE}
            url = target
        raise unreadable(f"{self.name}: more than {MAX_REDIRECTS} redirects")

    def address(self, text: str, base: URL | None = None) -> URL:
        """An address that a server or a Secret gave. Raises ArtifactError for one that leads nowhere."""
        try:
            url = URL(text) if base is None else base.join(URL(text))
            url.origin()
        except ValueError as error:
            raise unreadable(f"{self.name}: an address that it was led to is not valid") from error
        return url

    async def body(self, url: URL, limit: int, headers: Mapping[str, str] | None = None) -> bytes | None:
        """A small document, None when there is none. Raises ArtifactError."""
        async with self.request("GET", url, headers) as response:
            if response.status in {404, 410}:
                return None
            if response.status != 200:
                raise self.refused(response.status)
            return await self.content(response, limit)

    async def content(self, response: aiohttp.ClientResponse, limit: int) -> bytes:
        """An answer's body of at most `limit` bytes. Raises ArtifactError for a longer one."""
        content = await first_bytes(response, limit + 1)
        if len(content) > limit:
            raise unreadable(f"{self.name}: {response.url.path} has more than {limit} bytes")
        return content

    async def range(
        self, url: URL, start: int, length: int, headers: Mapping[str, str] | None = None, revision: str | None = None
    ) -> bytes:
        """Bytes of a file. Raises ArtifactError, also when it is not at this revision any more."""
        if length == 0:
            return b""
        wanted = {"Range": f"bytes={start}-{start + length - 1}", **(headers or {}), **if_match(revision)}
        async with self.request("GET", url, wanted) as response:
            if response.status in {200, 206} and revision is not None and revision_of(response.headers) != revision:
                raise self.changed()
            return await self.ranged(response, start, length)

    async def ranged(self, response: aiohttp.ClientResponse, start: int, length: int) -> bytes:
        """The answer to a request for a range, with which it may begin. Raises ArtifactError."""
        if response.status not in {200, 206}:
            raise self.refused(response.status)
        if response.status == 206:
            sent = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
            if sent is None or int(sent[1]) != start:
                raise unreadable(f"{self.name}: the server sent another range than it was asked for")
            return await first_bytes(response, length)
        if start + length > WHOLE_BYTES:
            raise unreadable(f"{self.name}: the server does not answer range requests; use one that does")
        return (await first_bytes(response, start + length))[start:]

    def changed(self) -> ArtifactError:
        """The file is not the one that was listed."""
        return unreadable(f"{self.name}: a file changed while it was read; put new versions at new places")

    def refused(self, status: int) -> ArtifactError:
        """An answer that is none, in words."""
        if status in {401, 403}:
            return denied(f"{self.name}: the server refused access; check {self.keys} of the Secret named by secretRef")
        if status in {404, 410}:
            return not_found(f"{self.name}: it is not there; check the URI")
        if status in {412, 416}:
            return self.changed()
        return unreadable(f"{self.name}: the server answered {status}")


def open_session(environment: Mapping[str, str], name: str) -> aiohttp.ClientSession:
    """A session that trusts the system's authorities and the Secret's. Raises ArtifactError for a broken PEM."""
    context = ssl.create_default_context()
    if authority := environment.get(CA_CERTIFICATE):
        try:
            context.load_verify_locations(cadata=authority)
        except ssl.SSLError as error:
            raise denied(f"{name}: {CA_CERTIFICATE} of the Secret is not a certificate in PEM") from error
    return aiohttp.ClientSession(
        timeout=TIMEOUT,
        connector=aiohttp.TCPConnector(ssl=context),
        headers={"Accept-Encoding": "identity", "User-Agent": "tunefleet"},
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
    )


async def first_bytes(response: aiohttp.ClientResponse, count: int) -> bytes:
    """At most so many bytes of a body; the rest is not read."""
    read = bytearray()
    async for block in response.content.iter_any():
        read += block
        if len(read) >= count:
            break
    return bytes(read[:count])


def revision_of(headers: Mapping[str, str]) -> str | None:
    """What changes when a file does."""
    return headers.get("ETag") or headers.get("Last-Modified")


def if_match(revision: str | None) -> dict[str, str]:
    """A condition; only strong entity tags can be one (RFC 9110, 13.1.1)."""
    return {"If-Match": revision} if revision is not None and revision.startswith('"') else {}
