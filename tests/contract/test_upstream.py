import gzip
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from gateway.core.call import Request, ToolCall
from gateway.core.claims import Credential, UnverifiedToken
from gateway.core.errors import UpstreamError, UpstreamTimeout
from gateway.ports import Upstream
from gateway.settings import System
from gateway.upstream.http import HTTPUpstream
from tests.fakes import FakeUpstream, Gate
from tests.peers import (
    LAST_CHUNK,
    Exchange,
    Peer,
    answers,
    chunk,
    peer,
    response,
    stream_head,
)

AGENTS = "agents-token-canary"
OURS = "our-own-credential"
BODY = b'{"jsonrpc": "2.0",  "id":7,\n "method":"tools/call","params":{"name":"\xc3\xa9"}}'
HEADERS = {
    "accept": "application/json, text/event-stream",
    "content-type": "application/json",
    "last-event-id": "41",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "mcp-session-id": "s-1",
    "mcp-protocol-version": "2025-11-25",
}


def call(
    method: str = "POST",
    body: bytes = BODY,
    system: str = "crm",
    headers: Mapping[str, str] = HEADERS,
) -> ToolCall:
    """Return a decided call."""
    request = Request(
        method,
        f"/{system}/mcp",
        system,
        headers,
        body,
        "192.0.2.7",
        Credential(UnverifiedToken(AGENTS)),
    )
    return ToolCall(request, "tools/call", "tool", "crm.read", {}, "legacy", None, 7)


async def read(upstream: Upstream, asked: ToolCall | None = None) -> tuple[int, bytes]:
    """Return status and whole body of an exchange."""
    async with upstream.send(asked or call()) as answer:
        return answer.status, b"".join([piece async for piece in answer.body])


@asynccontextmanager
async def over_http(
    server: Peer, folder: Path, head_timeout_seconds: float = 5.0
) -> AsyncIterator[HTTPUpstream]:
    """Open the adapter on a peer, with a credential of its own."""
    credential = folder / "credential"
    credential.write_text(OURS + "\n")
    system = System(
        server.url, credential_file=credential, head_timeout_seconds=head_timeout_seconds
    )
    upstream = HTTPUpstream({"crm": system})
    try:
        with anyio.fail_after(20):
            yield upstream
    finally:
        await upstream.aclose()


# What every upstream keeps to, the fake included.


@dataclass
class Behaviour:
    """One thing that an upstream does, as the peer and as the fake do it."""

    on_wire: Callable[[Exchange], Awaitable[bool | None]]
    body: Sequence[bytes | Exception]
    entering: Exception | None = None
    status: int = 200


async def _drop(exchange: Exchange) -> bool:
    return False


BEHAVIOURS = {
    "answers": Behaviour(answers(response(b"{}")), [b"{}"]),
    "refuses": Behaviour(answers(response(b"{}", status="503 Busy")), [b"{}"], status=503),
    "says nothing": Behaviour(
        answers(response(b"", "X: y", status="202 Accepted")), [], status=202
    ),
    "hangs up": Behaviour(_drop, [], entering=UpstreamError("gone")),
    "breaks off": Behaviour(
        answers(response(b"half", length=9), keep=False),
        [b"half", UpstreamError("gone", code="upstream_broke_off")],
    ),
}


@dataclass
class Subject:
    """An adapter of the port with a scripted other end."""

    upstream: Upstream
    seen: Callable[[], int]
    """How many requests the other end saw."""


@asynccontextmanager
async def subject(kind: str, name: str, folder: Path) -> AsyncIterator[Subject]:
    """Open an adapter whose upstream behaves so."""
    behaviour = BEHAVIOURS[name]
    if kind == "FakeUpstream":
        fake = FakeUpstream(behaviour.body, status=behaviour.status)
        fake.entering = behaviour.entering
        yield Subject(fake, lambda: len(fake.calls))
        return
    async with peer(behaviour.on_wire) as server, over_http(server, folder) as upstream:
        yield Subject(upstream, lambda: len(server.requests))


ADAPTERS = pytest.mark.parametrize("kind", ["HTTPUpstream", "FakeUpstream"])


@ADAPTERS
@pytest.mark.parametrize("name", ["answers", "refuses", "says nothing"])
async def test_an_answer_is_given_as_it_is(kind: str, name: str, tmp_path: Path) -> None:
    """Design §7: the upstream's status is relayed; one request a call."""
    async with subject(kind, name, tmp_path) as under_test:
        body = b"".join(part for part in BEHAVIOURS[name].body if isinstance(part, bytes))
        assert await read(under_test.upstream) == (BEHAVIOURS[name].status, body)
        assert under_test.seen() == 1


