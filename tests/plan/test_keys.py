"""Keys as data: made, stored, rotated, revoked; and which models they let be seen."""

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunefleet.api.api_key import ApiKeyPolicy, read_policy
from tunefleet.plan.keys import (
    KEY_PATTERN,
    MAX_KEYS,
    KeyHash,
    KeyHolder,
    allows,
    holder_of,
    key_ring,
    looks_right,
    make_key,
    named,
    read_hashes,
    rotated,
    written,
)

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = timedelta(days=1)
RANDOM = st.binary(min_size=32, max_size=32)
TIMES = st.integers(-100, 100).map(lambda hours: NOW + timedelta(hours=hours))
HASHES = st.builds(KeyHash, RANDOM.map(bytes.hex), st.none() | TIMES)


@given(RANDOM)
def test_a_key_has_a_form_that_scanners_find(random: bytes) -> None:
    key = make_key(random)
    assert KEY_PATTERN.fullmatch(key)
    assert looks_right(key)
    assert KeyHash.of(key).digest == sha256(key.encode()).hexdigest()


@given(RANDOM, RANDOM)
def test_different_bits_are_different_keys(one: bytes, other: bytes) -> None:
    assert (make_key(one) == make_key(other)) == (one == other)


@given(RANDOM, st.integers(3, 51), st.sampled_from("09AZaz"))
def test_a_slip_in_a_key_is_seen(random: bytes, place: int, digit: str) -> None:
    key = make_key(random)
    slipped = key[:place] + digit + key[place + 1 :]
    assert looks_right(slipped) == (slipped == key)


def test_fewer_random_bytes_make_no_key() -> None:
    with pytest.raises(ValueError, match="32 random bytes, not 16"):
        make_key(bytes(16))


@given(st.lists(HASHES, max_size=MAX_KEYS))
def test_what_is_written_is_read(hashes: list[KeyHash]) -> None:
    assert read_hashes(written(hashes)) == tuple(hashes)


def test_people_may_comment() -> None:
    assert read_hashes(f"# the laptop\n\n  {'a' * 64}\t2027-01-31T00:00:00+02:00\n") == (
        KeyHash("a" * 64, datetime(2027, 1, 30, 22, tzinfo=UTC)),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("abc", "line 1: write 64 lowercase hexadecimal digits"),
        (f"{'a' * 64}\n{'A' * 64}", "line 2: write 64"),
        (f"{'a' * 64} tomorrow", "line 1: the time must be like 2027-01-31T00:00:00Z"),
        (f"{'a' * 64} 2027-01-31T00:00:00", "with its time zone"),
        ("\n".join(["a" * 64] * (MAX_KEYS + 1)), "hashes has 9 keys; 8 are the most"),
    ],
)
def test_hashes_that_cannot_be_read(text: str, words: str) -> None:
    with pytest.raises(ValueError, match="hashes") as refused:
        read_hashes(text)
    assert words in str(refused.value)


@given(st.lists(HASHES, max_size=MAX_KEYS, unique_by=lambda key: key.digest), TIMES, st.integers(0, 50))
def test_rotation_keeps_what_works_for_the_time_that_was_said(hashes: list[KeyHash], now: datetime, hours: int) -> None:
    new, keep = KeyHash("f" * 64), timedelta(hours=hours)
    first, *rest = rotated(hashes, new, now, keep)
    assert first == new
    before = {key.digest: key for key in hashes}
    assert {key.digest for key in rest} == {key.digest for key in hashes if hours and key.valid(now)}
    for key in rest:
        former = before[key.digest].expires
        assert key.expires == (now + keep if former is None else min(former, now + keep))


def test_a_key_is_named_by_the_begin_of_its_hash() -> None:
    hashes = (KeyHash("ab" + "0" * 62), KeyHash("ac" + "0" * 62))
    assert named(hashes, "AB") == named(hashes, "sha256:ab0") == hashes[:1]
    assert named(hashes, "a") == hashes
    assert named(hashes, "") == named(hashes, "b") == ()


def secret(hashes: str | None, policy: str | None = None) -> dict[str, Any]:
    data = {"hashes": hashes, "policy": policy}
    encoded = {name: b64encode(text.encode()).decode() for name, text in data.items() if text is not None}
    return {"metadata": {"name": "team-a", "namespace": "keys"}, "data": encoded}


def test_a_tenant_is_one_secret() -> None:
    holder = holder_of(secret("a" * 64, "requestsPerMinute: 5"))
    assert holder == KeyHolder("team-a", (KeyHash("a" * 64),), ApiKeyPolicy(requests_per_minute=5))


def test_a_secret_that_cannot_be_read_says_why_and_nothing_of_its_data() -> None:
    with pytest.raises(ValueError, match=r"data\.hashes is missing"):
        holder_of(secret(None))
    with pytest.raises(ValueError, match="line 1") as refused:
        holder_of(secret("tf_secret"))
    assert "tf_secret" not in str(refused.value)
    with pytest.raises(ValueError, match="no base64 of UTF-8"):
        holder_of({"metadata": {"name": "a"}, "data": {"hashes": "/w=="}})


def holder(name: str, *hashes: KeyHash, policy: str = "") -> KeyHolder:
    return KeyHolder(name, hashes, read_policy(policy))


def test_only_keys_that_have_not_ended_work_and_the_next_end_is_known() -> None:
    keys = [KeyHash("a" * 64, NOW - DAY), KeyHash("b" * 64, NOW + DAY), KeyHash("c" * 64)]
    ring = key_ring(
        [holder("one", *keys), holder("two", KeyHash("d" * 64), policy="expires: 2026-11-21T11:00:00Z")], NOW
    )
    assert {digest.hex()[0]: who.name for digest, who in ring.keys.items()} == {"b": "one", "c": "one"}
    assert ring.until == NOW + DAY
    assert key_ring([holder("one", *keys, policy="expires: 2026-11-21T13:00:00Z")], NOW).until == NOW + DAY / 24


def test_a_key_of_two_tenants_is_nobody_s() -> None:
    same = KeyHash("a" * 64)
    ring = key_ring([holder("two", same, KeyHash("b" * 64)), holder("one", same)], NOW)
    assert {who.name for who in ring.keys.values()} == {"two"}
    assert ring.shared == {"a" * 64: ("one", "two")}


@pytest.mark.parametrize(
    ("policy", "seen"),
    [
        ("", True),
        ("models: []", False),
        ("models: [{}]", True),
        ("models: [{names: [support-de]}]", True),
        ("models: [{names: [support-d]}]", False),
        ("models: [{names: [support-*]}]", True),
        ("models: [{names: ['*']}]", True),
        ("models: [{names: [sales-*]}, {namespaces: [team-a]}]", True),
        ("models: [{names: [support-*], namespaces: [team-b]}]", False),
        ("models: [{selector: {matchLabels: {tier: gold}}}]", True),
        ("models: [{selector: {matchLabels: {tier: gold, team: b}}}]", False),
        ("models: [{selector: {matchLabels: {tier: gold}}, namespaces: [team-a], names: [support-de]}]", True),
    ],
)
def test_which_models_exist_for_a_key(policy: str, seen: bool) -> None:
    assert allows(read_policy(policy), "support-de", "team-a", {"tier": "gold", "team": "a"}) == seen
