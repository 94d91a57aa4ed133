"""mlflow://NAME/VERSION[/PATH] or mlflow://NAME[/PATH]@ALIAS: a version of a model in an MLflow registry.

An alias is resolved to a version when the source is opened. The files are read from where the version's artifacts are:
through the tracking server where it serves them, else from the bucket itself. What the run tells of its parameters,
metrics and datasets goes along as lineage. The REST API is used directly: https://mlflow.org/docs/latest/rest-api.html
"""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from yarl import URL

from tunefleet.api.conditions import Reason
from tunefleet.api.sources import SourceUri

from .errors import ArtifactError, denied, not_found, unreadable
from .http import Http, open_session
from .https import basic
from .mlflow_lineage import lineage
from .source import RemoteFile, Source

MAX_ANSWER_BYTES = 8 * 2**20
KEYS = "MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD,"
_API = "api/2.0/mlflow"
_ARTIFACTS = "api/2.0/mlflow-artifacts/artifacts"
_PARTS = re.compile(r"[A-Za-z0-9._=+@~ -]+(/[A-Za-z0-9._=+@~ -]+)*")
_SERVED = re.compile(r"^mlflow-artifacts:(//[^/]*)?/+")
"""The host, if any, is the tracking server's own name."""
_Json = Mapping[str, Any]
Delegate = Callable[[str], Awaitable[Source]]
"""Opens another source with the same Secret."""


@dataclass(frozen=True)
class Tracking:
    """A tracking server."""

    http: Http
    url: URL
    headers: Mapping[str, str]

    async def get(self, route: str, **query: str) -> _Json | None:
        """A JSON answer, None when there is no such thing. Raises ArtifactError."""
        url = (self.url / route).with_query(query)
        async with self.http.request("GET", url, self.headers) as response:
            content = await self.http.content(response, MAX_ANSWER_BYTES)
            if response.status in {400, 404} and b"not found" in content.lower():
                return None
            if response.status != 200:
                raise self.http.refused(response.status)
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise self.no_mlflow() from error
        if not isinstance(answer, dict):
            raise self.no_mlflow()
        return answer

    def no_mlflow(self) -> ArtifactError:
        """Something else answers there."""
        return unreadable(f"{self.http.name}: no MLflow answers there; check MLFLOW_TRACKING_URI of the Secret")


@dataclass(frozen=True)
class ProxiedFiles:
    """A directory of artifacts, read through the tracking server."""

    uri: str
    tracking: Tracking
    directory: str

    async def files(self) -> tuple[RemoteFile, ...]:
        answer = await self.tracking.get(_ARTIFACTS, path=self.directory) or {}
        try:
            found = [f for f in answer.get("files", ()) if not f.get("is_dir")]
            return tuple(RemoteFile(str(f["path"]).rpartition("/")[2], int(f["file_size"])) for f in found)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise self.tracking.no_mlflow() from error

    async def read(self, file: RemoteFile, start: int, length: int) -> bytes:
        url = self.tracking.url / _ARTIFACTS / self.directory / file.name
        return await self.tracking.http.range(url, start, length, self.tracking.headers)

    async def close(self) -> None:
        return


@dataclass(frozen=True)
class MlflowSource:
    """A model version: another source's files, and where they come from."""

    uri: str
    inner: Source
    tracking: Tracking
    lineage: Mapping[str, str]

    async def files(self) -> tuple[RemoteFile, ...]:
        return await self.inner.files()

    async def read(self, file: RemoteFile, start: int, length: int) -> bytes:
        return await self.inner.read(file, start, length)

    async def close(self) -> None:
        await self.inner.close()
        await self.tracking.http.session.close()


async def open_mlflow(uri: SourceUri, environment: Mapping[str, str], delegate: Delegate) -> MlflowSource:
    """Resolve the alias, find the artifacts, take over the lineage. Raises ArtifactError."""
    tracking = _tracking(uri, environment)
    try:
        return await _open(uri, environment, tracking, delegate)
    except BaseException:
        await tracking.http.session.close()
        raise


async def _open(uri: SourceUri, environment: Mapping[str, str], tracking: Tracking, delegate: Delegate) -> MlflowSource:
    version = await _version(tracking, uri)
    number = str(version.get("version", ""))
    resolved = uri if uri.pinned else uri.at(number)
    run = await _run(tracking, str(version.get("run_id") or ""))
    place = await _place(tracking, uri.place, number, resolved.path.partition("/")[2])
    asked = {"mlflow.model": uri.place, "mlflow.version": number, "mlflow.alias": uri.revision or ""}
    secrets = [value for key, value in environment.items() if _is_credential(key)]
    return MlflowSource(
        uri=str(resolved),
        inner=await _files(tracking, place, delegate),
        tracking=tracking,
        lineage=lineage(version, run, asked, secrets),
    )


