"""https://HOST/PATH: a directory of a web server.

The files are those that PATH/SHA256SUMS lists, in the format of `sha256sum`. Without it, the names that adapters and
bases usually have are tried one by one; files of a base with other names are then not seen.
"""

import asyncio
import base64
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from yarl import URL

from tunefleet.api.sources import SourceUri

from .base import CONFIG, INDEX, MAX_INDEX_BYTES, TOKENIZERS
from .digest import ADAPTER_CONFIG, ADAPTER_WEIGHTS, PICKLED_WEIGHTS, TOKENIZER_FILES, counts
from .errors import not_found, unreadable
from .http import Http, open_session, revision_of
from .source import RemoteFile

SUMS = "SHA256SUMS"
MAX_SUMS_BYTES = 2**20
MAX_FILES = 1024
AT_ONCE = 8
KEYS = "username and password, or token,"
WELL_KNOWN = sorted(
    {
        *(ADAPTER_CONFIG, ADAPTER_WEIGHTS, *PICKLED_WEIGHTS),
        *(CONFIG, INDEX, "model.safetensors", "generation_config.json", "chat_template.json"),
        *("preprocessor_config.json", "processor_config.json"),
        *TOKENIZER_FILES,
        *TOKENIZERS,
    }
)
_LINE = re.compile(r"([0-9a-f]{64}) [ *](?:\./)?(.+)")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._=+-]{0,254}")


@dataclass(frozen=True)
class HttpsSource:
    """A directory whose files were listed when it was opened."""

    uri: str
    http: Http
    directory: URL
    headers: Mapping[str, str]
    listing: tuple[RemoteFile, ...]

    async def files(self) -> tuple[RemoteFile, ...]:
        return self.listing

    async def read(self, file: RemoteFile, start: int, length: int) -> bytes:
        return await self.http.range(self.directory / file.name, start, length, self.headers, file.revision)

    async def close(self) -> None:
        await self.http.session.close()


async def open_https(uri: SourceUri, environment: Mapping[str, str]) -> HttpsSource:
    """List the directory. Raises ArtifactError."""
    http = Http(str(uri), open_session(environment, str(uri)), KEYS)
    headers = credentials(environment)
    try:
        directory = http.address(str(uri)) / ""
        listing = await _listing(http, directory, headers)
    except BaseException:
        await http.session.close()
        raise
    return HttpsSource(str(uri), http, directory, headers, listing)


def credentials(environment: Mapping[str, str]) -> dict[str, str]:
    """The Authorization header that the Secret asks for, or none."""
    if token := environment.get("token"):
        return {"Authorization": f"Bearer {token}"}
    if name := environment.get("username"):
        return {"Authorization": basic(name, environment.get("password", ""))}
    return {}


def basic(name: str, password: str) -> str:
    """RFC 7617."""
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


async def _listing(http: Http, directory: URL, headers: Mapping[str, str]) -> tuple[RemoteFile, ...]:
    sums = await http.body(directory / SUMS, MAX_SUMS_BYTES, headers)
    if sums is not None:
        hashes = parse_sums(sums)
        found = await _heads(http, directory, headers, [name for name in hashes if _wanted(name)])
        if missing := sorted(name for name, file in found.items() if file is None):
            raise not_found(f"{http.name}: {SUMS} lists {missing[0]}, which is not there")
        return tuple(RemoteFile(f.name, f.size, hashes[f.name], f.revision) for f in found.values() if f is not None)
    found = await _heads(http, directory, headers, WELL_KNOWN)
    listing = [file for file in found.values() if file is not None]
    if not listing:
        raise not_found(f"{http.name}: neither {SUMS} nor a file with a usual name is there; check the path")
    if found[INDEX] is not None:
        shards = shard_names(await http.body(directory / INDEX, MAX_INDEX_BYTES, headers) or b"")
        more = await _heads(http, directory, headers, sorted(shards - found.keys()))
        listing += [file for file in more.values() if file is not None]
    return tuple(sorted(listing, key=lambda file: file.name))


async def _heads(
    http: Http, directory: URL, headers: Mapping[str, str], names: Iterable[str]
) -> dict[str, RemoteFile | None]:
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> tuple[str, RemoteFile | None]:
        async with limit:
            return name, await _head(http, directory / name, headers)

    tasks = [asyncio.ensure_future(one(name)) for name in names]
    try:
        return dict(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _head(http: Http, url: URL, headers: Mapping[str, str]) -> RemoteFile | None:
    async with http.request("HEAD", url, headers) as response:
        if response.status in {404, 410}:
            return None
        if response.status != 200:
            raise http.refused(response.status)
        if response.content_length is None:
            raise unreadable(f"{http.name}: the server does not say how long {url.name} is")
        return RemoteFile(url.name, response.content_length, revision=revision_of(response.headers))


def parse_sums(content: bytes) -> dict[str, str]:
    """sha256 by name, of the files directly in the directory. Raises ArtifactError for another format."""
    lines = [line for line in content.decode("utf-8", "replace").splitlines() if line.strip()]
    if len(lines) > MAX_FILES:
        raise unreadable(f"{SUMS} has {len(lines)} lines; at most {MAX_FILES} are read")
    matches = [_LINE.fullmatch(line.rstrip()) for line in lines]
    if broken := next((line for line, match in zip(lines, matches, strict=True) if match is None), None):
        raise unreadable(f"{SUMS} has the line {broken[:80]!r}; write it with sha256sum")
    return {match[2]: match[1] for match in matches if match is not None and _NAME.fullmatch(match[2])}


def shard_names(content: bytes) -> set[str]:
    """Files that a model.safetensors.index.json names; none when it is broken, which is for others to say."""
    try:
        names = set(json.loads(content)["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return set()
    return {name for name in sorted(map(str, names))[:MAX_FILES] if _NAME.fullmatch(name)}


def _wanted(name: str) -> bool:
    return counts("adapter", name) or counts("base", name) or name in PICKLED_WEIGHTS
