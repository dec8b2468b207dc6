"""A TLS terminator on loopback: demands client certificates and forwards who held them (XFCC).

    authority = Authority("corp.test", **today())
    with terminator(folder, upstream, {"corp.test": [authority]}) as edge:
        edge.url                    https://localhost:PORT
        edge.client(issued)         a client's TLS context with that certificate, or with none
        edge.believe("b.test", x)   a trust domain's authorities, from the next handshake on
        edge.disbelieve("b.test")   … and none of them
        edge.mood = "append"        careless ones; "replace" is how it ought to be
        edge.forwarded              the X-Forwarded-Client-Cert values it wrote
        edge.refusal()              waits for why the next handshake failed

`upstream` is a Unix socket or host and port, over TLS if `upstream_tls` is given. HTTP/1.1, a
connection of its own to the upstream for each request; bodies go on piece by piece as they come.
`Host` stays as the client wrote it; `X-Forwarded-For` becomes the client's address. There is one
set of authorities a trust domain: a client that names a trust domain (SNI) is verified by its set,
any other by all of them, as by a proxy with one file of authorities. It runs in threads, so a test
may block on it or not. Does not resume TLS sessions, which would outlive a set, and does not notice
that a client has left before it writes to it.
"""

import contextlib
import queue
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, TypedDict
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from tests.unit.identity.certificates import Authority, Issued

Mood = Literal["replace", "append", "forward"]
"""What becomes of a client's own X-Forwarded-Client-Cert: replaced, kept before ours (Envoy's
`APPEND_FORWARD`), or forwarded instead of ours (`FORWARD_ONLY`)."""
Upstream = Path | tuple[str, int]
Headers = list[tuple[bytes, bytes]]
LOOPBACK: Final = "127.0.0.1"
TIMEOUT_SECONDS: Final = 10
_XFCC: Final = b"x-forwarded-client-cert"


class Validity(TypedDict):
    """Seconds since the epoch."""

    begins: int
    ends: int


def today(seconds: int = 3600) -> Validity:
    """Return a validity around the real time, which TLS goes by; for `Authority` and `issue`."""
    now = int(datetime.now(UTC).timestamp())
    return {"begins": now - 60, "ends": now + seconds}


