"""What we accept, llhttp and h11 read in the same way; what any of us reads otherwise, we refuse.

Every exception is a predicate with a reason. `HYPOTHESIS_PROFILE=long` looks at far more examples.
"""

import re
from collections.abc import Iterator, Sequence

from hypothesis import given
from hypothesis import strategies as st

from tunefleet.gateway.errors import Refusal
from tunefleet.gateway.head_cache import HeadCache
from tunefleet.gateway.request_reader import Limits, Request, RequestReader, Stage

from .http_bytes import arriving, requests_of
from .http_oracles import Message, Reading, h11_requests, llhttp_requests

LIMITS = Limits(4096, 4096)
STREAMS = arriving(requests_of)


def ours(data: Sequence[bytes], heads: HeadCache | None = None) -> tuple[list[Request], bool, bool]:
    """Requests, read as connections do; whether we refused what followed; whether nothing is left unfinished."""
    reader, found = RequestReader(LIMITS, heads), []
    for piece in data:
        try:
            for one in _read(reader, piece):
                found.append(one)
                if not one.head.keep_alive:
                    return found, False, False  # what follows is thrown away
        except Refusal:
            return found, True, False
    return found, False, reader.stage is Stage.IDLE


def _read(reader: RequestReader, piece: bytes) -> Iterator[Request]:
    whole = reader.whole(piece)
    if whole is not None:
        yield whole
        return
    reader.feed(piece)
    while (one := reader.next()) is not None:
        yield one


def as_message(found: Request) -> tuple[bytes, bytes, bytes]:
    return found.head.method.encode(), found.head.target, found.body


def compared(message: Message) -> tuple[bytes, bytes, bytes]:
    return message.method, message.target, message.body


def blank_before(data: bytes) -> bool:
    """A blank line comes before a request: we skip it as RFC 9112 2.2 asks servers to, h11 does not."""
    reader = RequestReader(LIMITS)
    starts = [0]
    for place in range(len(data)):
        reader.feed(data[place : place + 1])
        try:
            if reader.next() is not None:
                starts.append(place + 1)
        except Refusal:
            break
    return any(data.startswith(b"\r\n", start) for start in starts)


def says_more_of_connections(data: bytes) -> bool:
    """llhttp ends a connection for Proxy-Connection, and speaks another protocol after a granted upgrade.

    Neither is in RFC 9110; we grant no upgrade, pass neither on, and say with each answer whether we close.
    """
    return re.search(rb"(?im)^proxy-connection:[ \t]*close|^connection:.*upgrade", data) is not None


def trailing_tab(data: bytes) -> bool:
    """llhttp wants no tab after `chunked`, RFC 9110 5.5 allows it."""
    return re.search(rb"(?im)^transfer-encoding:[ \t]*chunked[ ]*\t", data) is not None


def framing_trailer(data: bytes) -> bool:
    """llhttp refuses framing among the trailers, h11 when it is wrong; we drop all trailers unseen (RFC 9112 7.1.2)."""
    return re.search(rb"(?i)\r\n0+(;[^\r\n]*)?\r\n([^\r\n]+\r\n)*(content-length|transfer-encoding):", data) is not None


LLHTTP = (says_more_of_connections, trailing_tab, framing_trailer)
H11 = (blank_before, framing_trailer)


def differs(data: bytes, reading: Reading, found: list[Request], *, idle: bool) -> str:
    """How another reader's requests differ from ours, in a word; it may stop where it likes when we refuse."""
    theirs = [compared(message) for message in reading.whole]
    mine = [as_message(one) for one in found]
    if theirs[: len(mine)] != mine[: len(theirs)]:
        return "another request"
    if len(theirs) < len(mine):
        return "it read less"
    if idle and (len(theirs) > len(mine) or reading.refused):
        return "it read more, or refused"
    return ""


@given(STREAMS)
def test_llhttp_reads_what_we_read(data: list[bytes]) -> None:
    whole, (found, _, idle) = b"".join(data), ours(data)
    if not any(excuse(whole) for excuse in LLHTTP):
        assert differs(whole, llhttp_requests(data), found, idle=idle) == ""


@given(STREAMS)
def test_h11_reads_what_we_read(data: list[bytes]) -> None:
    whole, (found, _, idle) = b"".join(data), ours(data)
    difference = differs(whole, h11_requests(data), found, idle=idle)
    assert difference == "" or any(excuse(whole) for excuse in H11)


@given(st.lists(STREAMS, min_size=1, max_size=3))
def test_heads_that_are_known_are_read_as_new_ones(streams: list[list[bytes]]) -> None:
    """The second time with another length, too: of a known head only the digits are looked at."""
    heads = HeadCache()
    longer = [[piece.replace(b": 5", b": 6") for piece in data] for data in streams]
    for data in [*streams, *longer, *streams]:
        (found, *rest), (fresh, *fresh_rest) = ours(data, heads), ours(data)
        assert [_told(one) for one in found] == [_told(one) for one in fresh]
        assert rest == fresh_rest


def _told(one: Request) -> tuple[object, ...]:
    head = one.head
    return (*as_message(one), head.kept, head.minor, head.keep_alive, head.request_id, head.expects_continue)


@given(STREAMS)
def test_cuts_change_nothing(data: list[bytes]) -> None:
    """What is read and whether it is refused depends on the bytes, not on how they arrive."""
    (found, refused, idle), (whole, whole_refused, whole_idle) = ours(data), ours([b"".join(data)])
    assert [as_message(one) for one in found] == [as_message(one) for one in whole]
    assert (refused, idle) == (whole_refused, whole_idle)
