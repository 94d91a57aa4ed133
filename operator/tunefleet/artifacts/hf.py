"""hf://ORG/NAME[/PATH]@REVISION: a Hugging Face compatible hub, through huggingface_hub.

A branch or tag is resolved to a commit when the source is opened, and everything is read from that commit.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import httpx2
from huggingface_hub import HfApi, get_async_session, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tunefleet.api.conditions import Reason
from tunefleet.api.sources import SourceUri

from .errors import ArtifactError, denied, not_found, unreadable
from .source import RemoteFile

TIMEOUT_SECONDS = 30.0
"""For one connect, one read of a socket, one listing."""


@dataclass(frozen=True)
class HfSource:
    """A directory of a model repository at one commit."""

    uri: str
    repo: str
    folder: str
    commit: str
    listing: tuple[RemoteFile, ...]
    endpoint: str | None
    token: str | None
    client: httpx2.AsyncClient

    async def files(self) -> tuple[RemoteFile, ...]:
        return self.listing

    async def read(self, file: RemoteFile, start: int, length: int) -> bytes:
        if length == 0:
            return b""
        url = hf_hub_url(
            self.repo, file.name, subfolder=self.folder or None, revision=self.commit, endpoint=self.endpoint
        )
        headers = {"Range": f"bytes={start}-{start + length - 1}"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        try:
            response = await self.client.get(url, headers=headers, timeout=TIMEOUT_SECONDS)
        except httpx2.HTTPError as error:
            raise unreadable(f"{self.uri}: {type(error).__name__} from the hub") from error
        if response.status_code not in {200, 206}:
            raise _refused(self.uri, response.status_code)
        return response.content if response.status_code == 206 else response.content[start : start + length]

    async def close(self) -> None:
        await self.client.aclose()


async def open_hf(uri: SourceUri, environment: Mapping[str, str]) -> HfSource:
    """Resolve the revision and list its files, in one request. Raises ArtifactError."""
    name, _, folder = uri.path.partition("/")
    repo = f"{uri.place}/{name}"
    endpoint = environment.get("HF_ENDPOINT") or None
    token = environment.get("HF_TOKEN") or None
    api = HfApi(endpoint=endpoint, token=token or False)
    try:
        info = await asyncio.to_thread(
            api.model_info, repo, revision=uri.revision, files_metadata=True, timeout=TIMEOUT_SECONDS
        )
    except (HfHubHTTPError, HFValidationError, httpx2.HTTPError) as error:
        raise _translate(str(uri), error) from error
    if info.sha is None:
        raise unreadable(f"{uri}: the hub named no commit")
    prefix = f"{folder}/" if folder else ""
    listing = tuple(
        RemoteFile(s.rfilename.removeprefix(prefix), s.size or 0, s.lfs.sha256 if s.lfs else None, s.blob_id)
        for s in info.siblings or ()
        if s.rfilename.startswith(prefix) and "/" not in s.rfilename.removeprefix(prefix)
    )
    if not listing:
        raise not_found(f"{uri}: the repository has no files there; check the path")
    return HfSource(str(uri.at(info.sha)), repo, folder, info.sha, listing, endpoint, token, get_async_session())


def _translate(uri: str, error: Exception) -> ArtifactError:
    match error:
        case GatedRepoError():
            return denied(f"{uri}: the repository is gated; accept its terms with the account of HF_TOKEN")
        case RevisionNotFoundError():
            return not_found(f"{uri}: the repository has no such revision")
        case RepositoryNotFoundError():
            return not_found(f"{uri}: no such repository, or HF_TOKEN of the Secret may not read it")
        case HFValidationError():
            return ArtifactError(Reason.SOURCE_NOT_FOUND, f"{uri}: not a valid repository name; write hf://ORG/NAME")
        case HfHubHTTPError():
            return _refused(uri, error.response.status_code)
        case _:
            return unreadable(f"{uri}: {type(error).__name__} from the hub")


def _refused(uri: str, status: int) -> ArtifactError:
    if status in {401, 403}:
        return denied(f"{uri}: the hub refused access; check HF_TOKEN of the Secret named by secretRef")
    if status == 404:
        return not_found(f"{uri}: a listed file is not there")
    return unreadable(f"{uri}: the hub answered {status}")
