"""s3://BUCKET/PREFIX: any S3-compatible server, through obstore.

Endpoint and keys come from the given environment alone (a Secret's data), never from the node: without keys and
without a workload identity requests are anonymous, and a private bucket says AccessDenied.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import (
    BaseError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import S3Store

from tunefleet.api.sources import SourceUri

from .errors import ArtifactError, denied, not_found, unreadable
from .source import RemoteFile

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config

DEFAULT_REGION = "us-east-1"
_WORKLOAD_IDENTITY = ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI")
_STATUS = re.compile(r"non-2xx status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w{1,64})</Code>")
_KEY_CODES = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "XAdminUserNotFound"}
)
"""Codes that speak of the keys, whatever the status is; the last is versitygw's."""
_RETRIES: "RetryConfig" = {"max_retries": 2, "retry_timeout": timedelta(seconds=20)}
"""Few: `source.read_range` tries again as well, and a person waits for the reason."""


@dataclass(frozen=True)
class S3Source:
    """A prefix of a bucket."""

    uri: str
    store: S3Store

    async def files(self) -> tuple[RemoteFile, ...]:
        try:
            listing = await obstore.list_with_delimiter_async(self.store)
        except (BaseError, OSError) as error:
            raise self._translate(error) from error
        found = tuple(RemoteFile(o["path"], o["size"], revision=o["e_tag"]) for o in listing["objects"])
        if not found:
            raise not_found(f"{self.uri}: no object has this prefix; check bucket and path")
        return tuple(sorted(found, key=lambda file: file.name))

    async def read(self, file: RemoteFile, start: int, length: int) -> bytes:
        if length == 0:
            return b""
        try:
            answer = await obstore.get_async(
                self.store, file.name, options={"range": (start, start + length), "if_match": file.revision}
            )
            return bytes(await answer.bytes_async())
        except (BaseError, OSError) as error:
            raise self._translate(error) from error

    async def close(self) -> None:
        return

    def _translate(self, error: Exception) -> ArtifactError:
        match error:
            case FileNotFoundError() | NotFoundError():
                return self._missing()
            case PermissionDeniedError() | UnauthenticatedError():
                return self._denied()
            case PreconditionError():
                return unreadable(f"{self.uri}: an object changed while it was read; put new versions at new prefixes")
            case _:
                return self._answered(str(error))

    def _answered(self, words: str) -> ArtifactError:
        """The client has no exception of its own for a refused listing; status and code stand in its words."""
        status = _STATUS.search(words)
        code = _CODE.search(words)
        if (code and code[1] in _KEY_CODES) or (status and status[1] in {"401", "403"}):
            return self._denied()
        if status and status[1] == "404":
            return self._missing()
        answer = f"answered {status[1]} {code[1] if code else ''}".strip() if status else "does not answer"
        return unreadable(f"{self.uri}: the S3 server {answer}; check AWS_ENDPOINT_URL of the Secret")

    def _missing(self) -> ArtifactError:
        return not_found(f"{self.uri}: the bucket or an object does not exist; check both names")

    def _denied(self) -> ArtifactError:
        return denied(
            f"{self.uri}: the server refused access; check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the Secret "
            "named by secretRef"
        )


def open_s3(uri: SourceUri, environment: Mapping[str, str]) -> S3Source:
    """A store for the URI with the environment's endpoint and credentials. Opens no connection yet."""
    endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL", "")
    client: ClientConfig = {
        "allow_http": endpoint.startswith("http://"),
        "connect_timeout": "5s",
        "timeout": "120s",
        "read_timeout": "30s",
    }
    try:
        store = S3Store(
            uri.place,
            prefix=uri.path or None,
            config=_config(environment, endpoint),
            client_options=client,
            retry_config=_RETRIES,
        )
    except BaseError as error:
        raise unreadable(f"{uri}: the S3 settings of the Secret are not valid; check AWS_ENDPOINT_URL") from error
    return S3Source(str(uri), store)


def _config(environment: Mapping[str, str], endpoint: str) -> "S3Config":
    config: S3Config = {"region": environment.get("AWS_REGION") or DEFAULT_REGION}
    if endpoint:
        config["endpoint"] = endpoint.rstrip("/")
    if key := environment.get("AWS_ACCESS_KEY_ID"):
        config["access_key_id"] = key
        config["secret_access_key"] = environment.get("AWS_SECRET_ACCESS_KEY", "")
        if token := environment.get("AWS_SESSION_TOKEN"):
            config["session_token"] = token
    elif not any(name in environment for name in _WORKLOAD_IDENTITY):
        config["skip_signature"] = True
    return config
