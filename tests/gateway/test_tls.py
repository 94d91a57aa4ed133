"""TLS on the public port: who is served, what is refused, and certificates that change under running connections."""

import asyncio
import logging
import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import openai
import pytest

from tunefleet.gateway import listeners
from tunefleet.gateway.tls import Tls, TlsFiles, expiry

from .certificates import Authority, Mounted
from .harness import ASK, CHAT, MODEL, Call, Client, Gateway, engine, gateway, get, post
from .live import live

ANSWER = (
    b'{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"finish_reason":"stop",'
    b'"message":{"role":"assistant","content":"Hello"}}]}'
)


@pytest.fixture
def mounted(tmp_path: Path) -> Mounted:
    made = Mounted(tmp_path)
    made.put(*made.authority.pair())
    return made


def trusting(mounted: Mounted, maximum: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED) -> ssl.SSLContext:
    """A client's context."""
    context = ssl.create_default_context(cafile=str(mounted.ca))
    context.maximum_version = maximum
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


async def dial(front: Gateway, context: ssl.SSLContext) -> Client:
    return Client(*await asyncio.open_connection("127.0.0.1", front.port, ssl=context, server_hostname="localhost"))


async def asked(front: Gateway, context: ssl.SSLContext) -> None:
    async with await dial(front, context) as client:
        await client.send(post(ASK))
        await client.response()


async def serial(client: Client) -> int:
    """Of the server's certificate."""
    found = client.writer.get_extra_info("peercert")
    return int(found["serialNumber"], 16)


async def test_requests_streams_and_the_end_of_a_connection(mounted: Mounted) -> None:
    async def script(call: Call) -> None:
        await (call.stream(b"1", b"2") if call.request.json.get("stream") else call.answer(call.request.body))

    async with (
        engine(script) as upstream,
        gateway(upstream, tls=Tls(mounted.files)) as front,
        await dial(front, trusting(mounted)) as client,
    ):
        assert client.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
        large = {**ASK, "messages": "x" * 3_000_000}
        await client.send(post(large) + get("/healthz"))
        assert len((await client.response()).json["messages"]) == 3_000_000
        assert (await client.response()).body == b"ok\n"
        await client.send(post({**ASK, "stream": True}, b"Connection: close"))
        assert (await client.response()).body == b"data: 1\n\ndata: 2\n\n"
        assert await client.rest() == b""


async def test_a_client_that_leaves_frees_the_engine(mounted: Mounted) -> None:
    running, gone = asyncio.Event(), asyncio.Event()

    async def script(call: Call) -> None:
        await call.stream(b"1", finish=False)
        running.set()
        await call.gone()
        gone.set()

    async with engine(script) as upstream, gateway(upstream, tls=Tls(mounted.files)) as front:
        async with await dial(front, trusting(mounted)) as client:
            await client.send(post({**ASK, "stream": True}))
            await running.wait()
        await asyncio.wait_for(gone.wait(), 10)
        await front.server.connections.all_gone()


