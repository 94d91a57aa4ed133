"""Real OCI registries (distribution) on loopback, a service that gives tokens for one, and pushing to them."""

import base64
import hashlib
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from aiohttp import web
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.artifacts.server_process import free_port, serving
from tunefleet.artifacts.oci_manifest import MANIFEST

USER, PASSWORD = "tunefleet", "registry-password"
PASSWORD_HASH = "$2y$04$abcdefghijklmnopqrstuuvMfIFKvu0UMo4ROgipiW53f9qa5YK3q"
"""bcrypt of PASSWORD, as htpasswd writes it."""
EMPTY = b"{}"
MODEL = "application/vnd.cncf.model"


@dataclass(frozen=True)
class Registry:
    """One that listens at `host`; those of one directory have the same blobs."""

    host: str

    def uri(self, reference: str) -> str:
        return f"oci://{self.host}/{reference}"

    def push(self, repository: str, tag: str, layers: list["Blob"], **manifest: Any) -> str:
        """Push an artifact; returns its manifest's digest."""
        config = Blob(EMPTY, "application/vnd.oci.empty.v1+json")
        for blob in (config, *layers):
            self._push_blob(repository, blob.content)
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config.descriptor,
            "layers": [layer.descriptor for layer in layers],
        }
        return self.push_manifest(repository, tag, {**document, **manifest})

    def push_manifest(self, repository: str, tag: str, document: Mapping[str, Any]) -> str:
        content = json.dumps(document).encode()
        headers = {"Content-Type": str(document["mediaType"])}
        _put(f"http://{self.host}/v2/{repository}/manifests/{tag}", content, headers)
        return digest_of(content)

    def _push_blob(self, repository: str, content: bytes) -> None:
        begin = Request(f"http://{self.host}/v2/{repository}/blobs/uploads/", method="POST")
        with urlopen(begin) as answer:  # noqa: S310
            place = answer.headers["Location"]
        _put(f"{place}&digest={digest_of(content)}", content, {"Content-Type": "application/octet-stream"})


@dataclass(frozen=True)
class Blob:
    """A layer to push."""

    content: bytes
    media_type: str
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def descriptor(self) -> dict[str, Any]:
        return {
            "mediaType": self.media_type,
            "digest": digest_of(self.content),
            "size": len(self.content),
            "annotations": dict(self.annotations),
        }


def digest_of(content: bytes) -> str:
    """As registries name it."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def titled(directory: Path) -> list[Blob]:
    """A directory's files as ORAS pushes them."""
    return [
        Blob(path.read_bytes(), "application/vnd.oci.image.layer.v1.tar", {"org.opencontainers.image.title": path.name})
        for path in sorted(directory.iterdir())
    ]


def raw_model(directory: Path) -> list[Blob]:
    """A directory's files as a ModelPack of raw layers."""
    kinds = {".safetensors": "weight", ".md": "doc"}
    return [
        Blob(
            path.read_bytes(),
            f"{MODEL}.{kinds.get(path.suffix, 'weight.config')}.v1.raw",
            {"org.cncf.model.filepath": path.name},
        )
        for path in sorted(directory.iterdir())
    ]


@contextmanager
def running_registry(binary: Path, directory: Path, name: str, **auth: Any) -> Iterator[Registry]:
    """A registry over `directory`/data; `auth` is that part of its configuration."""
    port = free_port()
    work = directory / name
    work.mkdir()
    configuration = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(directory / "data")}},
        "http": {"addr": f"127.0.0.1:{port}", "secret": "of the tests"},
        **({"auth": auth} if auth else {}),
    }
    (work / "config.yml").write_text(json.dumps(configuration))  # JSON is YAML
    with serving([binary, "serve", work / "config.yml"], port, work, {"OTEL_TRACES_EXPORTER": "none"}):
        yield Registry(f"127.0.0.1:{port}")


def htpasswd(directory: Path) -> dict[str, Any]:
    """Configuration of a registry that asks for a password."""
    (directory / "htpasswd").write_text(f"{USER}:{PASSWORD_HASH}\n")
    return {"htpasswd": {"realm": "models", "path": str(directory / "htpasswd")}}


class TokenService:
    """Gives tokens of RS256 to whoever knows the password."""

    ISSUER, SERVICE = "tokens of the tests", "models"

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(65537, 2048)
        self.given: list[str] = []
        """Scopes that were asked for."""
        self.lifetime = 300
        """Seconds; a negative number gives tokens that are too old."""
        self.port = free_port()

    def configuration(self, directory: Path) -> dict[str, Any]:
        """Of a registry that trusts this service."""
        numbers = self._key.public_key().public_numbers()
        jwk: dict[str, str] = {"kty": "RSA", "kid": "one", "alg": "RS256", "use": "sig"} | {
            name: _base64(number.to_bytes((number.bit_length() + 7) // 8, "big"))
            for name, number in (("n", numbers.n), ("e", numbers.e))
        }
        (directory / "jwks.json").write_text(json.dumps({"keys": [jwk]}))
        realm = f"http://127.0.0.1:{self.port}/token"
        settings = {"realm": realm, "service": self.SERVICE, "issuer": self.ISSUER}
        return {"token": {**settings, "jwks": str(directory / "jwks.json"), "signingalgorithms": ["RS256"]}}

    async def answer(self, request: web.Request) -> web.Response:
        wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if request.headers.get("Authorization") != wanted or request.query["service"] != self.SERVICE:
            raise web.HTTPUnauthorized
        self.given.append(request.query["scope"])
        kind, name, actions = request.query["scope"].split(":")
        return web.json_response({"token": self._token({"type": kind, "name": name, "actions": actions.split(",")})})

    def _token(self, access: dict[str, Any]) -> str:
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self.ISSUER,
            "aud": self.SERVICE,
            "sub": USER,
            "access": [access],
            "jti": str(len(self.given)),
        }
        claims |= {"iat": now - 3600, "nbf": now - 3600, "exp": now + self.lifetime}
        parts: tuple[dict[str, Any], ...] = ({"typ": "JWT", "alg": "RS256", "kid": "one"}, claims)
        text = ".".join(_base64(json.dumps(part).encode()) for part in parts)
        return f"{text}.{_base64(self._key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    @asynccontextmanager
    async def running(self) -> AsyncIterator["TokenService"]:
        app = web.Application()
        app.router.add_get("/token", self.answer)
        runner = web.AppRunner(app, shutdown_timeout=0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", self.port).start()
            yield self
        finally:
            await runner.cleanup()


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _put(url: str, content: bytes, headers: Mapping[str, str]) -> None:
    urlopen(Request(url, content, dict(headers), method="PUT")).close()  # noqa: S310
