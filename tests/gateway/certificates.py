"""Certificates of the tests, in files as the kubelet lays them out: names that lead through one symbolic link."""

import ipaddress
import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tunefleet.gateway.tls import TlsFiles

_numbers = itertools.count(1)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])


@dataclass
class Authority:
    """Signs certificates."""

    name: str = "authority"
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def pem(self) -> bytes:
        """Its own certificate."""
        certificate = self._builder(self.name, self.key.public_key(), 3650).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        return certificate.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def pair(self, name: str = "gateway", days: int = 90) -> tuple[bytes, bytes]:
        """A certificate for this machine, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName(
            [x509.DNSName("localhost"), *(x509.IPAddress(ipaddress.ip_address(ip)) for ip in ("127.0.0.1", "::1"))]
        )
        certificate = self._builder(name, key.public_key(), days).add_extension(names, critical=False)
        return (
            certificate.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM),
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )

    def _builder(self, name: str, key: ec.EllipticCurvePublicKey, days: int) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder().subject_name(_name(name)).issuer_name(_name(self.name)).public_key(key)
        validity = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=days))
        return validity.serial_number(next(_numbers))


@dataclass
class Mounted:
    """A Secret's directory, as the kubelet mounts it."""

    directory: Path
    authority: Authority = field(default_factory=Authority)

    @property
    def files(self) -> TlsFiles:
        return TlsFiles(self.directory / "tls.crt", self.directory / "tls.key")

    @property
    def ca(self) -> Path:
        """The authority's certificate, for clients."""
        path = self.directory / "ca.pem"
        path.write_bytes(self.authority.pem)
        return path

    def put(self, certificate: bytes, key: bytes) -> None:
        """Swap both files at once."""
        version = self.directory / f"..{next(_numbers)}"
        version.mkdir()
        (version / "tls.crt").write_bytes(certificate)
        (version / "tls.key").write_bytes(key)
        link = self.directory / "..new"
        link.symlink_to(version.name)
        link.rename(self.directory / "..data")
        for name in ("tls.crt", "tls.key"):
            path = self.directory / name
            if not path.is_symlink():
                path.symlink_to(f"..data/{name}")
