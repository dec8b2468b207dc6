import gzip
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.core.errors import IssuerUnavailable
from gateway.identity.jwks import (
    COOLDOWN_SECONDS,
    FETCH_SECONDS,
    FRESH_SECONDS,
    MAX_BYTES,
    MAX_KEYS,
    STALE_SECONDS,
    KeyCache,
    VerificationKey,
    from_file,
    from_url,
    read_key_set,
)
from tests.fakes_clock import FakeClock
from tests.unit.identity.keys import ED25519, P256, P384, RSA, jwk, key_set

KEY = jwk(P256, "a")
READ = VerificationKey(KEY, ("ES256",))
SET = key_set(KEY)

# Reading a key set.


def test_each_key_may_verify_only_what_its_kind_can() -> None:
    """RFC 7518 §3.1; RFC 8725 §3.1."""
    keys = [jwk(RSA, "r"), jwk(P256, "2"), jwk(P384, "3"), jwk(ED25519, "e")]
    assert read_key_set(key_set(*keys, other=1)) == {
        "r": VerificationKey(keys[0], ("RS256", "PS256")),
        "2": VerificationKey(keys[1], ("ES256",)),
        "3": VerificationKey(keys[2], ("ES384",)),
        "e": VerificationKey(keys[3], ("EdDSA",)),
    }


def test_a_key_that_names_its_algorithm_has_no_other() -> None:
    """RFC 7517 §4.4."""
    key = jwk(RSA, "r", alg="PS256")
    assert read_key_set(key_set(key)) == {"r": VerificationKey(key, ("PS256",))}


WEAK = rsa.generate_private_key(65537, 1024)
UNUSABLE: dict[str, Any] = {
    "symmetric": {"kty": "oct", "k": "AAAA", "kid": "b"},
    "symmetric-with-alg": {"kty": "oct", "k": "AAAA", "kid": "b", "alg": "HS256"},
    "symmetric-named-for-rsa": {"kty": "oct", "k": "AAAA", "kid": "b", "alg": "RS256"},
    "weak-rsa": jwk(WEAK, "b"),
    "private-ec": jwk(P256, "b", secret=True),
    "private-rsa": jwk(RSA, "b", secret=True),
    "private-ed25519": jwk(ED25519, "b", secret=True),
    "p521": jwk(ec.generate_private_key(ec.SECP521R1()), "b"),
    "secp256k1": jwk(ec.generate_private_key(ec.SECP256K1()), "b"),
    "x25519": {"kty": "OKP", "crv": "X25519", "x": "A" * 43, "kid": "b"},
    "not-on-the-curve": {"kty": "EC", "crv": "P-256", "x": "A" * 43, "y": "A" * 43, "kid": "b"},
    "short-point": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "b"},
    "no-point": {"kty": "EC", "crv": "P-256", "kid": "b"},
    "number-for-point": jwk(P256, "b", x=5),
    "no-modulus": {"kty": "RSA", "e": "AQAB", "kid": "b"},
    "number-for-modulus": jwk(RSA, "b", n=5),
    "list-for-modulus": jwk(RSA, "b", n=[]),
    "empty-modulus": jwk(RSA, "b", n=""),
    "even-exponent": jwk(RSA, "b", e="AA"),
    "rsa-with-curve": jwk(RSA, "b", crv="P-256"),
    "short-ed25519": jwk(ED25519, "b", x="AA"),
    "encryption": jwk(P256, "b", use="enc"),
    "signing-only": jwk(P256, "b", key_ops=["sign"]),
    "other-alg": jwk(P256, "b", alg="RS256"),
    "other-kty": jwk(P256, "b", kty="RSA"),
    "other-kty-case": jwk(P256, "b", kty="ec"),
    "no-kid": {name: value for name, value in KEY.items() if name != "kid"},
    "kid-number": KEY | {"kid": 1},
    "kid-null": KEY | {"kid": None},
    "no-kty": {name: value for name, value in KEY.items() if name != "kty"} | {"kid": "b"},
    "kty-list": jwk(P256, "b", kty=["EC"]),
    "empty": {},
    "text": "b",
    "null": None,
    "list": [KEY],
}


