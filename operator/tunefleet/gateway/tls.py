"""The public port's certificate: two PEM files, as cert-manager and the kubelet write them, read anew when they change.

Contexts are never changed. New files make a new context for connections to come; those that run keep theirs.
"""

import logging
import ssl
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

log = logging.getLogger(__name__)

Signature = tuple[tuple[int, ...] | None, ...]
"""By file: what `stat` says of what stands there; None: nothing."""


@dataclass(frozen=True)
class TlsFiles:
    """Where the PEM files are."""

    certificate: Path
    """The server's certificate, and the intermediate ones behind it."""
    key: Path
    client_ca: Path | None = None
    """Clients must show a certificate that one of these signed; None: they need none."""

    def signature(self) -> Signature:
        """Another one when a file, or a symbolic link on the way to it, is another."""
        return tuple(_stat(path) for path in (self.certificate, self.key, self.client_ca) if path is not None)


def make_context(files: TlsFiles) -> ssl.SSLContext:
    """TLS 1.2 or later, HTTP/1.1 only. Raises OSError (SSLError, FileNotFoundError) for files that do not serve."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(files.certificate, files.key, password="")  # never asks a terminal for one
    context.set_alpn_protocols(["http/1.1"])
    if files.client_ca is not None:
        context.load_verify_locations(files.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def expiry(certificate: Path) -> datetime:
    """When the first certificate of the file ends to be valid. Raises OSError or ValueError."""
    from cryptography.x509 import load_pem_x509_certificate  # only gateways with TLS pay for it

    return load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc


class Tls:
    """The context of connections to come."""

    def __init__(self, files: TlsFiles) -> None:
        """Raises OSError or ValueError for files that do not serve."""
        self.files = files
        self._seen = files.signature()
        self.context, self.expires = _load(files)

    def renewed(self) -> bool:
        """Look at the files; whether there is a new context. A pair that does not serve is logged and left alone."""
        seen = self.files.signature()
        if seen == self._seen:
            return False
        self._seen = seen  # taken before the files are read: whatever changes meanwhile is seen the next time
        try:
            self.context, self.expires = _load(self.files)
        except (OSError, ValueError) as error:
            log.error(
                "%s and %s are no certificate with its key (%s): connections go on with the former one, which ends %s",
                self.files.certificate, self.files.key, error, self.expires.isoformat(),
            )  # fmt: skip
            return False
        log.info("new certificate, which ends %s", self.expires.isoformat())
        return True


def _load(files: TlsFiles) -> tuple[ssl.SSLContext, datetime]:
    return make_context(files), expiry(files.certificate)


def _stat(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
