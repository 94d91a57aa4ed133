"""From a URI to an opened source. Clients are imported when they are needed: most agents need one of them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import assert_never

from tunefleet.api.conditions import Reason
from tunefleet.api.sources import Scheme, SourceUri, parse_source

from .errors import ArtifactError
from .pvc import MOUNT_ROOT, open_pvc
from .source import Source


@asynccontextmanager
async def open_source(
    uri: str, environment: Mapping[str, str], *, mount_root: Path = MOUNT_ROOT
) -> AsyncIterator[Source]:
    """The source that a URI names, pinned. `environment` holds its endpoint and credentials. Raises ArtifactError."""
    source = await _open(_parsed(uri), environment, mount_root)
    try:
        yield source
    finally:
        await source.close()


def _parsed(uri: str) -> SourceUri:
    try:
        return parse_source(uri)
    except ValueError as error:
        raise ArtifactError(Reason.UNSUPPORTED_SOURCE, str(error)) from error


async def _open(uri: SourceUri, environment: Mapping[str, str], mount_root: Path) -> Source:
    match uri.scheme:
        case Scheme.PVC:
            return open_pvc(uri, mount_root)
        case Scheme.S3:
            from .s3 import open_s3

            return open_s3(uri, environment)
        case Scheme.GS:
            from .gs import open_gs

            return open_gs(uri, environment)
        case Scheme.AZ:
            from .azure import open_azure

            return open_azure(uri, environment)
        case Scheme.HF:
            from .hf import open_hf

            return await open_hf(uri, environment)
        case Scheme.OCI:
            from .oci import open_oci

            return await open_oci(uri, environment)
        case Scheme.HTTPS:
            from .https import open_https

            return await open_https(uri, environment)
        case Scheme.MLFLOW:
            from .mlflow import open_mlflow

            return await open_mlflow(uri, environment, lambda place: _open(_parsed(place), environment, mount_root))
    assert_never(uri.scheme)
