import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import anyio
import httpx
import pytest
from anyio import to_thread
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.core.claims import ForwardedCertificate
from gateway.core.errors import CredentialRejected
from gateway.identity import xfcc
from gateway.identity.jwks import KeySet
from gateway.identity.kept import Kept
from gateway.identity.steps import Steps
from gateway.identity.svid import TrustedDomain
from gateway.identity.trust_bundle import TrustBundle
from gateway.identity.x509_svid import X509Verifier
from gateway.settings import Terminator as Named
from gateway.settings import TrustDomain
from tests.fakes_clock import FakeClock
from tests.peers import Exchange, Peer, answers, chunk, peer, response, stream_head
from tests.terminator import Terminator, forwarded_certificate, terminator, today
from tests.unit.identity.certificates import DOMAIN, EDGE, NO_NAME, WORKLOAD, Authority, Issued

PARTNER = "partner.test"
OURS = Authority(DOMAIN, **today())
THEIRS = Authority(PARTNER, **today())
HOLDER = OURS.issue(**today())
FAILED = (httpx.TransportError, ssl.SSLError)
"""What a client sees whose handshake failed; in TLS 1.3 it learns it when it reads."""
XFCC = "x-forwarded-client-cert"

Started = Callable[[Peer], Terminator]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    """Starts a terminator before a peer, for two trust domains."""
    with ExitStack() as stack:
        yield lambda upstream: stack.enter_context(
            terminator(tmp_path, ("127.0.0.1", upstream.port), {DOMAIN: [OURS], PARTNER: [THEIRS]})
        )


@pytest.fixture
async def upstream() -> AsyncIterator[Peer]:
    """A peer that answers everything."""
    async with peer(answers(response(b'{"ok":true}'), keep=False)) as served:
        yield served


async def call(
    edge: Terminator,
    holder: Issued | None = HOLDER,
    *,
    name: str | None = None,
    headers: list[tuple[str, str]] | None = None,
    times: int = 1,
) -> httpx.Response:
    """Call through the terminator, over one connection; the last answer."""
    extensions = {} if name is None else {"sni_hostname": name}
    async with httpx.AsyncClient(verify=edge.client(holder), trust_env=False) as client:
        for _ in range(times):
            answer = await client.post(
                f"{edge.url}/crm/mcp", content=b"{}", headers=headers, extensions=extensions
            )
        return answer


async def refused(edge: Terminator, holder: Issued | None, name: str | None = None) -> str:
    """Return why a handshake fails."""
    with pytest.raises(FAILED):
        await call(edge, holder, name=name)
    return await to_thread.run_sync(edge.refusal)


async def test_the_holder_of_a_certificate_is_forwarded(started: Started, upstream: Peer) -> None:
    """Envoy, x-forwarded-client-cert; what the gateway reads is what came over TLS."""
    edge = started(upstream)
    answer = await call(edge)
    assert answer.json() == {"ok": True}
    (request,) = upstream.requests
    assert (request.line, request.body) == ("POST /crm/mcp HTTP/1.1", b"{}")
    assert request.values("host") == [f"localhost:{edge.port}"]
    assert request.values("x-forwarded-for") == ["127.0.0.1"]
    (value,) = request.values(XFCC)
    assert edge.forwarded == [value]
    said = xfcc.read(value)
    assert (said.hash, said.uri, said.intermediates) == (HOLDER.hash, WORKLOAD, ())
    assert said.certificate == HOLDER.certificate.public_bytes(Encoding.DER)


async def test_a_clients_own_header_is_replaced(started: Started, upstream: Peer) -> None:
    """House: identity §3: set to replace the header, and never to append."""
    forged = OURS.issue("spiffe://corp.test/agent/victim").text()
    edge = started(upstream)
    await call(edge, headers=[(XFCC, forged), (XFCC.title(), forged), ("X-Forwarded-For", "::1")])
    (request,) = upstream.requests
    assert [xfcc.read(value).hash for value in request.values(XFCC)] == [HOLDER.hash]
    assert request.values("x-forwarded-for") == ["127.0.0.1"]


async def test_careless_terminators_append_or_forward(started: Started, upstream: Peer) -> None:
    """House: what the gateway has to refuse, or cannot, is a real thing."""
    edge = started(upstream)
    for edge.mood in ("append", "forward"):
        await call(edge, headers=[(XFCC, "Hash=00")])
    appended, forwarded = (request.values(XFCC) for request in upstream.requests)
    assert appended == [f"Hash=00,{forwarded_certificate(der(HOLDER), [der(HOLDER)])}"]
    assert forwarded == ["Hash=00"]
    with pytest.raises(CredentialRejected) as caught:
        xfcc.read(appended[0])
    assert caught.value.reason_code == "xfcc_several_elements"