@pytest.mark.parametrize("unusable", UNUSABLE.values(), ids=UNUSABLE)
def test_a_key_that_cannot_verify_for_us_is_left_out_and_harms_no_other(unusable: Any) -> None:
    """RFC 7517 §5; House: symmetric, private and weak keys prove nothing."""
    assert read_key_set(key_set(unusable, KEY)) == {"a": READ}
    assert read_key_set(key_set(unusable)) == {}


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"keys":null}',
        b'{"keys":{}}',
        b'{"keys":"a"}',
        b'{"Keys":[]}',
        b'{"keys":[],"keys":[]}',
        b"\xef\xbb\xbf" + SET,
        SET.decode().encode("utf-16"),
        SET + SET,
        SET[:-1],
        b'{"keys":[{"kid":"a","kid":"b"}]}',
        b"<html></html>",
        key_set(KEY, KEY),
        key_set(KEY, jwk(ED25519, "a")),
        key_set(*({} for _ in range(MAX_KEYS + 1))),
        key_set(KEY).ljust(MAX_BYTES + 1),
    ],
    ids=[
        "nothing",
        "null",
        "list",
        "no-keys",
        "null-keys",
        "object-keys",
        "text-keys",
        "other-case",
        "keys-twice",
        "bom",
        "utf-16",
        "two-documents",
        "cut",
        "member-twice",
        "html",
        "kid-twice",
        "kid-twice-other-kind",
        "65-keys",
        "too-large",
    ],
)
def test_what_is_no_bounded_strict_key_set_is_refused(document: bytes) -> None:
    """RFC 7517 §5; House: 64 keys, 256 KiB."""
    with pytest.raises(IssuerUnavailable):
        read_key_set(document)


def test_a_key_set_may_be_as_large_as_the_limits() -> None:
    """House."""
    assert MAX_KEYS == 64
    assert MAX_BYTES == 256 * 1024
    assert len(read_key_set(key_set(*(jwk(P256, str(kid)) for kid in range(64))))) == 64
    assert read_key_set(SET.ljust(MAX_BYTES)) == {"a": READ}


def test_two_keys_of_one_kid_are_refused_only_if_both_could_verify() -> None:
    """House: an encryption key may share its signing key's id."""
    assert read_key_set(key_set(KEY, jwk(RSA, "a", use="enc"))) == {"a": READ}


# Keeping it.


