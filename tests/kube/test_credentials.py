"""A pod's own account, as the kubelet lays it out."""

import asyncio
import ssl
from base64 import b64decode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml
from aiohttp import ClientConnectorCertificateError, web
from aiohttp.test_utils import TestServer
from yarl import URL

from dev.shell import Shell
from tests.gateway.certificates import Authority
from tunefleet.kube import client as client_module
from tunefleet.kube.client import Client
from tunefleet.kube.credentials import NoClusterError, in_pod, of_pod
from tunefleet.kube.resources import RESOURCES, Resource

SECRET = RESOURCES["Secret"]
REVIEWS = Resource("authentication.k8s.io/v1", "selfsubjectreviews", namespaced=False)
"""The API server says who asks."""


class Account:
    """Files of a pod's account; of an API server whose certificate `authority` signs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority()
        self.token = folder / "token"
        self.ca = folder / "ca.crt"
        self.token.write_text("first")
        self.ca.write_bytes(self.authority.pem)

    def certificate(self) -> ssl.SSLContext:
        certificate, key = self.authority.pair()
        (self.folder / "tls.crt").write_bytes(certificate)
        (self.folder / "tls.key").write_bytes(key)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.folder / "tls.crt", self.folder / "tls.key")
        return context


@asynccontextmanager
async def serving(app: web.Application, account: Account, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """The app under TLS; gives the port."""
    server = TestServer(app, host=host)
    await server.start_server(ssl=account.certificate())
    try:
        yield server.port or 0
    finally:
        await server.close()


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return Account(tmp_path)


def service(host: str = "10.0.0.1", port: str | int = 443) -> Mapping[str, str]:
    return {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": str(port)}


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_requests_of_a_pod_show_the_token_of_the_moment(account: Account, address: str) -> None:
    seen: list[str | None] = []

    async def secret(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return web.json_response({"metadata": {"name": "x"}})

    app = web.Application()
    app.router.add_get("/api/v1/namespaces/ns/secrets/x", secret)
    async with (
        serving(app, account, address) as port,
        Client(of_pod(service(address, port), account.folder)) as client,
    ):
        await client.get(SECRET, "ns", "x")
        account.token.write_text("second\n")
        await client.get(SECRET, "ns", "x")
    assert seen == ["Bearer first", "Bearer second"]


async def test_a_server_that_another_authority_vouches_for_learns_nothing(account: Account) -> None:
    seen: list[web.Request] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append(request)
        return web.json_response({})

    app = web.Application()
    app.router.add_get("/{path:.*}", handle)
    async with serving(app, account) as port:
        account.ca.write_bytes(Authority("another").pem)
        async with Client(of_pod(service("127.0.0.1", port), account.folder)) as client:
            with pytest.raises(ClientConnectorCertificateError):
                await client.get(SECRET, "ns", "x")
    assert not seen


def test_while_a_token_is_missing_or_empty_the_last_one_stays(account: Account) -> None:
    server = of_pod(service(), account.folder)
    account.token.unlink()
    assert server.authorization() == "Bearer first"
    account.token.write_text("")
    assert server.authorization() == "Bearer first"
    account.token.write_text("second")
    assert server.authorization() == "Bearer second"


@pytest.mark.parametrize(
    ("host", "url"), [("10.96.0.1", "https://10.96.0.1:443"), ("fd00::1", "https://[fd00::1]:443")]
)
def test_the_address_comes_from_the_environment(account: Account, host: str, url: str) -> None:
    assert of_pod(service(host), account.folder).url == url


@pytest.mark.parametrize("environ", [{}, service(""), service(port=""), {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}])
def test_without_an_address(account: Account, environ: Mapping[str, str]) -> None:
    with pytest.raises(NoClusterError, match="KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set"):
        of_pod(environ, account.folder)


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
@pytest.mark.parametrize("name", ["token", "ca.crt"])
def test_files_that_are_missing_or_say_nothing(account: Account, name: str, content: bytes | None) -> None:
    path = account.folder / name
    if content is None:
        path.unlink()
        assert in_pod(account.folder) == (name != "token")
    else:
        path.write_bytes(content)
    if name == "token" and content:
        assert of_pod(service(), account.folder).authorization() == f"Bearer {content.decode()}"
        return
    with pytest.raises(NoClusterError, match="cannot be used"):
        of_pod(service(), account.folder)


async def test_a_pod_connects_as_its_account_and_a_kubeconfig_comes_first(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setattr(client_module, "in_pod", lambda: in_pod(account.folder))
    monkeypatch.setattr(client_module, "of_pod", lambda: of_pod(service(), account.folder))
    async with await Client.connect() as client:
        assert client.server == "https://10.0.0.1:443"
    empty = account.folder / "kubeconfig"
    await asyncio.to_thread(empty.write_text, "{}")
    with pytest.raises(NoClusterError):
        await Client.connect(str(empty))


def _authority(cluster: Mapping[str, str], kubeconfig: Path) -> bytes:
    """As the kubeconfig says; the API server that the tests start signs for itself, in a file."""
    if data := cluster.get("certificate-authority-data"):
        return b64decode(data)
    return (kubeconfig.parent / "certificates" / "apiserver.crt").read_bytes()


@pytest.mark.apiserver
async def test_a_real_api_server_knows_the_account(
    account: Account, kubeconfig: Path, kubectl: Shell, namespace: str
) -> None:
    cluster = yaml.safe_load(await asyncio.to_thread(kubeconfig.read_text))["clusters"][0]["cluster"]
    kubectl.kubectl("create", "serviceaccount", "gateway", "-n", namespace)
    account.token.write_text(kubectl.kubectl("create", "token", "gateway", "-n", namespace))
    account.ca.write_bytes(_authority(cluster, kubeconfig))
    url = URL(cluster["server"])
    async with Client(of_pod(service(url.host or "", url.port or 0), account.folder)) as client:
        review = await client.create(REVIEWS, None, {"apiVersion": REVIEWS.api_version, "kind": "SelfSubjectReview"})
    assert review["status"]["userInfo"]["username"] == f"system:serviceaccount:{namespace}:gateway"
