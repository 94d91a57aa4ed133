"""Header lines on their way through a proxy, in either direction: those that mean something, and those that stop."""

import re

Lines = dict[bytes, list[bytes]]
"""Values by lower-case name."""


def sift(block: bytes, meant: re.Pattern[bytes], forwarded: frozenset[bytes], lines: Lines) -> bytes:
    """Collect into `lines` those that `meant` finds; the block without those of them that are not `forwarded`."""
    kept, end = [], 0
    for match in meant.finditer(block):
        name = match[1].lower()
        lines.setdefault(name, []).append(match[2])
        if name not in forwarded:
            kept.append(block[end : match.start()])
            end = match.end()
    kept.append(block[end:])
    return b"".join(kept)


def tokens(values: list[bytes]) -> frozenset[bytes]:
    """The words of a comma-separated header, lower-case."""
    return frozenset([t.strip(b" \t").lower() for value in values for t in value.split(b",")])


def without(block: bytes, connection: frozenset[bytes], forwarded: frozenset[bytes]) -> bytes:
    """The block without the lines that Connection names as meant for this hop (RFC 9110, 7.6.1)."""
    named = connection - {b"", b"close", b"keep-alive"} - forwarded
    if not named:
        return block
    pattern = b"|".join([re.escape(name) for name in sorted(named)])
    return re.sub(rb"(?im)^(?:" + pattern + rb"):[^\r]*\r\n", b"", block)
