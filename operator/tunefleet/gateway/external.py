"""External upstreams: where they are, how to reach them, and the keys that they are asked with.

The key of an upstream is read from its Secret when the table first names it, again every REFRESH_SECONDS, and at once
when the upstream calls it invalid; never logged, never told. An upstream whose key cannot be read is not asked.
"""

import asyncio
import base64
import binascii
import logging
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import urlsplit

import aiohttp

from tunefleet.kube.client import ApiError, Client
from tunefleet.kube.resources import RESOURCES
from tunefleet.plan.facts import Key
from tunefleet.plan.fallback import External

from .health import Health
from .outside import API
from .pods import Pod

log = logging.getLogger(__name__)

REFRESH_SECONDS = 60.0
"""Between two looks at a Secret: a rotated key is used within a minute."""
RETRY_SECONDS = 2.0
"""After a look that brought no key: the operator grants it, and people create it, while somebody waits."""
AUTHORITY = "CA_CERTIFICATE"
"""Key of the Secret with the upstream's own authority, PEM; the same name as in the Secrets of sources."""
_PORTS = {"http": 80, "https": 443}


class KeyProblemError(Exception):
    """A key cannot be had; one clause that says why, without anything of the Secret."""


SecretReader = Callable[[Key], Awaitable[Mapping[str, str]]]
"""The values of a Secret. Raises KeyProblemError when there is none to be had, and OSError or aiohttp's errors when
nobody can say."""


class Place(NamedTuple):
    """A base URL taken apart."""

    tls: bool
    host: str
    port: int
    prefix: bytes
    """Of the path, without the slash at its end; what stands before /chat/completions."""
    host_line: bytes


def place_of(url: str) -> Place:
    """The API server let nothing pass that is no URL."""
    parts = urlsplit(url)
    usual = _PORTS[parts.scheme]
    host, port = parts.hostname or "", parts.port or usual
    named = host if port == usual else f"{host}:{port}"
    prefix = parts.path.rstrip("/").encode() or API
    return Place(parts.scheme == "https", host, port, prefix, f"host: {named}\r\n".encode())


class Upstream:
    """One external upstream, as a pod like any other."""

    def __init__(self, external: External, ejections: dict[str, int]) -> None:
        place = place_of(external.url)
        self.external = external
        self.problem = "its API key has not been read yet" if external.secret else ""
        """Why it cannot be asked; empty when it can."""
        self.due = 0.0
        """When to read its key."""
        region = f"x-tunefleet-region: {external.region}\r\n".encode() if external.region else b""
        self.pod = Pod(
            Key("", place.host),
            place.host,
            place.port,
            Health(ejections),
            answer_lines=region,
            prefix=place.prefix,
            host_line=place.host_line,
            tls=tls_context(None) if place.tls else None,
        )
        self._authority: str | None = None

    def use(self, values: Mapping[str, str]) -> bool:
        """Ask with the key of this Secret. True when that is news. Raises KeyProblemError."""
        line = _authorization(values, self.external.secret_key)
        authority = values.get(AUTHORITY)
        news = bool(self.problem) or line != self.pod.authorization or authority != self._authority
        if self.pod.tls is not None and authority != self._authority:
            self.pod.tls = tls_context(authority)
            self._authority = authority
        self.pod.authorization = line
        self.problem = ""
        return news


