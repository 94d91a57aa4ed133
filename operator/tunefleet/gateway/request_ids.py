"""Names for requests whose clients gave them none: 32 hexadecimal digits, never the same twice."""

import os
from typing import Final, final

_COUNTER: Final = (1 << 60) - 1
"""Small enough for a machine word."""


@final
class RequestIds:
    """Half a random name of the process, half a counter that begins anywhere: system calls once a process."""

    def __init__(self) -> None:
        self._process = os.urandom(8).hex().encode()
        self._count: int = int.from_bytes(os.urandom(8), "big") & _COUNTER

    def next(self) -> bytes:
        """Another name."""
        self._count = (self._count + 1) & _COUNTER
        return b"%b%016x" % (self._process, self._count)