@ADAPTERS
@pytest.mark.parametrize(
    ("name", "code"), [("hangs up", "upstream_failed"), ("breaks off", "upstream_broke_off")]
)
async def test_a_failure_is_an_upstream_error_and_never_a_retry(
    kind: str, name: str, code: str, tmp_path: Path
) -> None:
    """Upstream.send: on entering or from the body; one request, no retries of calls."""
    async with subject(kind, name, tmp_path) as under_test:
        with pytest.raises(UpstreamError) as caught:
            await read(under_test.upstream)
        assert caught.value.reason_code == code
        assert under_test.seen() == 1


@ADAPTERS
async def test_an_exchange_can_be_left_before_its_body_was_read(kind: str, tmp_path: Path) -> None:
    """Upstream.send: leaving ends the exchange."""
    async with subject(kind, "answers", tmp_path) as under_test:
        async with under_test.upstream.send(call()) as answer:
            assert answer.status == 200
        assert await read(under_test.upstream) == (200, b"{}")


# What is on the wire.


async def test_what_arrives_is_what_was_decided(tmp_path: Path) -> None:
    """Design §1.2: method, path, body bytes and the allowed headers, exactly."""
    async with peer(answers(response())) as server, over_http(server, tmp_path) as upstream:
        await read(upstream)
    (got,) = server.requests
    assert (got.line, got.body) == ("POST /mcp HTTP/1.1", BODY)
    expected = {
        **HEADERS,
        "authorization": f"Bearer {OURS}",
        "accept-encoding": "identity",
        "content-length": str(len(BODY)),
        "host": f"127.0.0.1:{server.port}",
    }
    assert dict(got.headers) == expected
    assert len(got.headers) == len(expected), "no header came twice"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_a_call_without_a_body_arrives_without_one(method: str, tmp_path: Path) -> None:
    """Design §1.2: the method is the agent's, the body stays empty."""
    async with peer(answers(response())) as server, over_http(server, tmp_path) as upstream:
        await read(upstream, call(method, b""))
    assert (server.requests[0].line, server.requests[0].body) == (f"{method} /mcp HTTP/1.1", b"")


STRAYS = {
    "cookie": "a=b",
    "connection": "keep-alive, x-secret",
    "te": "trailers",
    "transfer-encoding": "chunked",
    "content-length": "3",
    "host": "evil.example",
    "proxy-authorization": "Basic eA==",
    "x-forwarded-for": "203.0.113.1",
    "x-secret": "1",
    "user-agent": "agent/1",
    "origin": "https://evil.example",
    "expect": "100-continue",
    "upgrade": "h2c",
    "accept-encoding": "gzip, br",
    "forwarded": "for=1",
    "mcp": "no",
}


@pytest.mark.parametrize("name", STRAYS)
async def test_a_header_that_is_not_allowed_never_arrives(name: str, tmp_path: Path) -> None:
    """Threats §2: headers are built from an allow-list, whatever a request holds."""
    stray = {**HEADERS, name: STRAYS[name]}
    async with peer(answers(response())) as server, over_http(server, tmp_path) as upstream:
        await read(upstream, call(headers=stray))
    (got,) = server.requests
    assert STRAYS[name] not in got.values(name)
    assert got.body == BODY


async def test_the_agents_token_never_arrives_and_ours_is_not_needed(tmp_path: Path) -> None:
    """Design §1.4: also for a system that has no credential."""
    async with peer(answers(response())) as server:
        upstream = HTTPUpstream({"crm": System(server.url)})
        await read(upstream)
        await upstream.aclose()
    assert server.requests[0].values("authorization") == []
    assert AGENTS not in str(server.requests)


async def test_a_redirect_is_relayed_and_not_followed(tmp_path: Path) -> None:
    """Threats §2: no redirects; the place it points to is not even relayed."""
    async with peer(answers(response())) as trap:
        moved = response(b"", f"Location: {trap.url}", status="302 Found")
        async with peer(answers(moved)) as server, over_http(server, tmp_path) as upstream:
            async with upstream.send(call()) as answer:
                assert (answer.status, answer.headers) == (302, {})
    assert (len(server.requests), len(trap.requests)) == (1, 0)


async def test_only_allowed_response_headers_are_relayed(tmp_path: Path) -> None:
    """Threats §2: no cookies, no hop-by-hop headers, no challenge of the upstream."""
    lines = [
        "Content-Type: application/json",
        "Cache-Control: no-store",
        "Mcp-Session-Id: s-2",
        "Retry-After: 3",
        "Set-Cookie: a=b",
        "Connection: keep-alive",
        'WWW-Authenticate: Bearer resource_metadata="https://evil.example"',
        "Server: x",
        "Access-Control-Allow-Origin: *",
    ]
    async with peer(answers(response(b"{}", *lines))) as server:
        async with over_http(server, tmp_path) as upstream, upstream.send(call()) as answer:
            assert answer.headers == {
                "content-type": "application/json",
                "cache-control": "no-store",
                "mcp-session-id": "s-2",
                "retry-after": "3",
            }