async def test_a_broken_stream_is_seen_as_one(mounted: Mounted) -> None:
    async def script(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n")
        call.reset()

    async with (
        engine(script) as upstream,
        gateway(upstream, tls=Tls(mounted.files)) as front,
        await dial(front, trusting(mounted)) as client,
    ):
        await client.send(post(ASK, version=b"1.0"))  # which knows no chunks: only a reset can say it
        with pytest.raises((ConnectionError, ssl.SSLError)):
            await client.rest()


async def test_the_openai_client(mounted: Mounted) -> None:
    async def script(call: Call) -> None:
        await call.answer(ANSWER, b"200 OK", b"content-type: application/json")

    async with engine(script) as upstream, gateway(upstream, tls=Tls(mounted.files)) as front:
        http = openai.DefaultAsyncHttpxClient(verify=trusting(mounted))
        async with openai.AsyncOpenAI(
            api_key="-", base_url=f"https://localhost:{front.port}/v1", http_client=http
        ) as api:
            answer = await api.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Hello"}])
            assert answer.choices[0].message.content == "Hello"


async def test_curl(mounted: Mounted) -> None:
    async with engine() as upstream, gateway(upstream, tls=Tls(mounted.files)) as front:
        curl = await asyncio.create_subprocess_exec(
            "curl", "--silent", "--fail", "--noproxy", "*", "--cacert", str(mounted.ca), "--http2", "--data",
            f'{{"model":"{MODEL}"}}', f"https://localhost:{front.port}{CHAT}", stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, _ = await curl.communicate()
        assert (curl.returncode, out) == (0, b"{}")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_versions(mounted: Mounted, version: ssl.TLSVersion) -> None:
    async with gateway(tls=Tls(mounted.files)) as front, await dial(front, trusting(mounted, version)) as client:
        assert client.writer.get_extra_info("ssl_object").version() == version.name.replace("_", ".")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
async def test_older_versions_and_plain_text_are_refused(mounted: Mounted) -> None:
    old = trusting(mounted)
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    async with gateway(tls=Tls(mounted.files)) as front:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await dial(front, old)
        assert not (await front.once(get("/healthz"))).startswith(b"HTTP")
        await front.server.connections.all_gone()


async def test_who_does_not_shake_hands_is_let_go(mounted: Mounted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "HANDSHAKE_SECONDS", 0.05)
    async with gateway(tls=Tls(mounted.files)) as front, await front.client() as client:
        assert await client.rest() == b""


async def test_clients_with_certificates(mounted: Mounted, tmp_path: Path) -> None:
    theirs = Authority("theirs")
    (tmp_path / "theirs.pem").write_bytes(theirs.pem)
    (tmp_path / "client.pem").write_bytes(b"".join(theirs.pair("client")))
    (tmp_path / "stranger.pem").write_bytes(b"".join(Authority("stranger").pair("client")))
    files = replace(mounted.files, client_ca=tmp_path / "theirs.pem")
    async with engine() as upstream, gateway(upstream, tls=Tls(files)) as front:
        known = trusting(mounted)
        known.load_cert_chain(tmp_path / "client.pem")
        async with await dial(front, known) as client:
            await client.send(post(ASK))
            assert (await client.response()).status == 200
        stranger = trusting(mounted)
        stranger.load_cert_chain(tmp_path / "stranger.pem")
        for context in (trusting(mounted), stranger):
            with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
                await asked(front, context)
        assert len(upstream.received) == 1


async def test_a_new_certificate_is_taken_and_running_connections_keep_theirs(mounted: Mounted) -> None:
    tls = Tls(mounted.files)
    async with engine() as upstream, gateway(upstream, tls=tls) as front, await dial(front, trusting(mounted)) as old:
        front.server.renew()
        before = tls.expires
        mounted.put(*mounted.authority.pair(days=30))
        front.server.renew()
        assert tls.expires < before
        async with await dial(front, trusting(mounted)) as new:
            assert await serial(new) != await serial(old)
            for client in (old, new):
                await client.send(post(ASK))
                assert (await client.response()).status == 200


@pytest.mark.parametrize("broken", ["key", "certificate", "gone", "other"])
async def test_a_broken_pair_is_refused_and_the_old_one_stays(
    mounted: Mounted, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    tls = Tls(mounted.files)
    certificate, key = mounted.authority.pair()
    async with gateway(tls=tls) as front:
        before = tls.expires
        match broken:
            case "key":
                mounted.put(certificate, b"no key")
            case "certificate":
                mounted.put(b"no certificate", key)
            case "other":
                mounted.put(certificate, mounted.authority.pair()[1])
            case _:
                (mounted.directory / "..data").unlink()
        with caplog.at_level(logging.ERROR):
            for _ in range(3):
                front.server.renew()
        assert len(caplog.records) == 1
        assert "go on with the former one" in caplog.text
        assert "BEGIN" not in caplog.text
        async with await dial(front, trusting(mounted)) as client:
            await client.send(get("/healthz"))
            assert (await client.response()).status == 200
        mounted.put(*mounted.authority.pair(days=10))
        front.server.renew()
        assert tls.expires < before


async def test_a_process_follows_its_certificate(mounted: Mounted, tmp_path: Path) -> None:
    arguments = (f"--tls-cert={mounted.files.certificate}", f"--tls-key={mounted.files.key}")
    async with live(tmp_path, *arguments) as now:

        async def shown() -> int:
            reader, writer = await asyncio.open_connection("127.0.0.1", now.port, ssl=trusting(mounted))
            async with Client(reader, writer) as client:
                await client.send(post(ASK))
                assert (await client.response()).status == 200
                return await serial(client)

        first = await shown()
        metric = "tunefleet_gateway_certificate_expiry_timestamp_seconds "
        assert metric in (await now.admin("/metrics"))[1]
        mounted.put(*mounted.authority.pair())

        async def another() -> bool:
            return await shown() != first

        await now.until(another)
        now.terminate()
        assert await now.ended() == 0


def test_expiry(mounted: Mounted) -> None:
    left = expiry(mounted.files.certificate) - datetime.now(UTC)
    assert timedelta(days=89) < left <= timedelta(days=90)


def test_files_that_do_not_serve_are_an_error(mounted: Mounted, tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLError):
        Tls(TlsFiles(mounted.files.key, mounted.files.key))
    with pytest.raises(FileNotFoundError):
        Tls(TlsFiles(tmp_path / "nothing", mounted.files.key))


async def test_nothing_changes_while_the_files_stay(mounted: Mounted) -> None:
    tls = Tls(mounted.files)
    context = tls.context
    assert not tls.renewed()
    assert tls.context is context
