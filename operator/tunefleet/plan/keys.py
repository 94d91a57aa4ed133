"""API keys as data: how one is made, what of it is stored, and how that changes when keys are rotated or revoked.

A key is 256 random bits. Of such a secret a plain sha256 gives nothing away: there is nothing shorter to guess than the
key itself. Salts and slow hashes are for secrets that people make up.
"""

import re
import zlib
from base64 import b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from tunefleet.api.api_key import HASHES, POLICY, ApiKeyPolicy, ModelRule, read_policy

PREFIX = "tf_"
RANDOM_BYTES = 32
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM_DIGITS = 43
"""62^43 > 2^256."""
_CHECK_DIGITS = 6
"""62^6 > 2^32: a CRC-32, so that a scanner tells a key from what merely looks like one."""
KEY_PATTERN = re.compile(f"{PREFIX}[0-9A-Za-z]{{{_RANDOM_DIGITS + _CHECK_DIGITS}}}")

MAX_KEYS = 8
"""Keys of one tenant: two while one takes over from the other, and some for slips."""
SHOWN_DIGITS = 8
"""Digits of a hash that people are shown, and that are enough to name it."""

_LINE = re.compile(r"(?P<digest>[0-9a-f]{64})(?:[ \t]+(?P<expires>\S+))?")


def make_key(random: bytes) -> str:
    """The key for these RANDOM_BYTES bytes: the prefix, 43 digits of base 62, and six of a checksum."""
    if len(random) != RANDOM_BYTES:
        raise ValueError(f"a key is made of {RANDOM_BYTES} random bytes, not {len(random)}")
    text = PREFIX + _base62(int.from_bytes(random, "big"), _RANDOM_DIGITS)
    return text + _base62(zlib.crc32(text.encode()), _CHECK_DIGITS)


def looks_right(key: str) -> bool:
    """Whether the text has the form and the checksum of a key."""
    body, check = key[:-_CHECK_DIGITS], key[-_CHECK_DIGITS:]
    return bool(KEY_PATTERN.fullmatch(key)) and _base62(zlib.crc32(body.encode()), _CHECK_DIGITS) == check


def _base62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))


@dataclass(frozen=True)
class KeyHash:
    """What is stored of one key."""

    digest: str
    """Its sha256, 64 hexadecimal digits."""
    expires: datetime | None = None

    @classmethod
    def of(cls, key: str) -> "KeyHash":
        """Of a key."""
        return cls(sha256(key.encode()).hexdigest())

    def line(self) -> str:
        """As it is stored."""
        return self.digest if self.expires is None else f"{self.digest} {timestamp(self.expires)}"

    def valid(self, now: datetime) -> bool:
        """Whether it has not expired."""
        return self.expires is None or now < self.expires


@dataclass(frozen=True)
class KeyHolder:
    """One tenant: its keys, and what it may."""

    name: str
    hashes: tuple[KeyHash, ...]
    policy: ApiKeyPolicy

    def until(self, key: KeyHash) -> datetime | None:
        """When a key of it ends, by its own time or the policy's; None: never."""
        return min([time for time in (key.expires, self.policy.expires) if time is not None], default=None)

    def valid(self, now: datetime) -> tuple[KeyHash, ...]:
        """The keys that may be used."""
        if self.policy.expires is not None and self.policy.expires <= now:
            return ()
        return tuple(key for key in self.hashes if key.valid(now))


@dataclass(frozen=True)
class KeyRing:
    """The keys of all tenants that are valid at one moment."""

    keys: Mapping[bytes, KeyHolder]
    """By sha256, 32 bytes."""
    until: datetime | None
    """When the next of them ends."""
    shared: Mapping[str, tuple[str, ...]]
    """Hashes that several tenants have, and those tenants: whose requests these are nobody knows, so none works."""


