"""Who a request is from, what exists for them, and how much of it."""

import pytest

from tunefleet.api.api_key import read_policy
from tunefleet.gateway.access import ANYONE, Access, Tenant
from tunefleet.gateway.errors import Refusal
from tunefleet.gateway.record import Record
from tunefleet.plan.keys import KeyHash, make_key
from tunefleet.plan.route_table import Route

KEY = make_key(bytes(32)).encode()
ROUTE = Route("support-de", namespace="team-a", labels={"tier": "gold"})


def tenant(policy: str = "", now: float = 0.0) -> Tenant:
    made = Tenant("team-a")
    made.follow(read_policy(policy), now)
    return made


def access(*tenants: Tenant) -> Access:
    made = Access(keys=True)
    keys = (make_key(bytes([number] * 32)) for number in range(len(tenants)))
    made.replace({bytes.fromhex(KeyHash.of(key).digest): one for key, one in zip(keys, tenants, strict=True)})
    return made


def record(*, admitted: bool = True, outcome: str = "2xx", **more: int) -> Record:
    made = Record(b"id", "POST", "/v1/completions", 0.0)
    made.admitted, made.outcome = admitted, outcome
    for name, value in more.items():
        setattr(made, name, value)
    return made


def refused(limited: Tenant, now: float, body_bytes: int = 0) -> Refusal:
    with pytest.raises(Refusal) as found:
        limited.begin(now, body_bytes)
    return found.value


def test_while_open_everybody_is_the_same_tenant() -> None:
    opened = Access()
    assert opened.tenant_of(None) is opened.tenant_of(b"Bearer whatever") is ANYONE
    assert ANYONE.sees(ROUTE)
    assert not ANYONE.limited


@pytest.mark.parametrize(
    ("authorization", "api_key"),
    [
        (b"Bearer " + KEY, None),
        (b"bearer   " + KEY, None),
        (None, KEY),
        (b"Basic dXNlcg==", KEY),
        (b"Bearer ", KEY),
    ],
)
def test_a_key_comes_as_openai_s_or_as_anthropic_s_clients_send_it(
    authorization: bytes | None, api_key: bytes | None
) -> None:
    team = tenant()
    assert access(team).tenant_of(authorization, api_key) is team


@pytest.mark.parametrize(
    ("authorization", "api_key", "words"),
    [
        (None, None, "No API key was given"),
        (b"", None, "No API key was given"),
        (b"Bearer", None, "No API key was given"),
        (b"Basic " + KEY, None, "No API key was given"),
        (b"Bearer " + KEY[:-1], None, "is not valid"),
        (b"Bearer " + KEY + b"x", KEY, "is not valid"),
        (None, b"\xff", "is not valid"),
    ],
)
def test_whoever_has_no_valid_key_is_told_so(authorization: bytes | None, api_key: bytes | None, words: str) -> None:
    with pytest.raises(Refusal) as found:
        access(tenant()).tenant_of(authorization, api_key)
    refusal = found.value
    assert (refusal.status, refusal.code, refusal.kind) == (401, "invalid_api_key", "invalid_request_error")
    assert words in refusal.message
    assert refusal.headers == (("www-authenticate", "Bearer"),)
    assert KEY.decode() not in refusal.message


def test_a_reload_is_another_generation_and_ends_what_was_revoked() -> None:
    keys, before = access(tenant()), access(tenant()).generation
    keys.replace({})
    assert keys.generation > before
    with pytest.raises(Refusal):
        keys.tenant_of(b"Bearer " + KEY)
    assert (keys.key_count, keys.tenants) == (0, ())


def test_tenants_are_known_once_whatever_keys_they_have() -> None:
    team = tenant()
    keys = access(team, team)
    assert (keys.key_count, keys.tenants) == (2, (team,))


@pytest.mark.parametrize(
    ("policy", "sees"),
    [
        ("", True),
        ("models: []", False),
        ("models: [{names: [support-de]}]", True),
        ("models: [{names: [support-fr, sales-*]}]", False),
        ("models: [{names: [support-de], namespaces: [team-b]}]", False),
        ("models: [{names: [support-de], selector: {matchLabels: {tier: free}}}]", False),
        ("models: [{namespaces: [team-a]}]", True),
        ("models: [{selector: {matchLabels: {tier: gold}}}]", True),
    ],
)
def test_models_exist_for_whom_they_may(policy: str, sees: bool) -> None:
    assert tenant(policy).sees(ROUTE) == sees


def test_one_request_too_many_is_told_when_to_come_again() -> None:
    limited = tenant("requestsPerMinute: 2")
    limited.begin(0.0, 0)
    limited.begin(0.0, 0)
    refusal = refused(limited, 10.0)
    assert (refusal.status, refusal.code, refusal.kind, refusal.retry_after) == (
        429,
        "rate_limit_exceeded",
        "requests",
        20,
    )
    assert refusal.message == "This key may use 2 requests a minute. Try again in 20s."
    assert dict(refusal.headers) == {
        "x-ratelimit-limit-requests": "2",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "50s",
    }
    limited.begin(30.0, 0)


def test_answers_say_what_is_left() -> None:
    limited = tenant("{requestsPerMinute: 60, tokensPerMinute: 1000}")
    assert limited.limited
    limited.begin(0.0, 400)
    assert limited.lines(0.0).decode().split("\r\n") == [
        "x-ratelimit-limit-requests: 60",
        "x-ratelimit-remaining-requests: 59",
        "x-ratelimit-reset-requests: 1s",
        "x-ratelimit-limit-tokens: 1000",
        "x-ratelimit-remaining-tokens: 900",
        "x-ratelimit-reset-tokens: 6s",
        "",
    ]


@pytest.mark.parametrize(
    ("ended", "left"),
    [
        (record(body_bytes=400, prompt_tokens=50, completion_tokens=70), 880),
        (record(body_bytes=400, outcome="disconnected", events=30), 870),
        (record(body_bytes=400, outcome="broken", events=5), 895),
        (record(body_bytes=400, outcome="5xx"), 1000),
        (record(body_bytes=400, outcome="4xx"), 1000),
        (record(body_bytes=400, outcome=""), 1000),
        (record(body_bytes=400, admitted=False, prompt_tokens=5), 900),
    ],
)
def test_in_the_end_what_was_used_is_paid(ended: Record, left: int) -> None:
    limited = tenant("tokensPerMinute: 1000")
    limited.begin(0.0, 400)
    limited.end(ended)
    assert limited.limits.tokens is not None
    assert limited.limits.tokens.left(0.0) == left
    assert limited.limits.running == (0 if ended.admitted else 1)


def test_too_many_at_a_time_wait_for_one_to_end() -> None:
    limited = tenant("maxConcurrentRequests: 1")
    limited.begin(0.0, 0)
    refusal = refused(limited, 0.0)
    assert (refusal.status, refusal.kind, refusal.retry_after) == (429, "requests", 1)
    assert "1 requests at a time" in refusal.message
    assert not limited.limited
    limited.end(record())
    limited.begin(0.0, 0)


def test_another_policy_forgets_nothing() -> None:
    team = tenant()
    team.begin(0.0, 0)
    team.follow(read_policy("{maxConcurrentRequests: 1, requestsPerMinute: 10}"), 0.0)
    refused(team, 0.0)
    team.end(record())
    for _ in range(10):
        team.begin(0.0, 0)
        team.end(record())
    assert refused(team, 0.0).retry_after == 6
    team.follow(read_policy("requestsPerMinute: 20"), 0.0)
    assert refused(team, 0.0).retry_after == 3
