import gzip
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.core.errors import IssuerUnavailable
from gateway.identity.fetching import FETCH_SECONDS, Absent, from_file, from_url, origin
from gateway.identity.jwks import MAX_BYTES
from tests.issuer_server import certificate, issuer_server
from tests.unit.identity.keys import P256, jwk, key_set

SET = key_set(jwk(P256, "a"))

# A file.


async def test_a_key_set_is_read_from_its_file_each_time(tmp_path: Path) -> None:
    """House."""
    path = anyio.Path(tmp_path / "keys.json")
    fetch = from_file(str(path))
    for content in (SET, b"changed"):
        await path.write_bytes(content)
        assert await fetch() == content


@pytest.mark.parametrize("name", ["absent.json", ".", "a\0b", "pipe", "huge.json"])
async def test_a_file_that_cannot_be_read_is_an_unavailable_issuer(
    tmp_path: Path, name: str
) -> None:
    """House."""
    os.mkfifo(tmp_path / "pipe")
    await anyio.Path(tmp_path / "huge.json").write_bytes(b" " * (MAX_BYTES + 1))
    with anyio.fail_after(5), pytest.raises(IssuerUnavailable) as caught:
        await from_file(str(tmp_path / name))()
    assert caught.value.message.startswith(f"{tmp_path / name}: ")


# A URL.


def http(body: bytes, status: str = "200 OK", *lines: str) -> bytes:
    """Return a whole HTTP response."""
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *lines]
    return "\r\n".join([*head, "", ""]).encode() + body