def key_ring(holders: Iterable[KeyHolder], now: datetime) -> KeyRing:
    """The keys of these tenants that are valid now."""
    owners: dict[str, dict[str, KeyHolder]] = {}
    ends = []
    for holder in holders:
        for key in holder.valid(now):
            owners.setdefault(key.digest, {})[holder.name] = holder
            ends.append(holder.until(key))
    return KeyRing(
        {bytes.fromhex(digest): next(iter(those.values())) for digest, those in owners.items() if len(those) == 1},
        min([end for end in ends if end is not None], default=None),
        {digest: tuple(sorted(those)) for digest, those in owners.items() if len(those) > 1},
    )


def holder_of(secret: Mapping[str, Any]) -> KeyHolder:
    """The tenant of a Secret. Raises ValueError, which repeats none of its data but names of fields."""
    data = secret.get("data") or {}
    if HASHES not in data:
        raise ValueError(f"data.{HASHES} is missing: one line for each key, its sha256 in hexadecimal")
    hashes = read_hashes(_text(data, HASHES))
    policy = read_policy(_text(data, POLICY)) if POLICY in data else ApiKeyPolicy()
    return KeyHolder(secret["metadata"]["name"], hashes, policy)


def _text(data: Mapping[str, str], entry: str) -> str:
    try:
        return b64decode(data[entry], validate=True).decode()
    except ValueError:
        raise ValueError(f"data.{entry} is no base64 of UTF-8") from None


def read_hashes(text: str) -> tuple[KeyHash, ...]:
    """Parse what is stored under HASHES; blank lines and those that begin with `#` are skipped. Raises ValueError."""
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    found = tuple(_hash(number, line) for number, line in lines if line and not line.startswith("#"))
    if len(found) > MAX_KEYS:
        raise ValueError(f"{HASHES} has {len(found)} keys; {MAX_KEYS} are the most")
    return found


def _hash(number: int, line: str) -> KeyHash:
    match = _LINE.fullmatch(line)
    if match is None:
        raise ValueError(
            f"{HASHES}, line {number}: write 64 lowercase hexadecimal digits and, if the key shall end, a blank and a "
            "time such as 2027-01-31T00:00:00Z"
        )
    return KeyHash(match["digest"], None if match["expires"] is None else _time(number, match["expires"]))


def _time(number: int, text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise ValueError(f"{HASHES}, line {number}: the time must be like 2027-01-31T00:00:00Z, with its time zone")
    return time


def written(hashes: Iterable[KeyHash]) -> str:
    """What is stored under HASHES."""
    return "".join(f"{key.line()}\n" for key in hashes)


def timestamp(time: datetime) -> str:
    """RFC 3339 in UTC, whole seconds."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def rotated(hashes: Iterable[KeyHash], new: KeyHash, now: datetime, keep: timedelta) -> tuple[KeyHash, ...]:
    """The new key, and of the former ones those that still work, for `keep` at the longest. A second rotation within
    that time does not make it longer."""
    ends = now + keep
    former = [key if key.expires and key.expires < ends else replace(key, expires=ends) for key in hashes]
    return (new, *(key for key in former if key.valid(now)))


def named(hashes: Iterable[KeyHash], prefix: str) -> tuple[KeyHash, ...]:
    """The keys whose hash begins so; `sha256:` before it is fine."""
    wanted = prefix.lower().removeprefix("sha256:")
    return tuple(key for key in hashes if wanted and key.digest.startswith(wanted))


def allows(policy: ApiKeyPolicy, served_name: str, namespace: str, labels: Mapping[str, str]) -> bool:
    """Whether a model exists for the holder of the policy. `namespace` and `labels` are those of its object."""
    return policy.models is None or any(selects(rule, served_name, namespace, labels) for rule in policy.models)


def selects(rule: ModelRule, served_name: str, namespace: str, labels: Mapping[str, str]) -> bool:
    """Whether a rule selects a model."""
    return (
        (not rule.namespaces or namespace in rule.namespaces)
        and (not rule.names or any(matches(pattern, served_name) for pattern in rule.names))
        and rule.selector.match_labels.items() <= labels.items()
    )


def matches(pattern: str, served_name: str) -> bool:
    """Whether a name is the pattern, or begins with what stands before its `*`."""
    return served_name.startswith(pattern[:-1]) if pattern.endswith("*") else served_name == pattern
