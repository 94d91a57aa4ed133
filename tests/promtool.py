"""Prometheus' judge of rules, queries and metrics: the one on PATH, else Debian's package, unpacked in the cache."""

import shutil
import subprocess
from functools import cache

from dev.commands import CommandError
from dev.servers.packages import DebianPackage, ensure
from dev.settings import cache_directory
from tests.missing import without


def promtool(*arguments: str, said: bytes = b"") -> subprocess.CompletedProcess[str]:
    """Run it, with `said` as its standard input."""
    command = [_path(), *arguments]
    return subprocess.run(command, input=said.decode(), capture_output=True, text=True, check=False)


@cache
def _path() -> str:
    found = shutil.which("promtool")
    if found is None:
        try:
            found = str(ensure(DebianPackage.candidate("prometheus"), cache_directory()) / "usr/bin/promtool")
        except (CommandError, LookupError, FileNotFoundError) as error:
            without(f"promtool is needed, of Debian's package prometheus: {error}")
    return found
