"""A web server with TLS on loopback, whose manners a test chooses."""

import hashlib
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from dev.cluster.pki import Authority


@dataclass
class WebServer:
    """Files by path, such as `german/v1/adapter_config.json`."""

    files: dict[str, bytes]
    authorization: str | None = None
    """The header that requests must have."""
    ranges: bool = True
    conditions: bool = True
    """Whether If-Match is looked at."""
    tags: bool = True
    redirects: dict[str, str] = field(default_factory=dict)
    """Whole addresses by path."""
    requests: list[tuple[str, str, Mapping[str, str]]] = field(default_factory=list)
    """Method, path and headers."""
    url: str = ""
    certificate: str = ""
    """PEM of the authority that signed the server's."""

    @property
    def environment(self) -> dict[str, str]:
        return {"CA_CERTIFICATE": self.certificate}

    def uri(self, path: str) -> str:
        return f"{self.url}/{path}"

    def add(self, directory: Path, path: str, *, sums: bool = True) -> str:
        """Serve a directory's files, by default with their SHA256SUMS; returns the URI."""
        contents = {file.name: file.read_bytes() for file in sorted(directory.iterdir())}
        self.files |= {f"{path}/{name}": content for name, content in contents.items()}
        if sums:
            lines = (f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in contents.items())
            self.files[f"{path}/SHA256SUMS"] = "".join(lines).encode()
        return self.uri(path)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path.lstrip("/")
        self.requests.append((request.method, path, dict(request.headers)))
        if path in self.redirects:
            return web.Response(status=307, headers={"Location": self.redirects[path]})
        if self.authorization is not None and request.headers.get("Authorization") != self.authorization:
            raise web.HTTPUnauthorized
        content = self.files.get(path)
        if content is None:
            raise web.HTTPNotFound
        tag = f'"{hashlib.md5(content).hexdigest()}"'  # noqa: S324
        headers = {"ETag": tag} if self.tags else {}
        if self.conditions and request.headers.get("If-Match", tag) != tag:
            raise web.HTTPPreconditionFailed
        return self._ranged(request, content, headers)

    def _ranged(self, request: web.Request, content: bytes, headers: dict[str, str]) -> web.Response:
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("Range", ""))
        if wanted is None or not self.ranges:
            return web.Response(body=content, headers=headers)
        start, end = int(wanted[1]), min(int(wanted[2]) + 1, len(content))
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(content)}"
        return web.Response(status=206, body=content[start:end], headers=headers)


@asynccontextmanager
async def running_web(directory: Path) -> AsyncIterator[WebServer]:
    """The server, without files, while the context is open."""
    authority = Authority(directory)
    pair = authority.server("web", ["127.0.0.1"])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.certificate, pair.key)
    server, app = WebServer({}), web.Application()
    app.router.add_get("/{path:.*}", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0)
    try:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        server.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
        server.certificate = authority.pair.certificate.read_text()
        yield server
    finally:
        await runner.cleanup()