async def test_a_cookie_of_the_upstream_is_not_kept_for_the_next_agent(tmp_path: Path) -> None:
    """Threats §2: no cookie store."""
    giving = answers(response(b"{}", "Set-Cookie: session=of-another-agent; Path=/"))
    async with peer(giving) as server, over_http(server, tmp_path) as upstream:
        await read(upstream)
        await read(upstream)
    assert [got.values("cookie") for got in server.requests] == [[], []]


async def test_a_kept_connection_that_dies_under_a_request_is_not_a_reason_to_repeat_it(
    tmp_path: Path,
) -> None:
    """Threats §2: one upstream request a call, on a reused connection too."""
    async with peer(answers(response())) as server, over_http(server, tmp_path) as upstream:
        await read(upstream)
        server.answering = _drop
        with pytest.raises(UpstreamError):
            await read(upstream)
        assert len(server.requests) == 2


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"])
async def test_a_proxy_of_the_environment_is_ignored(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threats §2: the client honours them; calls and credentials would leave us."""
    async with peer(answers(response(b"proxied"))) as trap:
        monkeypatch.setenv(name, f"http://127.0.0.1:{trap.port}")
        async with peer(answers(response(b"direct"))) as server:
            async with over_http(server, tmp_path) as upstream:
                assert name not in os.environ
                assert await read(upstream) == (200, b"direct")
    assert trap.requests == []


ENCODED = {
    "gzip": ["Content-Encoding: gzip"],
    "br": ["Content-Encoding: BR"],
    "two at once": ["Content-Encoding: identity, gzip"],
    "twice": ["Content-Encoding: identity", "Content-Encoding: gzip"],
    "unknown": ["Content-Encoding: x-of-our-own"],
}


@pytest.mark.parametrize("lines", ENCODED.values(), ids=ENCODED.keys())
async def test_an_encoded_answer_is_refused(lines: list[str], tmp_path: Path) -> None:
    """Threats §2: unknown encodings fail closed; nobody here could check what they say."""
    encoded = response(gzip.compress(b"{}"), "Content-Type: application/json", *lines)
    async with peer(answers(encoded)) as server, over_http(server, tmp_path) as upstream:
        with pytest.raises(UpstreamError) as caught:
            await read(upstream)
        assert caught.value.reason_code == "upstream_encoding_refused"


BAD_HEADS = {
    "not HTTP": b"SSH-2.0-OpenSSH\r\n\r\n",
    "no head at all": b"",
    "a head cut short": b"HTTP/1.1 200 OK\r\nContent-Ty",
    "a length that is no number": b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a head of 2 MB": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 2_000_000 + b"\r\n\r\n",
    "500 headers": b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 500 + b"\r\n",
    "another protocol": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nab",
    "a status beyond 599": b"HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("head", BAD_HEADS.values(), ids=BAD_HEADS.keys())
async def test_a_head_that_is_none_is_an_upstream_error(head: bytes, tmp_path: Path) -> None:
    """Upstream.send: foreign exceptions never cross a floor."""
    async with peer(answers(head, keep=False)) as server, over_http(server, tmp_path) as upstream:
        with pytest.raises(UpstreamError) as caught:
            await read(upstream)
        assert caught.value.reason_code == "upstream_failed"
        assert len(server.requests) == 1


BAD_BODIES = {
    "shorter than said": response(b"abc", length=10),
    "a chunk cut short": stream_head() + b"a\r\nabc",
    "no last chunk": stream_head() + chunk(b"abc"),
    "a chunk size that is no number": stream_head() + b"zz\r\nabc",
}


@pytest.mark.parametrize("sent", BAD_BODIES.values(), ids=BAD_BODIES.keys())
async def test_a_body_that_is_not_whole_is_an_upstream_error(sent: bytes, tmp_path: Path) -> None:
    """Upstream.send: raised from `body`, never a short answer that looks whole."""
    async with peer(answers(sent, keep=False)) as server, over_http(server, tmp_path) as upstream:
        async with upstream.send(call()) as answer:
            with pytest.raises(UpstreamError) as caught:
                async for _ in answer.body:
                    pass
        assert caught.value.reason_code == "upstream_broke_off"


async def test_an_upstream_that_does_not_listen_is_an_upstream_error(tmp_path: Path) -> None:
    """Design §7: 502."""
    async with peer(_drop) as server:
        pass
    async with over_http(server, tmp_path) as upstream:
        with pytest.raises(UpstreamError) as caught:
            await read(upstream)
    assert (caught.value.reason_code, caught.value.http_status) == ("upstream_failed", 502)


async def test_a_system_that_is_not_in_settings_is_not_guessed(tmp_path: Path) -> None:
    """House: a permit for an unknown system reaches nobody."""
    async with peer(answers(response())) as server, over_http(server, tmp_path) as upstream:
        with pytest.raises(UpstreamError) as caught:
            await read(upstream, call(system="other"))
    assert caught.value.reason_code == "upstream_unconfigured"
    assert server.connections == 0


async def _wait_until_left(exchange: Exchange, left: anyio.Event) -> bool:
    await exchange.left()
    left.set()
    return False


async def test_a_head_that_does_not_come_is_a_timeout_and_closes_the_connection(
    tmp_path: Path,
) -> None:
    """Design §7: 504, and the upstream's work is ended."""
    left = anyio.Event()
    async with peer(lambda exchange: _wait_until_left(exchange, left)) as server:
        async with over_http(server, tmp_path, head_timeout_seconds=0.1) as upstream:
            with pytest.raises(UpstreamTimeout) as caught:
                await read(upstream)
            with anyio.fail_after(1):
                await left.wait()
    assert (caught.value.reason_code, caught.value.http_status) == ("upstream_timeout", 504)


async def test_a_cancelled_call_closes_its_connection_before_the_head_has_come(
    tmp_path: Path,
) -> None:
    """Threats §2: a revoked call must not run on upstream; within a second."""
    arrived, left = anyio.Event(), anyio.Event()

    async def wait(exchange: Exchange) -> bool:
        arrived.set()
        return await _wait_until_left(exchange, left)

    async with peer(wait) as server, over_http(server, tmp_path) as upstream:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read, upstream)
            await arrived.wait()
            tasks.cancel_scope.cancel()
        with anyio.fail_after(1):
            await left.wait()


