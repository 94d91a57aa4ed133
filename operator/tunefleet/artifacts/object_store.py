"""Object stores through obstore, which speaks to three kinds of them: listing, ranged reads, and errors in words."""

import re
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

from .errors import ArtifactError, denied, not_found, unreadable
from .source import RemoteFile

if TYPE_CHECKING:
    from obstore.store import AzureStore, ClientConfig, GCSStore, RetryConfig, S3Store

_STATUS = re.compile(r"non-2xx status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w{1,64})</Code>")
RETRIES: "RetryConfig" = {"max_retries": 2, "retry_timeout": timedelta(seconds=20)}
"""Few: `source.read_range` tries again as well, and a person waits for the reason."""


def client_options(endpoint: str) -> "ClientConfig":
    """Timeouts; without TLS only where the endpoint of the Secret says so."""
    return {
        "allow_http": endpoint.startswith("http://"),
        "connect_timeout": "5s",
        "timeout": "120s",
        "read_timeout": "30s",
    }


@dataclass(frozen=True)
class Words:
    """How messages call a kind of store and its settings."""

    server: str
    place: str
    endpoint: str
    """Key of the Secret that says where the server is."""
    credentials: str
    """Keys of the Secret that open it."""
    key_codes: frozenset[str] = frozenset()
    """Error codes that speak of the credentials, whatever the status is."""


@dataclass(frozen=True)
class ObjectStoreSource:
    """A prefix of a bucket or container."""

    uri: str
    store: "S3Store | GCSStore | AzureStore"
    words: Words

    async def files(self) -> tuple[RemoteFile, ...]:
        try:
            listing = await obstore.list_with_delimiter_async(self.store)
        except (BaseError, OSError) as error:
            raise self._translate(error) from error
        found = tuple(RemoteFile(o["path"], o["size"], revision=_quoted(o["e_tag"])) for o in listing["objects"])
        if not found:
            raise not_found(f"{self.uri}: no object has this prefix; check {self.words.place} and path")
        return tuple(sorted(found, key=lambda file: file.name))

    async def read(self, file: RemoteFile, start: int, length: int) -> bytes:
        if length == 0:
            return b""
        try:
            answer = await obstore.get_async(
                self.store, file.name, options={"range": (start, start + length), "if_match": file.revision}
            )
            data = bytes(await answer.bytes_async())
        except (BaseError, OSError) as error:
            raise self._translate(error) from error
        if _quoted(answer.meta["e_tag"]) != file.revision:  # not every server looks at If-Match
            raise self._changed()
        return data

    async def close(self) -> None:
        return

    def _translate(self, error: Exception) -> ArtifactError:
        match error:
            case FileNotFoundError() | NotFoundError():
                return self._missing()
            case PermissionDeniedError() | UnauthenticatedError():
                return self._denied()
            case PreconditionError():
                return self._changed()
            case _:
                return self._answered(str(error))

    def _answered(self, words: str) -> ArtifactError:
        """The client has no exception of its own for a refused listing; status and code stand in its words."""
        status = _STATUS.search(words)
        code = _CODE.search(words)
        if (code and code[1] in self.words.key_codes) or (status and status[1] in {"401", "403"}):
            return self._denied()
        if status and status[1] == "404":
            return self._missing()
        answer = f"answered {status[1]} {code[1] if code else ''}".strip() if status else "does not answer"
        return unreadable(f"{self.uri}: {self.words.server} {answer}; check {self.words.endpoint} of the Secret")

    def _changed(self) -> ArtifactError:
        return unreadable(f"{self.uri}: an object changed while it was read; put new versions at new prefixes")

    def _missing(self) -> ArtifactError:
        return not_found(f"{self.uri}: the {self.words.place} or an object does not exist; check both names")

    def _denied(self) -> ArtifactError:
        return denied(
            f"{self.uri}: the server refused access; check {self.words.credentials} of the Secret named by secretRef"
        )


def _quoted(tag: str | None) -> str | None:
    """Listings of Azure leave out the quotation marks that are part of an entity tag everywhere else."""
    return tag if tag is None or tag.endswith('"') else f'"{tag}"'


def bad_settings(uri: str, words: Words) -> ArtifactError:
    """The client would not take the Secret's values. What it says of them is not repeated: they are credentials."""
    return unreadable(f"{uri}: the Secret's settings are not valid; check {words.endpoint} and {words.credentials}")