@asynccontextmanager
async def served(answer: bytes | None) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Serve one answer, or silence, on loopback; yield the URL and the requests that came."""
    requests: list[bytes] = []

    async def handle(stream: SocketStream) -> None:
        async with stream:
            requests.append(await stream.receive())
            if answer is None:
                await anyio.sleep_forever()
            else:
                try:
                    await stream.send(answer)
                except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                    return

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(SocketAttribute.local_port)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, handle)
            yield f"http://127.0.0.1:{port}/keys", requests
            tasks.cancel_scope.cancel()


async def unfetchable(answer: bytes | None, seconds: float = 5) -> list[bytes]:
    """Assert that this answer is refused; return the requests that were made."""
    async with served(answer) as (url, requests):
        with anyio.fail_after(seconds), pytest.raises(IssuerUnavailable) as caught:
            await from_url(url)()
    assert caught.value.message.startswith(url.removesuffix("/keys") + ": ")
    return requests


async def test_a_key_set_is_fetched_over_http_without_compression() -> None:
    """House."""
    async with served(http(SET)) as (url, requests):
        with anyio.fail_after(5):
            assert await from_url(url)() == SET
    assert len(requests) == 1
    assert requests[0].startswith(b"GET /keys HTTP/1.1\r\n")
    assert b"\r\naccept-encoding: identity\r\n" in requests[0].lower()


@pytest.mark.parametrize("status", ["301 x", "302 x", "303 x", "307 x", "308 x"])
async def test_a_redirect_is_not_followed(status: str) -> None:
    """House: only the configured place is read."""
    assert len(await unfetchable(http(SET, status, "Location: /keys"))) == 1


@pytest.mark.parametrize("status", ["201 x", "203 x", "204 x", "206 x", "304 x", "404 x", "500 x"])
async def test_any_status_but_200_is_a_failure(status: str) -> None:
    """House."""
    await unfetchable(http(b"" if status[:3] in ("204", "304") else SET, status))


@pytest.mark.parametrize(
    "answer",
    [
        http(b" " * (MAX_BYTES + 1)),
        http(b"").replace(b"Content-Length: 0\r\n", b"") + b" " * (MAX_BYTES + 1),
        http(SET)[:-1],
        b"",
        b"SSH-2.0-x\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    ],
    ids=["oversize", "oversize-without-length", "cut", "nothing", "not-http", "bad-length"],
)
async def test_an_answer_that_is_too_long_or_not_whole_is_a_failure(answer: bytes) -> None:
    """House."""
    await unfetchable(answer)


async def test_a_body_of_exactly_the_limit_is_read() -> None:
    """House."""
    body = SET.ljust(MAX_BYTES)
    async with served(http(body)) as (url, _):
        with anyio.fail_after(5):
            assert await from_url(url)() == body


async def test_a_compressed_body_is_not_inflated() -> None:
    """House: the limit bounds what is held, not what was sent."""
    bomb = gzip.compress(bytes(64 * MAX_BYTES))
    async with served(http(bomb, "200 OK", "Content-Encoding: gzip")) as (url, _):
        with anyio.fail_after(5):
            assert await from_url(url)() == bomb


async def test_a_server_that_does_not_answer_is_left_within_the_bound() -> None:
    """House: FETCH_SECONDS."""
    assert len(await unfetchable(None, FETCH_SECONDS + 3)) == 1


async def test_a_server_that_is_not_there_is_a_failure() -> None:
    """House."""
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(SocketAttribute.local_port)
    with anyio.fail_after(5), pytest.raises(IssuerUnavailable):
        await from_url(f"http://127.0.0.1:{port}/")()


async def test_proxy_variables_are_ignored() -> None:
    """House: the key set comes from the configured place and from nowhere else."""
    script = (
        "import anyio, sys\n"
        "from gateway.identity.fetching import from_url\n"
        "sys.stdout.buffer.write(anyio.run(from_url(sys.argv[1])))\n"
    )
    async with served(http(SET)) as (url, asked), served(http(b"proxy")) as (proxy, proxied):
        names = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy")
        without = {"NO_PROXY", "no_proxy"}
        env = {name: value for name, value in os.environ.items() if name not in without}
        env |= dict.fromkeys(names, proxy.removesuffix("/keys"))
        with anyio.fail_after(30):
            done = await anyio.run_process([sys.executable, "-c", script, url], env=env)
    assert (json.loads(done.stdout), len(asked), proxied) == (json.loads(SET), 1, [])


async def test_a_document_that_is_not_there_is_said_to_be_absent() -> None:
    """House: discovery goes on to the other place then, and only then."""
    async with served(http(b"", "404 x")) as (url, _):
        with anyio.fail_after(5), pytest.raises(Absent):
            await from_url(url)()
    async with served(http(b"", "410 x")) as (url, _):
        with anyio.fail_after(5), pytest.raises(IssuerUnavailable) as caught:
            await from_url(url)()
    assert type(caught.value) is IssuerUnavailable


async def test_a_server_that_sends_for_ever_is_left_within_the_bound() -> None:
    """House: the deadline is for the whole, not for each piece."""

    async def dribble(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            try:
                while True:
                    await stream.send(b" ")
                    await anyio.sleep(0.05)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                return

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        url = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, dribble)
            with anyio.fail_after(FETCH_SECONDS + 3), pytest.raises(IssuerUnavailable) as caught:
                await from_url(f"{url}/")()
            tasks.cancel_scope.cancel()
    assert caught.value.message == f"{url}: took longer than 5 seconds"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://user:secret@a.test:8443/path?token=secret", "https://a.test:8443"),
        ("https://us@er:secret@a.test", "https://a.test"),
        ("https://[::1", "the configured URL"),
        ("http://[::1]:80/x", "http://[::1]:80"),
    ],
)
def test_of_a_url_only_its_origin_is_said(url: str, said: str) -> None:
    """House: the rest may hold a secret."""
    assert origin(url) == said


@pytest.mark.parametrize(
    "url",
    ["", "keys", "ftp://a.test/", "http://", "http://a\x00b/", "http://\ud800/", "http://a:b/"],
)
async def test_what_is_no_url_is_an_unavailable_issuer(url: str) -> None:
    """House: foreign exceptions are translated at the door."""
    with anyio.fail_after(5), pytest.raises(IssuerUnavailable):
        await from_url(url)()


# Whom the server is believed to be.


async def test_a_server_is_believed_by_the_authorities_of_the_file(tmp_path: Path) -> None:
    """House: pinned."""
    with issuer_server(tls=tmp_path) as issuer, anyio.fail_after(10):
        fetch = from_url(issuer.jwks_url, ca_file=issuer.ca_file)
        assert await fetch() == await fetch() == issuer.documents["/jwks"]


async def test_a_server_of_an_unknown_authority_is_refused(tmp_path: Path) -> None:
    """House: TLS is not optional."""
    with issuer_server(tls=tmp_path) as issuer, anyio.fail_after(10):
        with pytest.raises(IssuerUnavailable) as caught:
            await from_url(issuer.jwks_url)()
        assert "its certificate is not believed" in caught.value.message
        assert issuer.requests == []


async def test_a_server_of_another_name_is_refused(tmp_path: Path) -> None:
    """RFC 9110 §4.3.4."""
    with issuer_server(tls=tmp_path) as issuer, anyio.fail_after(10):
        url = issuer.jwks_url.replace("127.0.0.1", "localhost")
        with pytest.raises(IssuerUnavailable) as caught:
            await from_url(url, ca_file=issuer.ca_file)()
        assert "its certificate is not believed" in caught.value.message
        assert issuer.requests == []


def authority(name: str) -> bytes:
    """Return the certificate of a new authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    return certificate(name, key, None, key).public_bytes(Encoding.PEM)


