"""The cluster's DNS: CoreDNS as a Deployment behind the Service whose address every pod has as its resolver."""

from __future__ import annotations

from pathlib import Path
from string import Template

from dev.cluster import health
from dev.settings import Settings


def manifest(settings: Settings) -> str:
    """The objects, as YAML."""
    text = (Path(__file__).parent / "coredns.yaml").read_text()
    return Template(text).substitute(DNS_SERVICE=settings.dns_service)


def apply(settings: Settings) -> None:
    """Create or update them; does not wait."""
    health.kubectl(
        settings,
        "apply",
        "--server-side",
        "--force-conflicts",
        "--field-manager=dev",
        "-f",
        "-",
        stdin=manifest(settings),
    )