class Externals:
    """The upstreams that the present table names."""

    def __init__(self, clock: Callable[[], float], ejections: dict[str, int], on_change: Callable[[], None]) -> None:
        """`on_change`: called when an upstream can be asked that could not be, or with another key."""
        self._clock = clock
        self._ejections = ejections
        self._on_change = on_change
        self._upstreams: dict[External, Upstream] = {}
        self._leaving: list[Upstream] = []
        self._wake = asyncio.Event()

    def follow(self, wanted: Iterable[External]) -> None:
        """Know exactly these; those that are known stay with their connections and keys."""
        former, self._upstreams = self._upstreams, {}
        for external in wanted:
            known = former.pop(external, None)
            if external not in self._upstreams:
                self._upstreams[external] = known or Upstream(external, self._ejections)
                if known is None:
                    self._wake.set()
        self._leaving = [u for u in (*self._leaving, *former.values()) if u.pod.idle or u.pod.in_flight]

    def upstream(self, external: External) -> Upstream | None:
        """None for one that the table does not name any more."""
        return self._upstreams.get(external)

    def pods(self) -> list[Pod]:
        """All of them, and those that left the table with connections or requests."""
        return [upstream.pod for upstream in (*self._upstreams.values(), *self._leaving)]

    def distrust(self, pod: Pod) -> None:
        """The upstream called the key invalid: it may have been rotated."""
        for upstream in self._upstreams.values():
            if upstream.pod is pod and upstream.external.secret is not None:
                upstream.due = 0.0
                self._wake.set()

    async def run(self, read: SecretReader) -> None:
        """Keep keys current until cancelled."""
        while True:
            self._wake.clear()
            now = self._clock()
            due = [u for u in self._upstreams.values() if u.external.secret is not None and u.due <= now]
            await asyncio.gather(*[self._read(upstream, read) for upstream in due])
            times = [u.due for u in self._upstreams.values() if u.external.secret is not None]
            pause = min(times) - self._clock() if times else None
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    async def _read(self, upstream: Upstream, read: SecretReader) -> None:
        secret = upstream.external.secret
        assert secret is not None
        upstream.due = self._clock() + REFRESH_SECONDS
        try:
            news = upstream.use(await read(secret))
        except KeyProblemError as problem:
            if upstream.problem != str(problem):
                log.warning("the fallback %s is not used: %s", upstream.pod.label, problem)
            upstream.problem = str(problem)
            upstream.due = self._clock() + RETRY_SECONDS
        except (OSError, aiohttp.ClientError) as error:  # the key that was read before is as good as it was
            log.warning("the key of the fallback %s cannot be read: %s", upstream.pod.label, type(error).__name__)
            upstream.due = self._clock() + RETRY_SECONDS
        else:
            if news:
                log.info("the fallback %s can be used", upstream.pod.label)
                self._on_change()


def secret_reader(client: Client) -> SecretReader:
    """From the API server, with what the operator granted this process: `get` of that one Secret."""

    async def read(key: Key) -> Mapping[str, str]:
        try:
            secret = await client.get(RESOURCES["Secret"], key.namespace, key.name)
        except ApiError as error:
            raise _problem(error) from None
        try:
            return {name: base64.b64decode(value).decode() for name, value in (secret.get("data") or {}).items()}
        except (binascii.Error, UnicodeDecodeError):
            raise KeyProblemError("the Secret with its API key holds values that are not text") from None

    return read


def tls_context(authority: str | None) -> ssl.SSLContext:
    """Certificates and names are verified: by this authority (PEM) alone, else by the system's, see SSL_CERT_FILE.

    Raises KeyProblemError for what is no certificate.
    """
    try:
        context = ssl.create_default_context(cadata=authority or None)
    except ssl.SSLError:
        raise KeyProblemError(f"{AUTHORITY} of the Secret with its API key is no certificate in PEM form") from None
    context.set_alpn_protocols(["http/1.1"])
    return context


def _problem(error: ApiError) -> Exception:
    if error.status == 404:
        return KeyProblemError("the Secret with its API key does not exist")
    if error.status in (401, 403):
        return KeyProblemError("the Secret with its API key may not be read; the operator grants that within seconds")
    return OSError(f"the API server answered {error.status}")


def _authorization(values: Mapping[str, str], name: str) -> bytes:
    key = values.get(name, "").strip()
    if not key:
        raise KeyProblemError(f"the Secret with its API key has no value {name}")
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise KeyProblemError(f"the value {name} of the Secret with its API key is no API key: it holds blanks or more")
    return f"authorization: Bearer {key}\r\n".encode()