async def test_a_changed_authority_file_counts_from_the_next_fetch_on(tmp_path: Path) -> None:
    """House: no restart for a new authority, and none to take one away."""
    with issuer_server(tls=tmp_path) as issuer, anyio.fail_after(10):
        pinned = anyio.Path(tmp_path / "pinned.pem")
        fetch = from_url(issuer.jwks_url, ca_file=Path(pinned))
        good = await anyio.Path(tmp_path / "ca.pem").read_bytes()
        for content in (authority("other"), good, authority("other")):
            await pinned.write_bytes(content)
            if content == good:
                assert await fetch() == issuer.documents["/jwks"]
                continue
            with pytest.raises(IssuerUnavailable):
                await fetch()
        assert len(issuer.requests) == 1


async def test_an_authority_file_may_hold_several_and_comments(tmp_path: Path) -> None:
    """House: as bundles of authorities are written."""
    with issuer_server(tls=tmp_path) as issuer, anyio.fail_after(10):
        good = await anyio.Path(tmp_path / "ca.pem").read_bytes()
        pinned = anyio.Path(tmp_path / "pinned.pem")
        await pinned.write_bytes("# Főtanúsítvány\n".encode() + authority("other") + good)
        assert await from_url(issuer.jwks_url, ca_file=Path(pinned))()


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"none",
        b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n",
        b" " * (1024 * 1024 + 1),
    ],
    ids=["absent", "empty", "text", "no-certificate", "huge"],
)
async def test_an_authority_file_that_holds_none_never_means_the_systems(
    tmp_path: Path, content: bytes | None
) -> None:
    """House: fail closed."""
    pinned = tmp_path / "pinned.pem"
    if content is not None:
        await anyio.Path(pinned).write_bytes(content)
    with issuer_server(tls=tmp_path) as issuer, anyio.fail_after(10):
        with pytest.raises(IssuerUnavailable) as caught:
            await from_url(issuer.jwks_url, ca_file=pinned)()
        assert caught.value.message.startswith(f"{pinned}: ")
        assert issuer.requests == []


# The token that it wants.


async def test_a_token_is_shown_to_the_url_and_read_each_time_anew(tmp_path: Path) -> None:
    """RFC 6750 §2.1; Kubernetes rotates projected tokens."""
    file = anyio.Path(tmp_path / "token")
    with issuer_server() as issuer, anyio.fail_after(10):
        fetch = from_url(issuer.jwks_url, token_file=Path(file))
        for token in ("one.two-three_~+/==", "other"):
            await file.write_text(f"{token}\n")
            await fetch()
            assert issuer.headers[-1]["authorization"] == f"Bearer {token}"


async def test_without_a_token_file_no_token_is_shown() -> None:
    """House."""
    with issuer_server() as issuer, anyio.fail_after(10):
        await from_url(issuer.jwks_url)()
        assert "authorization" not in issuer.headers[-1]


@pytest.mark.parametrize(
    "content",
    [None, b"", b"\n", b"secret two", b"secret\r\nX: y", b"s\xc3\xa9cret", b"a" * (16 * 1024 + 1)],
    ids=["absent", "empty", "blank", "two", "lines", "not-ascii", "huge"],
)
async def test_a_file_without_one_token_sends_nothing_and_its_content_is_not_said(
    tmp_path: Path, content: bytes | None
) -> None:
    """House."""
    file = tmp_path / "token"
    if content is not None:
        await anyio.Path(file).write_bytes(content)
    with issuer_server() as issuer, anyio.fail_after(10):
        with pytest.raises(IssuerUnavailable) as caught:
            await from_url(issuer.jwks_url, token_file=file)()
        assert issuer.requests == []
    assert "secret" not in caught.value.message
    assert caught.value.message.startswith(f"{file}: ")
