"""The public port's sockets, and the accepting on them.

Connections are accepted here and handed to the loop one by one, as servers of asyncio cannot do two things: take
another certificate without closing, and stop without dropping who was accepted or queued a moment before.
"""

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
from collections.abc import Callable, Iterable
from typing import Any

log = logging.getLogger(__name__)

BACKLOG = 4096
"""Connections that wait to be accepted; the kernel cuts it to net.core.somaxconn."""
AT_ONCE = 128
"""Connections accepted before others get their turn."""
HANDSHAKE_SECONDS = 10.0
"""A TLS handshake may take so long: what a request's head may take."""
PAUSE_SECONDS = 1.0
"""Without file descriptors or memory nothing is accepted for so long."""

_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


async def bind(host: str, port: int, *, share: bool = False) -> list[socket.socket]:
    """Sockets for every address of the host, not listening yet. Raises OSError when one is taken.

    `share`: other processes of the same user may bind to the same, and the kernel deals out connections among those
    that listen.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    with contextlib.ExitStack() as stack:
        bound = [stack.enter_context(_bound(address, share=share)) for address in dict.fromkeys(found)]
        stack.pop_all()
    return bound


def _bound(address: tuple[Any, ...], *, share: bool) -> socket.socket:
    family, kind, protocol, _, place = address
    made = socket.socket(family, kind, protocol)
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(place)
    except BaseException:
        made.close()
        raise
    return made


class Listeners:
    """Accepts on these sockets until closed."""

    def __init__(
        self, sockets: Iterable[socket.socket], connection: Callable[[], Any], context: ssl.SSLContext | None
    ) -> None:
        """`connection` makes the protocol of one."""
        self._open = list(sockets)
        self.port: int = self._open[0].getsockname()[1]
        """The port that they listen on."""
        self._connection = connection
        self.context = context
        """Of connections to come; None: they do not speak TLS."""
        self._loop = asyncio.get_running_loop()
        self._beginning: set[asyncio.Task[None]] = set()
        """Connections that are accepted and have no transport yet: their handshake goes on."""
        for listening in self._open:
            listening.listen(BACKLOG)
            self._watch(listening)

    async def close(self) -> None:
        """Take whoever is queued, and then nobody more: the kernel resets connections that nobody took."""
        while self._open:
            listening = self._open.pop()
            self._loop.remove_reader(listening)
            while self._accept(listening):
                pass
            listening.close()
        await asyncio.gather(*self._beginning)

    def _watch(self, listening: socket.socket) -> None:
        if listening.fileno() >= 0:
            self._loop.add_reader(listening, self._accept_some, listening)

    def _accept_some(self, listening: socket.socket) -> None:
        for _ in range(AT_ONCE):
            if not self._accept(listening):
                return

    def _accept(self, listening: socket.socket) -> bool:
        """Take one connection; whether there may be more."""
        try:
            taken, _ = listening.accept()
        except ConnectionAbortedError:  # this one left; there may be others
            return True
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in _EXHAUSTED:
                self._pause(listening, error)
            return False
        taken.setblocking(False)
        task = self._loop.create_task(self._begin(taken))
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)
        return True

    def _pause(self, listening: socket.socket, error: OSError) -> None:
        log.error("no connection can be accepted for %g s: %s", PAUSE_SECONDS, error)
        self._loop.remove_reader(listening)
        self._loop.call_later(PAUSE_SECONDS, self._watch, listening)

    async def _begin(self, taken: socket.socket) -> None:
        patience = None if self.context is None else HANDSHAKE_SECONDS
        try:
            await self._loop.connect_accepted_socket(
                self._connection, taken, ssl=self.context, ssl_handshake_timeout=patience
            )
        except (OSError, EOFError) as error:  # it left, took too long, or does not speak TLS
            log.debug("a connection came to nothing: %s", error)
            taken.close()
        except asyncio.CancelledError:
            taken.close()
            raise