async def test_without_a_good_certificate_nobody_gets_through(
    started: Started, upstream: Peer
) -> None:
    """RFC 8446 §4.4.2.4."""
    edge = started(upstream)
    assert await refused(edge, None) == "PEER_DID_NOT_RETURN_A_CERTIFICATE"
    stranger = Authority("else.test", **today()).issue(**today())
    assert await refused(edge, stranger) == "CERTIFICATE_VERIFY_FAILED"
    expired = OURS.issue(begins=today()["begins"] - 100, ends=today()["begins"])
    assert await refused(edge, expired) == "CERTIFICATE_VERIFY_FAILED"
    assert (upstream.requests, edge.handshakes) == ([], 0)


async def test_one_set_of_authorities_a_trust_domain(started: Started, upstream: Peer) -> None:
    """House: identity §3: the terminator keeps one CA set a trust domain."""
    edge = started(upstream)
    partner = THEIRS.issue("spiffe://partner.test/agent/b", **today())
    await call(edge, partner, name=PARTNER)
    await call(edge, HOLDER, name=DOMAIN)
    assert await refused(edge, partner, name=DOMAIN) == "CERTIFICATE_VERIFY_FAILED"
    assert await refused(edge, HOLDER, name=PARTNER) == "CERTIFICATE_VERIFY_FAILED"
    await call(edge, partner)
    assert len(upstream.requests) == 3


async def test_sets_change_from_one_handshake_to_the_next(started: Started, upstream: Peer) -> None:
    """House: live bundle rotation: a new one accepted, a removed one refused, no restart."""
    edge, new = started(upstream), Authority(DOMAIN, **today())
    renewed = new.issue(**today())
    assert await refused(edge, renewed) == "CERTIFICATE_VERIFY_FAILED"
    edge.believe(DOMAIN, OURS, new)
    for holder, name in ((HOLDER, DOMAIN), (renewed, DOMAIN), (renewed, None)):
        await call(edge, holder, name=name)
    edge.believe(DOMAIN, new)
    await call(edge, renewed)
    assert await refused(edge, HOLDER) == "CERTIFICATE_VERIFY_FAILED"
    edge.disbelieve(DOMAIN)
    assert await refused(edge, renewed) == "CERTIFICATE_VERIFY_FAILED"
    assert await refused(edge, renewed, name=DOMAIN) == "CERTIFICATE_VERIFY_FAILED"


async def test_a_connection_outlives_what_verified_it(started: Started, upstream: Peer) -> None:
    """House: why validity and authorities are checked at each request."""
    edge = started(upstream)
    async with httpx.AsyncClient(verify=edge.client(HOLDER), trust_env=False) as client:
        await client.get(edge.url)
        edge.disbelieve(DOMAIN)
        await client.get(edge.url)
    assert (edge.handshakes, len(upstream.requests)) == (1, 2)


async def test_sessions_are_not_resumed(started: Started, upstream: Peer) -> None:
    """RFC 8446 §4.6.1: a ticket would stand for a certificate that is no longer believed."""
    edge = started(upstream)
    context = edge.client(HOLDER)
    for _ in range(2):
        async with httpx.AsyncClient(verify=context, trust_env=False) as client:
            await client.get(edge.url)
    edge.disbelieve(DOMAIN)
    async with httpx.AsyncClient(verify=context, trust_env=False) as client:
        with pytest.raises(FAILED):
            await client.get(edge.url)


async def test_a_chain_is_forwarded_as_the_client_sent_it(started: Started, upstream: Peer) -> None:
    """Envoy: Chain is the whole chain, including the leaf."""
    below = OURS.intermediate("below", **today())
    await call(started(upstream), below.issue(**today()))
    said = xfcc.read(upstream.requests[0].values(XFCC)[0])
    assert said.intermediates == (below.certificate.public_bytes(Encoding.DER),)