class Source:
    """What an issuer answers; counts how often it was asked. Owned by one test."""

    def __init__(self, answer: bytes | None = SET) -> None:
        self.answer = answer
        self.asked = 0
        self.open = anyio.Event()
        self.open.set()

    async def __call__(self) -> bytes:
        """Answer as scripted, once the door is open."""
        self.asked += 1
        await self.open.wait()
        if self.answer is None:
            raise IssuerUnavailable("down")
        return self.answer


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still."""
    return FakeClock(monotonic_ns=10**15)


@pytest.fixture
def source() -> Source:
    """An issuer that answers."""
    return Source()


@pytest.fixture
def cache(source: Source, clock: FakeClock) -> KeyCache:
    """A cache that has read nothing yet."""
    return KeyCache("https://issuer.test", source, clock)


async def unavailable(cache: KeyCache, kid: str = "a") -> None:
    """Assert that the key cannot be had."""
    with pytest.raises(IssuerUnavailable) as caught:
        await cache.key(kid)
    assert caught.value.reason_code == "issuer_unavailable"


async def test_a_known_key_is_fetched_once_and_again_when_it_is_no_longer_fresh(
    cache: KeyCache, source: Source, clock: FakeClock
) -> None:
    """House: cache rules."""
    assert [await cache.key("a") for _ in range(3)] == [READ] * 3
    clock.advance(FRESH_SECONDS)
    assert (await cache.key("a"), source.asked) == (READ, 1)
    clock.advance(1)
    assert (await cache.key("a"), source.asked) == (READ, 2)


async def test_a_key_that_the_issuer_took_back_is_gone_after_the_refresh(
    cache: KeyCache, source: Source, clock: FakeClock
) -> None:
    """House: revoked keys must not live on."""
    await cache.key("a")
    source.answer = key_set(jwk(P256, "b"))
    clock.advance(FRESH_SECONDS + 1)
    assert await cache.key("a") is None


async def test_concurrent_unknown_kids_are_one_fetch(cache: KeyCache, source: Source) -> None:
    """House: single flight."""
    source.open = anyio.Event()
    found: dict[str, VerificationKey | None] = {}

    async def ask(kid: str) -> None:
        found[kid] = await cache.key(kid)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for kid in "abcde":
                tasks.start_soon(ask, kid)
            await anyio.wait_all_tasks_blocked()
            assert (source.asked, found) == (1, {})
            source.open.set()
    assert (source.asked, found) == (1, {"a": READ, "b": None, "c": None, "d": None, "e": None})


@pytest.mark.parametrize("known", [False, True], ids=["nothing-known", "keys-known"])
async def test_five_unknown_kids_in_an_outage_are_one_fetch(
    cache: KeyCache, source: Source, clock: FakeClock, known: bool
) -> None:
    """House: a failed fetch counts as a fetch (PyJWKClient's five are the counterexample)."""
    if known:
        await cache.key("a")
        clock.advance(COOLDOWN_SECONDS + 1)
    source.answer, source.asked = None, 0
    for kid in "vwxyz":
        if known:
            assert await cache.key(kid) is None
        else:
            await unavailable(cache, kid)
    assert source.asked == 1


async def test_concurrent_calls_in_an_outage_are_one_fetch_and_all_fail(
    cache: KeyCache, source: Source
) -> None:
    """House: fail closed, once."""
    source.answer, source.open = None, anyio.Event()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for kid in "abcde":
                tasks.start_soon(unavailable, cache, kid)
            await anyio.wait_all_tasks_blocked()
            source.open.set()
    assert source.asked == 1


@pytest.mark.parametrize("answer", [SET, None, b"{}", b""], ids=["ok", "down", "bad", "empty"])
async def test_an_unknown_kid_causes_at_most_one_fetch_a_cooldown_whatever_its_outcome(
    cache: KeyCache, source: Source, clock: FakeClock, answer: bytes | None
) -> None:
    """House: cache rules."""
    await cache.key("a")
    clock.advance(COOLDOWN_SECONDS + 1)
    source.answer, source.asked = answer, 0
    assert [await cache.key("x"), await cache.key("y")] == [None, None]
    clock.advance(COOLDOWN_SECONDS)
    assert (await cache.key("z"), source.asked) == (None, 1)
    clock.advance(1)
    assert (await cache.key("z"), source.asked) == (None, 2)


async def test_an_unknown_kid_does_not_fetch_just_after_the_first_read(
    cache: KeyCache, source: Source
) -> None:
    """House: cache rules."""
    await cache.key("a")
    assert (await cache.key("x"), source.asked) == (None, 1)


async def test_a_new_key_is_found_once_the_cooldown_is_over(
    cache: KeyCache, source: Source, clock: FakeClock
) -> None:
    """House: key rotation needs no restart."""
    await cache.key("a")
    rotated = jwk(ED25519, "b")
    source.answer = key_set(KEY, rotated)
    clock.advance(COOLDOWN_SECONDS + 1)
    assert await cache.key("b") == VerificationKey(rotated, ("EdDSA",))


@pytest.mark.parametrize("answer", [None, b"{}", key_set(KEY, KEY)], ids=["down", "bad", "doubled"])
async def test_keys_outlive_a_failing_issuer_by_an_hour_and_no_longer(
    cache: KeyCache, source: Source, clock: FakeClock, answer: bytes | None
) -> None:
    """House: stale-if-error, bounded."""
    await cache.key("a")
    source.answer = answer
    clock.advance(STALE_SECONDS)
    assert (await cache.key("a"), await cache.key("x")) == (READ, None)
    clock.advance(1)
    await unavailable(cache)
    await unavailable(cache, "x")
    assert source.asked == 2
    clock.advance(COOLDOWN_SECONDS)
    source.answer = SET
    assert (await cache.key("a"), source.asked) == (READ, 3)


async def test_an_issuer_that_was_down_at_first_is_asked_again_after_the_cooldown(
    cache: KeyCache, source: Source, clock: FakeClock
) -> None:
    """House: recovery."""
    source.answer = None
    await unavailable(cache)
    source.answer = SET
    await unavailable(cache)
    clock.advance(COOLDOWN_SECONDS + 1)
    assert (await cache.key("a"), source.asked) == (READ, 2)


async def test_a_caller_that_leaves_does_not_spend_the_fetch_that_others_wait_for(
    cache: KeyCache, source: Source
) -> None:
    """House: else anybody could lock everybody out by asking and hanging up."""
    source.open = anyio.Event()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cache.key, "a")
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
            source.open.set()
    assert (await cache.key("a"), source.asked) == (READ, 1)


# Getting it.


async def test_a_key_set_is_read_from_its_file_each_time(tmp_path: Path) -> None:
    """House."""
    path = anyio.Path(tmp_path / "keys.json")
    fetch = from_file(str(path))
    for content in (SET, b"changed"):
        await path.write_bytes(content)
        assert await fetch() == content


@pytest.mark.parametrize("name", ["absent.json", "."])
async def test_a_file_that_cannot_be_read_is_an_unavailable_issuer(
    tmp_path: Path, name: str
) -> None:
    """House."""
    with pytest.raises(IssuerUnavailable):
        await from_file(str(tmp_path / name))()


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
        with anyio.fail_after(seconds), pytest.raises(IssuerUnavailable):
            await from_url(url)()
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
    with pytest.raises(IssuerUnavailable):
        read_key_set(bomb)


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
        "from gateway.identity.jwks import from_url\n"
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
