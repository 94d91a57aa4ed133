"""Accepting: nobody who reached the queue is dropped, and running out of descriptors is survived."""

import asyncio
import errno
import socket
from typing import cast

import pytest

from tunefleet.gateway import listeners as module
from tunefleet.gateway.listeners import Listeners, bind


class Greeter(asyncio.Protocol):
    """Says hello and hangs up."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).write(b"hello")  # uvloop's transports are none by type
        asyncio.get_running_loop().call_soon(transport.close)


async def listening() -> Listeners:
    return Listeners(await bind("127.0.0.1", 0), Greeter, None)


def dial(listeners: Listeners) -> socket.socket:
    """A connection that the kernel made, and that nobody has accepted: the loop has had no turn since."""
    return socket.create_connection(("127.0.0.1", listeners.port))


async def heard(client: socket.socket) -> bytes:
    client.setblocking(False)
    with client:
        return await asyncio.get_running_loop().sock_recv(client, 100)


async def test_who_is_queued_when_the_port_closes_is_served() -> None:
    listeners = await listening()
    clients = [dial(listeners) for _ in range(50)]
    await listeners.close()
    assert [await heard(client) for client in clients] == [b"hello"] * 50
    with pytest.raises(ConnectionRefusedError):
        dial(listeners)
    await listeners.close()


async def test_more_at_once_than_one_turn_takes() -> None:
    listeners = await listening()
    clients = [dial(listeners) for _ in range(module.AT_ONCE + 10)]
    assert {await heard(client) for client in clients} == {b"hello"}
    await listeners.close()


@pytest.mark.parametrize("fault", [errno.EMFILE, errno.ENOBUFS, errno.ECONNABORTED])
async def test_what_accepting_may_run_into(monkeypatch: pytest.MonkeyPatch, fault: int) -> None:
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.01)
    accept = socket.socket.accept
    failed: list[int] = []

    def fails_once(self: socket.socket) -> object:
        if not failed:
            failed.append(fault)
            raise OSError(fault, "for this test")
        return accept(self)

    monkeypatch.setattr(socket.socket, "accept", fails_once)
    listeners = await listening()
    assert await heard(dial(listeners)) == b"hello"
    assert failed == [fault]
    await listeners.close()


async def test_closing_while_nothing_can_be_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_self: socket.socket) -> object:
        raise OSError(errno.EMFILE, "for this test")

    monkeypatch.setattr(socket.socket, "accept", fails)
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.01)
    listeners = await listening()
    with dial(listeners):
        await listeners.close()
        await asyncio.sleep(0.02)  # past the pause: a closed socket is not watched again


async def test_a_port_is_shared_when_all_agree() -> None:
    (first,) = await bind("127.0.0.1", 0, share=True)
    address = first.getsockname()
    (second,) = await bind(*address, share=True)
    with first, second:
        first.listen()
        second.listen()
        with pytest.raises(OSError, match="in use"):
            await bind(*address)


async def test_every_address_of_a_host() -> None:
    sockets = await bind("localhost", 0)
    try:
        assert {made.family for made in sockets} <= {socket.AF_INET, socket.AF_INET6}
    finally:
        for made in sockets:
            made.close()