@pytest.mark.parametrize("how", ["leaves", "is cancelled"])
async def test_whoever_ends_a_stream_early_closes_its_connection(how: str, tmp_path: Path) -> None:
    """Upstream.send: leaving ends the exchange at once, also upstream."""
    left = anyio.Event()

    async def stream(exchange: Exchange) -> bool:
        await exchange.send(stream_head(), chunk(b"data: 1\n\n"))
        return await _wait_until_left(exchange, left)

    async with peer(stream) as server, over_http(server, tmp_path) as upstream:
        with anyio.CancelScope() as scope:
            async with upstream.send(call()) as answer:
                async for piece in answer.body:
                    assert piece == b"data: 1\n\n"
                    if how == "leaves":
                        break
                    scope.cancel()
        with anyio.fail_after(1):
            await left.wait()


async def test_a_chunk_of_a_stream_comes_as_soon_as_it_was_sent(tmp_path: Path) -> None:
    """House: the peer sends the second only when the first has been seen."""
    gate = Gate()

    async def stream(exchange: Exchange) -> bool:
        await exchange.send(stream_head(), chunk(b"data: 1\n\n"))
        await gate.passed()
        await exchange.send(chunk(b"data: 2\n\n"), LAST_CHUNK)
        return True

    async with peer(stream) as server, over_http(server, tmp_path) as upstream:
        async with upstream.send(call()) as answer:
            seen = []
            async for piece in answer.body:
                seen.append(piece)
                gate.opened.set()
    assert seen == [b"data: 1\n\n", b"data: 2\n\n"]


async def test_calls_one_after_another_use_one_connection(tmp_path: Path) -> None:
    """House: 200 calls; a body read to its end gives its connection back."""
    async with peer(answers(response())) as server, over_http(server, tmp_path) as upstream:
        for _ in range(200):
            await read(upstream)
    assert (len(server.requests), server.connections) == (200, 1)


async def test_calls_at_once_do_not_get_one_anothers_answers(tmp_path: Path) -> None:
    """House: 50 at once, each with the answer to its own body."""

    async def echo(exchange: Exchange) -> bool:
        await exchange.send(response(exchange.received.body))
        return True

    got: dict[int, bytes] = {}
    async with peer(echo) as server, over_http(server, tmp_path) as upstream:

        async def one(number: int) -> None:
            got[number] = (await read(upstream, call(body=json.dumps(number).encode())))[1]

        async with anyio.create_task_group() as tasks:
            for number in range(50):
                tasks.start_soon(one, number)
    assert got == {number: json.dumps(number).encode() for number in range(50)}


async def test_a_body_of_a_megabyte_arrives_and_comes_back_byte_for_byte(tmp_path: Path) -> None:
    """Design §1.2: no matter how many pieces it takes."""
    big = bytes(range(256)) * 4096

    async def echo(exchange: Exchange) -> bool:
        await exchange.send(response(exchange.received.body))
        return True

    async with peer(echo) as server, over_http(server, tmp_path) as upstream:
        assert await read(upstream, call(body=big)) == (200, big)
