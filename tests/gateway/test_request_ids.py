"""Names of requests are words of 32 digits, and never the same."""

import re

from tunefleet.gateway.request_ids import RequestIds


def test_names() -> None:
    ids = [RequestIds() for _ in range(3)]
    names = [each.next() for _ in range(1000) for each in ids]
    assert len(set(names)) == 3000
    assert all(re.fullmatch(rb"[0-9a-f]{32}", name) for name in names)


def test_the_counter_begins_anew() -> None:
    ids = RequestIds()
    ids._count = (1 << 60) - 2
    assert [ids.next()[-16:] for _ in range(3)] == [b"0fffffffffffffff", b"0000000000000000", b"0000000000000001"]
