"""Certificates of one cluster: an authority of its own, one certificate for each component, and kubeconfigs.

Keys are P-256 and are made anew when the state directory is: they never leave it.
"""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from dev.cluster import files
from dev.settings import Settings

VALID = dt.timedelta(days=3650)


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Client:
    """Who a component is to the API server: the certificate's CN is the user, its Os are the groups."""

    file: str
    user: str
    groups: tuple[str, ...] = ()


ADMIN = Client("admin", "tunefleet-admin", ("system:masters",))
CONTROLLER_MANAGER = Client("controller-manager", "system:kube-controller-manager")
SCHEDULER = Client("scheduler", "system:kube-scheduler")
PROXY = Client("kube-proxy", "system:kube-proxy")


def kubelet(settings: Settings) -> Client:
    """The node authorizer wants just this user and group."""
    return Client("kubelet", f"system:node:{settings.node_name}", ("system:nodes",))


class Authority:
    """Signs; the files lie in `directory` and are kept when they are there."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.directory = directory
        self.pair = Pair(directory / "ca.crt", directory / "ca.key")
        if not self.pair.certificate.exists():
            self._create()
        self._certificate = x509.load_pem_x509_certificate(self.pair.certificate.read_bytes())
        key = serialization.load_pem_private_key(self.pair.key.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._key = key

    def server(self, file: str, addresses: Iterable[str], names: Iterable[str] = ()) -> Pair:
        """A certificate to listen with, for `addresses` and DNS `names`; it also serves as etcd's peer's."""
        alternatives = x509.SubjectAlternativeName(
            [*(x509.IPAddress(ipaddress.ip_address(a)) for a in addresses), *(x509.DNSName(n) for n in names)]
        )
        usage = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        return self._issue(file, _subject(file), usage, alternatives)

    def client(self, client: Client) -> Pair:
        """A certificate to be known by."""
        return self._issue(client.file, _subject(client.user, client.groups), [ExtendedKeyUsageOID.CLIENT_AUTH])

    def signing_key(self, file: str) -> Pair:
        """A bare key pair: the API server signs service accounts' tokens with it. `certificate` is the public key."""
        pair = Pair(self.directory / f"{file}.pub", self.directory / f"{file}.key")
        if not pair.certificate.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            _write_key(pair.key, key)
            pair.certificate.write_bytes(
                key.public_key().public_bytes(
                    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
                )
            )
        return pair

    def _create(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = _subject("tunefleet-local-cluster")
        certificate = (
            _builder(name, name, key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        _write_key(self.pair.key, key)
        self.pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def _issue(
        self,
        file: str,
        subject: x509.Name,
        usage: list[x509.ObjectIdentifier],
        alternatives: x509.SubjectAlternativeName | None = None,
    ) -> Pair:
        pair = Pair(self.directory / f"{file}.crt", self.directory / f"{file}.key")
        if pair.certificate.exists():
            return pair
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(subject, self._certificate.subject, key.public_key()).add_extension(
            x509.ExtendedKeyUsage(usage), critical=False
        )
        if alternatives is not None:
            builder = builder.add_extension(alternatives, critical=False)
        _write_key(pair.key, key)
        certificate = builder.sign(self._key, hashes.SHA256())
        pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return pair


def write_kubeconfig(path: Path, settings: Settings, authority: Authority, client: Client) -> Path:
    """Write access for `client`, certificates included, so that the file can be copied."""
    pair = authority.client(client)
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": settings.name,
        "contexts": [{"name": settings.name, "context": {"cluster": settings.name, "user": client.user}}],
        "clusters": [
            {
                "name": settings.name,
                "cluster": {
                    "server": settings.api_url,
                    "certificate-authority-data": _base64(authority.pair.certificate),
                },
            }
        ],
        "users": [
            {
                "name": client.user,
                "user": {
                    "client-certificate-data": _base64(pair.certificate),
                    "client-key-data": _base64(pair.key),
                },
            }
        ],
    }
    return files.write(path, yaml.safe_dump(config))


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def _subject(common_name: str, organizations: Iterable[str] = ()) -> x509.Name:
    organizational = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, name) for name in organizations]
    return x509.Name([*organizational, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    # An hour back: a machine that was resumed may have a clock that is behind.
    start = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + VALID)
    )


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