async def test_to_a_unix_socket(tmp_path: Path) -> None:
    """House: the socket's permissions are the trust."""
    path, seen = tmp_path / "edge.sock", []

    async def served(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            received = b""
            while not received.endswith(b"\r\n\r\n{}"):
                received += await stream.receive()
            seen.append(received)
            await stream.send(response(b"{}"))

    async with anyio.create_task_group() as tasks, await anyio.create_unix_listener(path) as socket:
        tasks.start_soon(socket.serve, served)
        with terminator(tmp_path, path, {DOMAIN: [OURS]}) as edge:
            assert (await call(edge)).status_code == 200
        tasks.cancel_scope.cancel()
    assert f"X-Forwarded-Client-Cert: {edge.forwarded[0]}\r\n".encode() in seen[0]


async def test_a_stream_goes_on_piece_by_piece(started: Started) -> None:
    """House: answers of MCP are event streams."""
    seen = anyio.Event()

    async def streaming(exchange: Exchange) -> None:
        await exchange.send(stream_head(), chunk(b"data: 1\n\n"))
        await seen.wait()
        await exchange.send(chunk(b"data: 2\n\n"), b"0\r\n\r\n")

    async with peer(streaming) as upstream:
        edge = started(upstream)
        async with (
            httpx.AsyncClient(verify=edge.client(HOLDER), trust_env=False) as client,
            client.stream("POST", edge.url) as answer,
        ):
            pieces = []
            async for piece in answer.aiter_text():
                pieces.append(piece)
                seen.set()
    assert pieces == ["data: 1\n\n", "data: 2\n\n"]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n\r\nto the end",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + response(b"{}"),
        response(b"", status="404 Not Found"),
    ],
    ids=["no-length", "no-content", "early-hints", "empty"],
)
async def test_other_answers_come_whole_too(started: Started, answer: bytes) -> None:
    """RFC 9112 §6.3."""
    async with peer(answers(answer, keep=False)) as upstream:
        edge = started(upstream)
        received = await call(edge, times=2)
    assert received.content == answer.rpartition(b"\r\n\r\n")[2]
    assert b" %d " % received.status_code in answer
    assert len(upstream.requests) == 2
    assert edge.handshakes == (1 if b"end" not in answer else 2)


async def test_a_body_in_chunks_arrives(started: Started, upstream: Peer) -> None:
    """RFC 9112 §7.1."""

    async def body() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    edge = started(upstream)
    async with httpx.AsyncClient(verify=edge.client(HOLDER), trust_env=False) as client:
        await client.post(edge.url, content=body(), headers={"expect": "100-continue"})
    assert upstream.requests[0].values("transfer-encoding") == ["chunked"]


async def test_an_older_tls_is_not_spoken(started: Started, upstream: Peer) -> None:
    """House: identity §3: TLS 1.3."""
    edge = started(upstream)
    context = edge.client(HOLDER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with httpx.AsyncClient(verify=context, trust_env=False) as client:
        with pytest.raises(FAILED):
            await client.get(edge.url)


@pytest.mark.parametrize(
    ("names", "uris"),
    [
        ([NO_NAME], "URI="),
        ([x509.DNSName("a.test")], "URI="),
        (
            [x509.UniformResourceIdentifier(uri) for uri in ("a:b", "c:d;e,f")],
            "URI=a:b;URI=c:d;e,f",
        ),
    ],
    ids=["no-names", "no-uri", "uris-as-they-are"],
)
def test_uris_are_written_as_envoy_writes_them(names: list[x509.GeneralName], uris: str) -> None:
    """Envoy, `conn_manager_utility.cc`: the key is there even if the URI is not."""
    assert forwarded_certificate(der(OURS.issue(names=names))).endswith(f";{uris}")


@pytest.mark.parametrize("subject", ['a"b', "a\\", 'a",URI=x;Hash="', "Zoë", "a+b=c;d"])
def test_whatever_a_subject_is_called_the_value_can_be_read(subject: str) -> None:
    """RFC 2253 §2.4."""
    said = xfcc.read(forwarded_certificate(der(OURS.issue(subject=subject))))
    assert said.uri == WORKLOAD


async def test_what_it_forwards_identifies_and_a_federated_authority_names_nobody_of_ours(
    started: Started, upstream: Peer
) -> None:
    """House: whatever the terminator let in, each trust domain vouches for its own names."""
    edge, clock = started(upstream), FakeClock(today()["begins"] * 10**9 + 60 * 10**9)
    verifier = X509Verifier(
        {DOMAIN: bundled(DOMAIN, OURS, clock), PARTNER: bundled(PARTNER, THEIRS, clock)},
        {EDGE: Named(name=EDGE, trust_domains=(DOMAIN, PARTNER))},
        clock,
    )
    await call(edge)
    good = ForwardedCertificate(edge.forwarded[-1], EDGE)
    assert (await verifier.verify(good, Steps())).claims.subject == WORKLOAD
    await call(edge, THEIRS.issue(WORKLOAD, **today()), name=PARTNER)
    with pytest.raises(CredentialRejected) as caught:
        await verifier.verify(ForwardedCertificate(edge.forwarded[-1], EDGE), Steps())
    assert caught.value.reason_code == "certificate_untrusted"


def bundled(name: str, authority: Authority, clock: FakeClock) -> TrustedDomain:
    """Return a trust domain with one authority."""

    async def fetch() -> bytes:
        return b""

    bundle = TrustBundle(KeySet({}), (authority.certificate,), None)
    return TrustedDomain(TrustDomain(name=name), Kept(name, fetch, lambda _: bundle, clock))


def der(issued: Issued) -> bytes:
    """Return the bytes of a certificate."""
    return issued.certificate.public_bytes(Encoding.DER)
