"""A directory of versions that several pods write to, such as a claim that keeps base weights between them.

One pod fetches a version, the others wait for it. Nobody trusts what lies there: a version is hashed anew by every pod
that begins to use it, which also brings it into the node's memory, where the engine reads it next.
"""

import fcntl
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tunefleet.api.names import short_hash

from .errors import ArtifactError
from .store import partial_directory, stored_version, verify

logger = logging.getLogger(__name__)


@contextmanager
def alone(root: Path, digest: str) -> Iterator[None]:
    """Nobody else fetches this version into this directory meanwhile; waits for who does. Ends with the process."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / f".lock-{short_hash(digest)}").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.info("another pod is fetching %s; waiting for it", digest)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def discard_if_damaged(root: Path, digest: str) -> None:
    """A version whose files are no longer those of its digest goes away, so that it is fetched again."""
    stored = stored_version(root, digest)
    if stored is None:
        return
    try:
        verify(stored)
    except (ArtifactError, OSError):
        logger.warning("%s in %s is damaged and fetched again", digest, root)
        aside = partial_directory(root, f"damaged {digest}")
        shutil.rmtree(aside, ignore_errors=True)
        stored.directory.rename(aside)  # at once, so that no engine finds a part of it
        shutil.rmtree(aside)
