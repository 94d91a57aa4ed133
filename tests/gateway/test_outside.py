"""What leaves for an external upstream: what it needs, and nothing that says who asks."""

import pytest

from tunefleet.gateway.external import place_of
from tunefleet.gateway.health import Health
from tunefleet.gateway.outside import incoming_lines, outgoing_start
from tunefleet.gateway.pods import Pod
from tunefleet.gateway.request_head import parse_head
from tunefleet.plan.facts import Key

NEEDED = (
    b"Content-Type: application/json",
    b"accept: text/event-stream",
    b"User-Agent: openai/2",
    b"Accept-Encoding: gzip",
)
PRIVATE = (
    b"Authorization: Bearer mine",
    b"X-Api-Key: mine",
    b"api-key: mine",
    b"Cookie: session=1",
    b"X-Forwarded-For: 10.1.2.3",
    b"Forwarded: for=10.1.2.3",
    b"x-tunefleet-session: me",
    b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    b"tracestate: a=b",
    b"OpenAI-Organization: org-mine",
    b"X-Stainless-Os: Linux",
    b"Baggage: user=me",
    b"Accept-Charset: utf-8",
)


def upstream(url: str) -> Pod:
    place = place_of(url)
    key = Key("", place.host)
    return Pod(key, place.host, place.port, Health({}), prefix=place.prefix, host_line=place.host_line)


def start(url: str, path: bytes = b"/v1/chat/completions", *lines: bytes) -> bytes:
    head = b"".join(line + b"\r\n" for line in (b"POST %b HTTP/1.1" % path, b"Host: gateway", *lines, b""))
    return outgoing_start(parse_head(head)[0], upstream(url))


@pytest.mark.parametrize(
    ("url", "target", "host"),
    [
        ("https://api.example.com", b"/v1/chat/completions", b"api.example.com"),
        ("https://api.example.com/", b"/v1/chat/completions", b"api.example.com"),
        ("https://api.example.com/v1", b"/v1/chat/completions", b"api.example.com"),
        ("https://api.example.com/v1/", b"/v1/chat/completions", b"api.example.com"),
        ("https://api.example.com/openai/v1", b"/openai/v1/chat/completions", b"api.example.com"),
        ("https://api.example.com/v1beta/openai/", b"/v1beta/openai/chat/completions", b"api.example.com"),
        ("http://llama.ml.svc:8080/v1", b"/v1/chat/completions", b"llama.ml.svc:8080"),
        ("https://api.example.com:443/v1", b"/v1/chat/completions", b"api.example.com"),
        ("http://api.example.com:443/v1", b"/v1/chat/completions", b"api.example.com:443"),
    ],
)
def test_paths_lie_below_the_base_url(url: str, target: bytes, host: bytes) -> None:
    assert start(url) == b"POST %b HTTP/1.1\r\nhost: %b\r\n" % (target, host)


def test_a_query_goes_along() -> None:
    assert start("http://a/x/v1", b"/v1/completions?v=%20").startswith(b"POST /x/v1/completions?v=%20 HTTP/1.1\r\n")


@pytest.mark.parametrize(("url", "expected"), [("http://a/v1", ("a", 80)), ("https://A.b:8443", ("a.b", 8443))])
def test_places(url: str, expected: tuple[str, int]) -> None:
    place = place_of(url)
    assert (place.host, place.port) == expected
    assert place.tls == url.startswith("https")


def test_only_what_is_needed_leaves() -> None:
    lines = [line for pair in zip(PRIVATE, (*NEEDED, *NEEDED, *NEEDED, *NEEDED), strict=False) for line in pair]
    sent = start("https://api.example.com", b"/v1/completions", *dict.fromkeys(lines))
    assert sent.split(b"\r\n")[2:-1] == list(NEEDED)


def test_what_is_between_the_provider_and_us_stays_with_us() -> None:
    private = b"Set-Cookie: a=b; c\r\nopenai-organization: ours\r\n"
    assert incoming_lines(b"HTTP/1.1 200 OK\r\nserver: x\r\n" + private) == b"HTTP/1.1 200 OK\r\nserver: x\r\n"