def _tracking(uri: SourceUri, environment: Mapping[str, str]) -> Tracking:
    server = environment.get("MLFLOW_TRACKING_URI", "").rstrip("/")
    if not server.startswith(("http://", "https://")):
        raise denied(f"{uri}: no tracking server; set MLFLOW_TRACKING_URI in the Secret named by secretRef")
    try:
        url = URL(server)
    except ValueError as error:
        raise denied(f"{uri}: MLFLOW_TRACKING_URI of the Secret is not an address") from error
    http = Http(str(uri), open_session(environment, str(uri)), KEYS, plain=url.scheme == "http")
    return Tracking(http, url, _credentials(environment))


def _credentials(environment: Mapping[str, str]) -> dict[str, str]:
    if token := environment.get("MLFLOW_TRACKING_TOKEN"):
        return {"Authorization": f"Bearer {token}"}
    if name := environment.get("MLFLOW_TRACKING_USERNAME"):
        return {"Authorization": basic(name, environment.get("MLFLOW_TRACKING_PASSWORD", ""))}
    return {}


def _is_credential(key: str) -> bool:
    return key.startswith(("MLFLOW_TRACKING_", "AWS_", "GOOGLE_", "AZURE_")) and key.endswith(
        ("TOKEN", "PASSWORD", "KEY", "SECRET", "URI")
    )


async def _version(tracking: Tracking, uri: SourceUri) -> _Json:
    if uri.revision is not None:
        answer = await tracking.get(f"{_API}/registered-models/alias", name=uri.place, alias=uri.revision)
    else:
        number = uri.path.partition("/")[0]
        answer = await tracking.get(f"{_API}/model-versions/get", name=uri.place, version=number)
    version = (answer or {}).get("model_version")
    if not isinstance(version, dict):
        raise not_found(f"{uri}: the registry has no such model, version or alias; check the name")
    if version.get("status", "READY") != "READY":
        raise not_found(f"{uri}: the registry says that version {version.get('version')} is not ready")
    return version


async def _run(tracking: Tracking, run_id: str) -> _Json:
    """The run that made the version; nothing when it was deleted or is not named."""
    answer = await tracking.get(f"{_API}/runs/get", run_id=run_id) if run_id else None
    run = (answer or {}).get("run")
    return run if isinstance(run, dict) else {}


async def _place(tracking: Tracking, name: str, version: str, path: str) -> str:
    """URI of the directory with the files; a run's or a logged model's is looked up."""
    answer = await tracking.get(f"{_API}/model-versions/get-download-uri", name=name, version=version)
    root, tail = _text(answer, "artifact_uri"), ""
    kind, _, rest = root.partition(":/")
    if kind in {"runs", "models"}:
        owner, _, tail = rest.partition("/")
        run = await _run(tracking, owner) if kind == "runs" else None
        root = _text(run, "info", "artifact_uri") if run is not None else await _logged_model(tracking, owner)
    if not root:
        raise not_found(f"{tracking.http.name}: the version's artifacts are not there any more; register it again")
    return "/".join(filter(None, (root.rstrip("/"), tail.strip("/"), path)))


async def _logged_model(tracking: Tracking, model_id: str) -> str:
    """Where MLflow 3 keeps a model that no run's directory holds."""
    return _text(await tracking.get(f"{_API}/logged-models/{model_id}"), "model", "info", "artifact_uri")


def _text(answer: object, *keys: str) -> str:
    """A text somewhere in an answer, or nothing."""
    for key in keys:
        answer = answer.get(key) if isinstance(answer, dict) else None
    return answer if isinstance(answer, str) else ""


async def _files(tracking: Tracking, place: str, delegate: Delegate) -> Source:
    scheme = place.partition(":")[0]
    if scheme == "mlflow-artifacts":
        path = _SERVED.sub("", place).strip("/")
        if not _PARTS.fullmatch(path) or ".." in path.split("/"):
            raise unreadable(f"{tracking.http.name}: the registry gave a path that cannot be read")
        return ProxiedFiles(tracking.http.name, tracking, path)
    if scheme in {"s3", "gs"}:
        return await delegate(place)
    raise ArtifactError(
        Reason.UNSUPPORTED_SOURCE,
        f"{tracking.http.name}: its artifacts are at {scheme}:, which only the tracking server reads; start it with "
        "--serve-artifacts and register the version again",
    )
