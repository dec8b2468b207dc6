"""Who may vouch for a caller's certificate, over real sockets of a real process."""

import json
import os
import signal
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.adversarial.wire import TIMEOUT_SECONDS, Answer, request, send, send_to_socket
from tests.e2e.gateways import free_port
from tests.e2e.processes import running
from tests.unit.app.serving import PEER
from tests.unit.app.settings import LOOPBACK, Authority

pytestmark = pytest.mark.e2e

PING = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
RESOURCE = "https://gw.test/crm/mcp"
VOUCHED = [("X-Forwarded-Client-Cert", "Hash=ab;URI=spiffe://corp.test/agent/a")]
FROM = [("X-Forwarded-For", "203.0.113.9, 192.0.2.7")]


@dataclass(frozen=True)
class Serving:
    """A process with a listener of each kind."""

    url: str
    socket: Path
    tls_url: str
    authority: Authority
    process_id: int

    def tls(self, certificate: tuple[Path, Path] | None = None) -> ssl.SSLContext:
        """Return how a client with or without a certificate connects."""
        context = ssl.create_default_context(cafile=self.authority.path)
        if certificate:
            context.load_cert_chain(*certificate)
        return context


@contextmanager
def started(folder: Path) -> Iterator[Serving]:
    """Run a process while the block lasts."""
    authority = Authority(folder, "authority")
    files = [*authority.issue("gateway"), authority.path]
    port, path, listen = free_port(), folder / "edge.sock", f"{LOOPBACK}:{free_port()}"
    command = [sys.executable, "-m", "tests.unit.app.serving", port, path, listen, *files]
    with running([str(word) for word in command]) as ready:
        url, tls_url = f"http://{LOOPBACK}:{port}/crm/mcp", f"https://{listen}/crm/mcp"
        yield Serving(url, path, tls_url, authority, ready["process_id"])


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A running process."""
    with started(tmp_path_factory.mktemp("serving")) as running_one:
        yield running_one


def ping(url: str, *headers: tuple[str, str], token: str | None = "a.b.c") -> bytes:
    """Return a request as a terminator passes it on, or its client writes it."""
    host = ("Host", "gw.test")
    return request(url, PING, headers=[host, *headers], drop=("Host",), token=token)


def code(answer: Answer) -> str:
    """Return the code of a refusal."""
    return str(json.loads(answer.body)["error"]["code"])


def test_over_a_terminators_socket_a_certificate_is_taken_with_its_address(
    serving: Serving,
) -> None:
    """House: identity §3, X.509-SVID through XFCC."""
    answer = send_to_socket(serving.socket, ping(serving.url, *VOUCHED, *FROM))
    assert code(answer) == f"bearer | by-socket | 192.0.2.7 | {RESOURCE}"


def test_without_an_address_the_source_is_the_terminator(serving: Serving) -> None:
    """House: a Unix socket has no peer address (Granian 2.8: empty)."""
    answer = send_to_socket(serving.socket, ping(serving.url, *VOUCHED))
    assert code(answer) == f"bearer | by-socket | terminator by-socket | {RESOURCE}"


def test_over_the_data_plane_the_same_certificate_is_refused(serving: Serving) -> None:
    """House: ignoring it would hide a misrouted proxy, using it is an impersonation."""
    answer = send(serving.url, ping(serving.url, *VOUCHED, *FROM))
    assert (answer.status, code(answer)) == (400, "client_certificate_header_refused")


def test_over_the_data_plane_a_forwarded_address_is_not_believed(serving: Serving) -> None:
    """House: the caller wrote it."""
    answer = send(serving.url, ping(serving.url, *FROM))
    assert code(answer) == f"bearer | nobody | {LOOPBACK} | {RESOURCE}"


def test_from_the_address_of_a_peer_a_certificate_is_taken(serving: Serving) -> None:
    """House: settings name it; every process here can connect from it."""
    with socket.create_connection(
        address(serving.url), TIMEOUT_SECONDS, source_address=(PEER, 0)
    ) as connection:
        connection.sendall(ping(serving.url, *VOUCHED, ("Connection", "close")))
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert f"bearer | by-peer | {PEER} | {RESOURCE}".encode() in received


def test_over_mutual_tls_a_certificate_is_taken(serving: Serving) -> None:
    """House: identity §3: an address plus mTLS on that hop."""
    tls = serving.tls(serving.authority.issue("edge"))
    answer = send(serving.tls_url, ping(serving.tls_url, *VOUCHED, *FROM), tls)
    assert code(answer) == f"bearer | by-tls | 192.0.2.7 | {RESOURCE}"


def test_without_a_certificate_nobody_gets_as_far_as_a_request(serving: Serving) -> None:
    """RFC 8446 §4.4.2.4: certificate_required."""
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
        send(serving.tls_url, ping(serving.tls_url, *VOUCHED), serving.tls())


def test_with_another_authoritys_certificate_nobody_does_either(
    serving: Serving, tmp_path: Path
) -> None:
    """RFC 8446 §4.4.2.4: unknown_ca."""
    stranger = Authority(tmp_path, "stranger").issue("edge-too")
    with pytest.raises(ssl.SSLError, match="UNKNOWN_CA"):
        send(serving.tls_url, ping(serving.tls_url, *VOUCHED), serving.tls(stranger))


def test_an_older_tls_is_not_spoken(serving: Serving) -> None:
    """House: TLS 1.3 only between terminator and gateway."""
    tls = serving.tls(serving.authority.issue("edge-old"))
    tls.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        send(serving.tls_url, ping(serving.tls_url), tls)


def test_plain_http_on_the_tls_listener_is_not_answered(serving: Serving) -> None:
    """House: nobody gets around the handshake."""
    plain = serving.tls_url.replace("https", "http")
    assert send(plain, ping(plain, *VOUCHED)).status == 0


@pytest.mark.parametrize("way", ["socket", "data plane", "tls"])
def test_every_listener_answers_to_the_same_hosts_only(serving: Serving, way: str) -> None:
    """DNS rebinding, threats §1."""
    raw = ping(serving.url).replace(b"Host: gw.test", b"Host: evil.test")
    if way == "socket":
        answer = send_to_socket(serving.socket, raw)
    elif way == "tls":
        answer = send(serving.tls_url, raw, serving.tls(serving.authority.issue("edge-host")))
    else:
        answer = send(serving.url, raw)
    assert (answer.status, code(answer)) == (403, "host_unknown")


def test_every_listener_tells_the_metadata(serving: Serving) -> None:
    """RFC 9728 §3, and through a terminator, which sends the certificate with every request."""
    line = b"GET /.well-known/oauth-protected-resource/crm/mcp HTTP/1.1\r\nHost: gw.test\r\n"
    certificate = b"X-Forwarded-Client-Cert: Hash=ab\r\n"
    for answer in (
        send(serving.url, line + b"\r\n"),
        send_to_socket(serving.socket, line + certificate + b"\r\n"),
    ):
        assert json.loads(answer.body)["resource"] == RESOURCE
    assert send(serving.url, line + certificate + b"\r\n").status == 400


def test_a_signal_ends_all_listeners_and_removes_the_socket(tmp_path: Path) -> None:
    """House: one process, one drain."""
    with started(tmp_path) as one:
        assert one.socket.is_socket()
        os.kill(one.process_id, signal.SIGTERM)
    assert not one.socket.exists()
    for url in (one.url, one.tls_url):
        assert not accepts(url)


def test_while_calls_in_flight_are_waited_for_no_listener_takes_another(tmp_path: Path) -> None:
    """House: a signal stops all listeners, not the first."""
    with started(tmp_path) as one:
        head = ping(one.url, ("Expect", "100-continue")).removesuffix(PING)
        with socket.create_connection(address(one.url), TIMEOUT_SECONDS) as in_flight:
            in_flight.sendall(head)
            # Asked for as the application begins to read the body.
            assert in_flight.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
            os.kill(one.process_id, signal.SIGTERM)
            for url in (one.url, one.tls_url):
                deadline = time.monotonic() + TIMEOUT_SECONDS
                while accepts(url):
                    assert time.monotonic() < deadline, url
            in_flight.setblocking(False)
            with pytest.raises(BlockingIOError):
                in_flight.recv(1)
            os.kill(one.process_id, signal.SIGTERM)


def address(url: str) -> tuple[str, int]:
    """Return where to connect to."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 0


def accepts(url: str) -> bool:
    """Say whether somebody listens there."""
    try:
        with socket.create_connection(address(url), TIMEOUT_SECONDS):
            return True
    except (ConnectionRefusedError, ConnectionResetError):
        return False