class Terminator:
    """The terminator and what it saw. Owned by one test; made by `terminator`."""

    def __init__(
        self, folder: Path, upstream: Upstream, upstream_tls: ssl.SSLContext | None
    ) -> None:
        self.mood: Mood = "replace"
        self.forwarded: list[str] = []
        self.handshakes = 0
        self._refused: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._folder, self._upstream, self._upstream_tls = folder, upstream, upstream_tls
        self._own = Authority("edge authority", **today())
        self.ca_file = folder / "edge-authority.pem"
        self.ca_file.write_text(self._own.pem)
        self._sets: dict[str, tuple[str, ssl.SSLContext]] = {}
        self._names = ["localhost"]
        self._base = self._context("localhost", "")
        self._base.sni_callback = self._chosen
        self._all = self._base
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"https://localhost:{self.port}"

    def believe(self, trust_domain: str, *authorities: Authority) -> None:
        """Let these be a trust domain's authorities, in place of those it had."""
        pem = "".join(authority.pem for authority in authorities)
        if trust_domain not in self._names:
            self._names.append(trust_domain)
        self._sets[trust_domain] = (pem, self._context(trust_domain, pem))
        self._pool()

    def disbelieve(self, trust_domain: str) -> None:
        """Let nobody of this trust domain in any more."""
        del self._sets[trust_domain]
        self._pool()

    def client(self, issued: Issued | None = None) -> ssl.SSLContext:
        """Return how a client connects that holds this certificate, or none."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        if issued is not None:
            context.load_cert_chain(*issued.write(self._folder, f"client-{issued.hash[:16]}"))
        return context

    def refusal(self) -> str:
        """Wait for a failed handshake that was not asked about yet; return OpenSSL's reason.

        Raises:
            queue.Empty: there was none for 10 s.
        """
        return self._refused.get(timeout=TIMEOUT_SECONDS)

    def serve(self) -> None:
        """Take connections until `close`."""
        threads = []
        with contextlib.suppress(OSError):
            while True:
                connection, address = self._listener.accept()
                thread = threading.Thread(target=self._connected, args=(connection, address[0]))
                thread.start()
                threads.append(thread)
        for thread in threads:
            thread.join(TIMEOUT_SECONDS)

    def close(self) -> None:
        """Take no more connections and end those there are."""
        for open_one in (self._listener, *tuple(self._open)):
            # Closing alone does not wake a thread that waits on it.
            with contextlib.suppress(OSError):
                open_one.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _context(self, name: str, authorities: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_mode = ssl.CERT_REQUIRED
        context.num_tickets = 0
        names = [x509.DNSName(each) for each in self._names]
        own = self._own.issue(names=names, **today())
        context.load_cert_chain(*own.write(self._folder, f"edge-{name}"))
        if authorities:
            context.load_verify_locations(cadata=authorities)
        return context

    def _pool(self) -> None:
        self._all = self._context("localhost", "".join(pem for pem, _ in self._sets.values()))

    def _chosen(self, connection: Any, name: str | None, _context: ssl.SSLContext) -> None:
        one = self._sets.get(name or "")
        connection.context = self._all if one is None else one[1]

    def _connected(self, raw: socket.socket, address: str) -> None:
        raw.settimeout(TIMEOUT_SECONDS)
        self._open.add(raw)
        try:
            client = self._base.wrap_socket(raw, server_side=True)
        except OSError as exc:
            self._refused.put(getattr(exc, "reason", None) or type(exc).__name__)
            raw.close()
            return
        finally:
            self._open.discard(raw)
        self.handshakes += 1
        self._open.add(client)
        with closing(client), contextlib.suppress(OSError, ValueError, IndexError):
            with client.makefile("rb") as reader:
                said = forwarded_certificate(*_presented(client))
                while self._request(client, reader, said, address):
                    pass
            # A client that reads to the end wants to be told that this is it.
            client.settimeout(1)
            client.unwrap()
        self._open.discard(client)

    def _request(self, client: ssl.SSLSocket, reader: BinaryIO, said: str, address: str) -> bool:
        """Pass one request on and its answer back; say whether the connection goes on."""
        head = _head(reader)
        if head is None:
            return False
        line, headers = head
        if _value(headers, b"expect"):
            client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        hop = {b"connection", b"expect", b"x-forwarded-for", _XFCC}
        sent = [(name, value) for name, value in headers if name.lower() not in hop]
        sent += [(b"X-Forwarded-For", address.encode()), (b"Connection", b"close")]
        sent.append((b"X-Forwarded-Client-Cert", self._said(headers, said)))
        with self._connect() as upstream, upstream.makefile("rb") as answers:
            # An upstream may answer and close before it has read a body that it does not want.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                upstream.sendall(_written(line, sent))
                for piece in _body(reader, headers, until_end=False):
                    upstream.sendall(piece)
            goes_on = _answer(client, answers, without_body=line.startswith(b"HEAD "))
        return goes_on and _value(headers, b"connection").lower() != b"close"

    def _said(self, headers: Headers, said: str) -> bytes:
        """Return the header value that is passed on, in this mood."""
        own = _value(headers, _XFCC)
        if not own or self.mood == "replace":
            written = said.encode()
        else:
            written = own if self.mood == "forward" else own + b"," + said.encode()
        self.forwarded.append(written.decode("latin-1"))
        return written

    def _connect(self) -> socket.socket:
        if isinstance(self._upstream, Path):
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(TIMEOUT_SECONDS)
            connection.connect(str(self._upstream))
            return connection
        connection = socket.create_connection(self._upstream, TIMEOUT_SECONDS)
        if self._upstream_tls is None:
            return connection
        return self._upstream_tls.wrap_socket(connection, server_hostname=self._upstream[0])


@contextmanager
def terminator(
    folder: Path,
    upstream: Upstream,
    trust_domains: Mapping[str, Sequence[Authority]],
    *,
    upstream_tls: ssl.SSLContext | None = None,
) -> Iterator[Terminator]:
    """Run a terminator while the block lasts.

    Args:
        folder: where it may write its certificates and the clients' ones.
        upstream: where requests go.
        trust_domains: authorities by trust domain, at first.
        upstream_tls: how it connects there, if over TLS.
    """
    edge = Terminator(folder, upstream, upstream_tls)
    for name, authorities in trust_domains.items():
        edge.believe(name, *authorities)
    thread = threading.Thread(target=edge.serve)
    thread.start()
    try:
        yield edge
    finally:
        edge.close()
        thread.join(TIMEOUT_SECONDS)


def forwarded_certificate(leaf: bytes, chain: Sequence[bytes] = ()) -> str:
    """Return an X-Forwarded-Client-Cert as Envoy writes it, with Cert, Chain, Subject and URI.

    URIs stand without quotes, one for each in the certificate, an empty one if it has none.
    """
    certificate = x509.load_der_x509_certificate(leaf)
    pairs = [f"Hash={certificate.fingerprint(SHA256()).hex()}", f'Cert="{_encoded(leaf)}"']
    if chain:
        pairs.append(f'Chain="{"".join(map(_encoded, chain))}"')
    subject = certificate.subject.rfc4514_string().encode()
    plain = "".join(chr(byte) if byte < 0x7F else f"\\{byte:02X}" for byte in subject)
    pairs.append(f'Subject="{plain}"')
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names = x509.SubjectAlternativeName([])
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    pairs += [f"URI={uri}" for uri in uris or [""]]
    return ";".join(pairs)


def _encoded(der: bytes) -> str:
    return quote(ssl.DER_cert_to_PEM_cert(der), safe="")


def _presented(client: ssl.SSLSocket) -> tuple[bytes, Sequence[bytes]]:
    """Return the client's certificate, and all that it sent, if this Python tells."""
    leaf = client.getpeercert(binary_form=True) or b""
    # Public from Python 3.13 on; before that only of the object within.
    tell = getattr(client, "get_unverified_chain", None)
    if tell is not None:
        return leaf, tell()
    within = getattr(client, "_sslobj", None)
    tell = getattr(within, "get_unverified_chain", None)
    if tell is None:
        return leaf, ()
    return leaf, [ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in tell()]


