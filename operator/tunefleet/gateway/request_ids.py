"""Names for requests whose clients gave them none: 32 hexadecimal digits, never the same twice."""

import os
from typing import Final, final

_LOW: Final = 0xFFFFFFFFFFFFFFFF


@final
class RequestIds:
    """Half a random name of the process, half a counter that begins anywhere: one system call a process, not one each."""

    def __init__(self) -> None:
        self._process = os.urandom(8).hex().encode()
        self._count: int = int.from_bytes(os.urandom(8), "big")

    def next(self) -> bytes:
        """Another name."""
        self._count = (self._count + 1) & _LOW
        return b"%b%016x" % (self._process, self._count)
