"""Bytes that are almost HTTP, built from what parsers are known to read differently.

Messages are made of a random generator's draws; hypothesis draws its seed, and how the bytes are then changed and cut,
so a failure shrinks to the fewest changes and cuts. Most parts are right, so that most streams get somewhere.
"""

from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import NamedTuple

from hypothesis import strategies as st

CRLF = b"\r\n"


class Part(NamedTuple):
    """One place of a message: what stands there, and what may stand there instead."""

    right: Sequence[bytes]
    odd: Sequence[bytes]


END = Part([CRLF], [b"\n", b"\r", b"\r\r\n", b"\n\r", b""])
SEPARATOR = Part([b": ", b": ", b":"], [b":\t", b":  ", b" : ", b"\t:", b"", b": \x0b", b":\x0c"])
TAIL = Part([b""], [b" ", b"\t", b"  ", b"\x0b", b"\x00", b"\r", b","])
SPACE = Part([b" "], [b"  ", b"\t", b"", b"\x0c", b"\x0b"])
METHOD = Part(
    [b"POST", b"POST", b"POST", b"GET", b"HEAD", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE"],
    [b"CONNECT", b"post", b"PRI", b"M-SEARCH", b"QUERY", b"\x00POST", b"POST\x00", b"", b"POST\r", b"SOURCE"],
)
TARGET = Part(
    [b"/a", b"/a", b"/b?c=d", b"/"],
    [b"*", b"http://h/a", b"https://h", b"h:80", b"/a b", b"/\x80", b"/a#f", b"/\x00", b"//h/a", b"/%00", b"/a\tb", b"",
     b"?", b"/{}|\\^`", b"/\x7f", b"\\a"],
)  # fmt: skip
VERSION = Part(
    [b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0"],
    [b"HTTP/0.9", b"HTTP/2.0", b"HTTP/1.2", b"HTTP/1.10", b"http/1.1", b"HTTP/1", b"HTTP/11", b"HTTP/01.1",
     b"HTTP/1.1 ",
     b"ICE/1.0", b"", b"HTTP/ 1.1", b"HTTP/1,1", b"RTSP/1.0"],
)  # fmt: skip
STATUS = Part(
    [b"200 OK", b"200 OK", b"200 OK", b"404 Not Found", b"500 ", b"206 Partial", b"204 No Content",
     b"304 Not Modified"],
    [b"200", b"101 X", b"099 X", b"600 X", b"999 X", b"2000 X", b"20 X", b"-200 X", b"200 \xff", b"200 \x00",
     b"200 \tX", b"",
     b"100 Continue", b"200OK", b"200  OK", b"205 Reset"],
)  # fmt: skip
INTERIM = Part(
    [b"", b"", b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"],
    [b"HTTP/1.0 100 Continue\r\n\r\n", b"HTTP/1.1 102 P\r\ncontent-length: 5\r\n\r\n", b"HTTP/1.1 100\r\n\r\n",
     b"HTTP/1.1 103 E\r\ntransfer-encoding: chunked\r\n\r\n", b"\r\n", b"HTTP/1.1 101 S\r\nupgrade: x\r\n\r\n"],
)  # fmt: skip
CODING = Part(
    [b"chunked", b"chunked", b"Chunked", b"CHUNKED"],
    [b"identity", b"gzip, chunked", b"chunked, gzip", b"chunked, chunked", b"chunked;q=1", b"xchunked", b"chunkedx",
     b"gzip",
     b"\x0bchunked", b"chunked\x00", b",chunked", b"chunked,", b"", b'"chunked"', b"chunked\t", b"chun\tked",
     b"deflate,chunked"],
)  # fmt: skip
SIZE = Part(
    [b"%x", b"%x", b"%X", b"0%x", b"000000%x"],
    [b"00000000%x", b"+%x", b"-%x", b"0x%x", b" %x", b"%x ", b"%x\t", b"1%x", b"%x_", b"ffffffff%x",
     b"1000000000000000%x",
     b"%x,", b"", b"%xg", b"%x\x00", b"\n%x", b"%x\r", b"00000000000000000000000%x"],
)  # fmt: skip
EXTENSION = Part(
    [b"", b"", b"", b";x=y", b';x="y z"'],
    [b";", b' ;x="\r\n"', b";x\n", b";\x00", b"; \xff", b";x=\x7f", b"  ; a = b", b";" + b"x" * 300, b'";', b";x\ry"],
)
DATA = Part(
    [b"hello", b"x", b"ab\r\n", b"data: a\n\n"],
    [b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", b"0\r\n\r\n", b"\r\n", b"\x00\xff\r", b"x" * 300],
)
DATA_END = Part([CRLF], [b"", b"\n", b"xx", b"\r", b"\r\r\n", b"\rx"])
LAST = Part([b"0", b"0", b"00", b"0;x=y"], [b"0 ", b"", b"-0", b"0x0", b"00000000000", b"+0", b"0\t;", b"0\x00"])
NUMBERS = [b"0", b"1", b"5", b"05", b"005", b"+5", b"-5", b"-0", b"0x5", b"5.0", b"5e0", b"5 5", b"5,5", b"5, 5",
           b"5,6", b"\xd9\xa5",
           b"", b"5;", b"5_0", b"99999999999999999999", b"18446744073709551621", b"4294967301",
           b"9223372036854775813", b"4096",
           b"4097", b"5\x00", b"\x0b5", b"0000000000000000000005", b"five"]  # fmt: skip
_VALUES = [b"", b"a", b"a b", b"a\tb", b"\xff", b"a:b", b"a\x01b", b"a\x00b", b"a\x7fb", b"a\rb", b"\x1b[0m"]
FIELDS: dict[bytes, Sequence[bytes]] = {
    b"Content-Length": NUMBERS,
    b"Transfer-Encoding": [*CODING.right, *CODING.odd],
    b"Connection": [
        b"close",
        b"keep-alive",
        b"Close",
        b"close, keep-alive",
        b"upgrade",
        b"x-hop",
        b"content-length",
        b"te, close",
        b"transfer-encoding",
        b"host",
        b"",
        b",",
        b"close;x",
        b"keep-alive,close",
        b"CLOSE ,x",
    ],
    b"Host": [b"h", b"", b"h:80", b"h, g", b"a b"],
    b"Expect": [b"100-continue", b"100-Continue", b"200-ok", b""],
    b"Upgrade": [b"websocket", b"h2c"],
    b"X-Hop": _VALUES,
    b"X": _VALUES,
    b"X-Request-Id": _VALUES,
    b"Keep-Alive": [b"timeout=5"],
    b"TE": [b"trailers", b"gzip"],
    b"Trailer": [b"x"],
    b"Content-Encoding": [b"identity", b"gzip", b""],
    b"Proxy-Connection": [b"close", b"keep-alive"],
}
ODD_FIELDS = [b"Content_Length: 5", b"X\x00Y: z", b"Transfer-Encoding\x00: chunked", b"Content-Length\x0b: 5",
              b": a", b" X: folded",
              b"\tContent-Length: 5", b"\x80: a", b"Content-Length: 5\rX: a", b"X", b"(x): y",
              b"X: y\n Transfer-Encoding: chunked",
              b"Transfer-Encoding : chunked", b"Content-Length : 5", b"X:\r\n\r\n", b"Content-Length: 5\r",
              b"X: \rTransfer-Encoding: chunked"]  # fmt: skip
TRAILERS = Part(
    [b"", b"", b"T: t\r\n", b"T: t\r\nU: u\r\n"],
    [b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"T\r\n", b" folded\r\n", b"T : t\r\n", b"T: t\n",
     b"T: t\r",
     b"\x00: x\r\n", b"T:\x00\r\n", b"T: t\r\n folded\r\n"],
)  # fmt: skip
CASES: Sequence[Callable[[bytes], bytes]] = (bytes, bytes, bytes.lower, bytes.upper, bytes.swapcase)


class Maker:
    """Messages from a generator of random numbers; every place is odd with the same probability."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._odd = random.choice((0.0, 0.01, 0.03, 0.1))

    def pick(self, part: Part) -> bytes:
        """What stands at one place."""
        return self._random.choice(part.odd if self._random.random() < self._odd else part.right)

    def line(self, name: bytes, value: bytes) -> bytes:
        """A header line."""
        return self._random.choice(CASES)(name) + self.pick(SEPARATOR) + value + self.pick(TAIL) + self.pick(END)

    def any_line(self) -> bytes:
        """A header line of any name."""
        if self._random.random() < self._odd:
            return self._random.choice(ODD_FIELDS) + self.pick(END)
        name = self._random.choice(tuple(FIELDS))
        return self.line(name, self._random.choice(FIELDS[name]))

    def chunked(self) -> bytes:
        """A chunked body."""
        parts = []
        for _ in range(self._random.randrange(4)):
            data, form = self.pick(DATA), self.pick(SIZE)
            size = form % len(data) if b"%" in form else form
            parts += [size, self.pick(EXTENSION), self.pick(END), data, self.pick(DATA_END)]
        return b"".join([*parts, self.pick(LAST), self.pick(END), self.pick(TRAILERS), self.pick(END)])

    def framed(self) -> tuple[list[bytes], bytes]:
        """The lines that say where a body ends, and the body."""
        odd = self._random.random() < self._odd
        kind = self._random.choice(("any", "both", "twice") if odd else ("none", "length", "chunked", "chunked"))
        data = b"".join(self.pick(DATA) for _ in range(self._random.randrange(3)))
        length = self.line(b"Content-Length", b"%d" % len(data))
        coding = self.line(b"Transfer-Encoding", self.pick(CODING))
        match kind:
            case "length":
                return [length], data
            case "chunked":
                return [coding], self.chunked()
            case "any":
                return [self.line(b"Content-Length", self._random.choice(NUMBERS))], data
            case "both":
                return [length, coding], self.chunked()
            case "twice":
                return [length, self.line(b"Content-Length", self._random.choice(NUMBERS))], data
            case _:
                return [], b""

    def request(self) -> bytes:
        """A request."""
        lines, body = self.framed()
        if self._random.random() >= self._odd:
            lines.append(b"Host: h\r\n")
        return b"".join(
            [self._blank(), self._words(METHOD, TARGET, VERSION), *self._shuffled(lines), self.pick(END), body]
        )

    def response(self) -> bytes:
        """A response, perhaps after interim ones."""
        lines, body = self.framed()
        return b"".join(
            [self.pick(INTERIM), self._words(VERSION, STATUS), *self._shuffled(lines), self.pick(END), body]
        )

    def _words(self, *parts: Part) -> bytes:
        first, *rest = (self.pick(part) for part in parts)
        return first + b"".join(self.pick(SPACE) + word for word in rest) + self.pick(END)

    def _blank(self) -> bytes:
        return self._random.choice((CRLF, b"\n", CRLF * 2)) if self._random.random() < self._odd else b""

    def _shuffled(self, lines: list[bytes]) -> list[bytes]:
        wanted = self._random.choice((0, 0, 1, 2))
        lines = lines + [self.any_line() for _ in range(wanted)]
        self._random.shuffle(lines)
        return lines


def requests_of(seed: int) -> bytes:
    """One to three requests, one after the other."""
    maker = Maker(random := Random(seed))
    return b"".join(maker.request() for _ in range(random.choice((1, 1, 2, 3))))


def response_of(seed: int) -> bytes:
    """A response; sometimes bytes follow it."""
    maker = Maker(random := Random(seed))
    return maker.response() + random.choice((b"", b"", b"", b"", b"", maker.response()))


Change = tuple[str, int, int]
CHANGES: st.SearchStrategy[list[Change]] = st.lists(
    st.tuples(st.sampled_from(["set", "cut", "add", "again"]), st.integers(0, 400), st.integers(0, 255)), max_size=2
)
_ADDED = (b"\0", b"\r", b"\n", CRLF, b" ", b"\t", b":", b";", b"0", b"\xff", b"\x0b", b"\x85", b",")


def changed(data: bytes, changes: Iterable[Change]) -> bytes:
    """The bytes with some set, lost, added, or said twice."""
    now = bytearray(data)
    for kind, place, value in changes:
        at = min(place, len(now))
        match kind:
            case "set":
                now[at : at + 1] = bytes([value])
            case "cut":
                del now[at : at + 1 + value % 8]
            case "add":
                now[at:at] = _ADDED[value % len(_ADDED)]
            case _:
                now[at:at] = now[at : at + 1 + value % 64]
    return bytes(now)


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """The bytes in portions, cut at these places."""
    inner = sorted({place for place in places if 0 < place < len(data)})
    return [data[a:b] for a, b in zip([0, *inner], [*inner, len(data)], strict=True) if a < b]


def arriving(made: Callable[[int], bytes]) -> st.SearchStrategy[list[bytes]]:
    """What is made, changed a little in some cases, in the portions in which it arrives."""
    whole = st.builds(changed, st.integers(0, 2**40).map(made), st.one_of(st.just([]), CHANGES))
    return st.builds(cut, whole, st.one_of(st.sets(st.integers(1, 400), max_size=4), st.just(range(1, 4096))))