def _answer(client: ssl.SSLSocket, answers: BinaryIO, *, without_body: bool) -> bool:
    """Pass an answer back; say whether its end can be seen without closing."""
    while True:
        head = _head(answers)
        if head is None:
            return False
        line, headers = head
        status = line.split(b" ")[1]
        informs = status.startswith(b"1")
        bodiless = without_body or informs or status in (b"204", b"304")
        framed = any(_value(headers, name) for name in (b"content-length", b"transfer-encoding"))
        goes_on = bodiless or framed
        hop = {b"connection", b"keep-alive"}
        kept = [each for each in headers if each[0].lower() not in hop]
        client.sendall(_written(line, kept if goes_on else [*kept, (b"Connection", b"close")]))
        if not informs:
            break
    if not bodiless:
        for piece in _body(answers, headers, until_end=True):
            client.sendall(piece)
    return goes_on


def _head(reader: BinaryIO) -> tuple[bytes, Headers] | None:
    """Return the first line and the headers, None at the end of the connection."""
    line = reader.readline().rstrip(b"\r\n")
    if not line:
        return None
    headers: Headers = []
    while entry := reader.readline().rstrip(b"\r\n"):
        name, _, value = entry.partition(b":")
        headers.append((name, value.strip()))
    return line, headers


def _written(line: bytes, headers: Headers) -> bytes:
    lines = [line, *(name + b": " + value for name, value in headers), b"", b""]
    return b"\r\n".join(lines)


def _value(headers: Headers, name: bytes) -> bytes:
    return b",".join(value for key, value in headers if key.lower() == name)


def _body(reader: BinaryIO, headers: Headers, *, until_end: bool) -> Iterator[bytes]:
    """Yield a body as it was written, chunks and all, piece by piece as it comes."""
    if _value(headers, b"transfer-encoding"):
        while True:
            size = reader.readline()
            rest = int(size.split(b";")[0], 16) + 2
            # A chunk is passed on whole, or a reader could wait for its end in vain.
            yield size + reader.read(rest)
            if rest == 2:
                return
    length = _value(headers, b"content-length")
    left = int(length) if length else None
    if left is None and not until_end:
        return
    while left != 0:
        piece: bytes = reader.read1(65536 if left is None else min(left, 65536))  # type: ignore[attr-defined]
        if not piece:
            return
        left = None if left is None else left - len(piece)
        yield piece
