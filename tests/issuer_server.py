"""An issuer on loopback: a real HTTP(S) server with discovery, keys, and moods.

    with issuer_server() as issuer:
        issuer.url          its identifier, as settings name it
        issuer.jwks_url     where its keys are
        issuer.ca_file      the authority of its certificate (with `tls=folder`)
        issuer.token()      a good access token; members given replace claims, None removes one
        issuer.rotate()     sign with a new key from now on, and publish it beside the old ones
        issuer.announce()   publish the next key ahead of its use
        issuer.withdraw()   take the old keys back
        issuer.mood = ...   "down", "huge", "redirect", "error", "html", "absent", or "slow" until
                            `release()`
        issuer.requests     paths that were asked for, in order; `asked()` counts those for keys
        issuer.documents    what it serves, by path; yours to change

It runs in threads, so a test may block on it or not. Keys are P-256 and made at once. Does not
implement OAuth: tokens are made by calling `token`.
"""

import datetime
import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.unit.identity.keys import jwk, key_set, sign

Mood = Literal["good", "down", "slow", "huge", "redirect", "error", "html", "absent"]
HUGE_BYTES: Final = 8 * 1024 * 1024
JWKS_PATH: Final = "/jwks"
SLOW_SECONDS: Final = 30
"""A slow answer comes after this even without `release`, so that no test hangs."""


class IssuerServer:
    """The issuer and what it saw. Owned by one test; made by `issuer_server`."""

    def __init__(self, url: str, ca_file: Path | None, path: str) -> None:
        self.url = url + path
        self.jwks_url = url + JWKS_PATH
        self.ca_file = ca_file
        self.mood: Mood = "good"
        self.requests: list[str] = []
        self.headers: list[Mapping[str, str]] = []
        """Of each request, with lower-case names."""
        self.documents: dict[str, bytes] = {}
        self.released = threading.Event()
        self._published: dict[str, ec.EllipticCurvePrivateKey] = {}
        self._made = 0
        self.kid = self.announce()
        """Of the key that signs."""
        metadata = {"issuer": self.url, "jwks_uri": self.jwks_url}
        self.documents[f"{path.rstrip('/')}/.well-known/openid-configuration"] = json.dumps(
            metadata
        ).encode()

    def announce(self) -> str:
        """Publish a new key that does not sign yet; return its kid."""
        self._made += 1
        kid = f"key-{self._made}"
        self._published[kid] = ec.generate_private_key(ec.SECP256R1())
        self._publish()
        return kid

    def rotate(self, kid: str | None = None) -> str:
        """Sign with this announced key from now on, or with a new one; return its kid."""
        self.kid = kid or self.announce()
        return self.kid

    def withdraw(self) -> None:
        """Publish nothing but the key that signs."""
        self._published = {self.kid: self._published[self.kid]}
        self._publish()

    def token(self, *, typ: str = "at+jwt", kid: str | None = None, **claims: Any) -> str:
        """Return a token of this issuer, signed by the named published key or by the current one.

        It is good for ten minutes of real time, for the audience `bailiwick`.
        """
        now = int(datetime.datetime.now(datetime.UTC).timestamp())
        good = {
            "iss": self.url,
            "aud": "bailiwick",
            "sub": "spiffe://corp.test/agent/a",
            "iat": now,
            "exp": now + 600,
        }
        body = {name: value for name, value in (good | claims).items() if value is not None}
        header = {"alg": "ES256", "kid": kid or self.kid, "typ": typ}
        key = self._published[kid or self.kid]
        return sign(json.dumps(header).encode(), json.dumps(body).encode(), key, "ES256")

    def asked(self) -> int:
        """Return how often the keys were asked for."""
        return self.requests.count(JWKS_PATH)

    def release(self) -> None:
        """Let slow answers go out."""
        self.released.set()

    def _publish(self) -> None:
        keys = [jwk(key, kid, use="sig", alg="ES256") for kid, key in self._published.items()]
        self.documents[JWKS_PATH] = key_set(*keys)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request as the mood is."""
        self.headers.append({name.lower(): value for name, value in handler.headers.items()})
        self.requests.append(handler.path)
        # As it is when asked: a slow answer may be overtaken by a rotation.
        mood, document = self.mood, self.documents.get(handler.path)
        if mood == "down":
            handler.close_connection = True
            return
        if mood == "slow":
            self.released.wait(SLOW_SECONDS)
        if mood == "redirect":
            _send(handler, 302, b"", location=f"/elsewhere{handler.path}")
        elif mood == "error":
            _send(handler, 500, document or b"")
        elif mood == "html":
            _send(handler, 200, b"<html>Sign in</html>")
        elif mood == "huge":
            _send(handler, 200, b"[" * HUGE_BYTES)
        elif document is None or mood == "absent":
            _send(handler, 404, b"{}")
        else:
            _send(handler, 200, document)


def _send(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


class _Server(ThreadingHTTPServer):
    """Says nothing of clients that went away."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore it: the test sees what its own end saw."""


@contextmanager
def issuer_server(*, tls: Path | None = None, path: str = "") -> Iterator[IssuerServer]:
    """Run an issuer while the block lasts.

    Args:
        tls: folder for the certificate and its authority, which are made now; None is plain HTTP.
        path: of the issuer's identifier, such as `/tenant`.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = SLOW_SECONDS

        def do_GET(self) -> None:
            issuer.answer(self)

        def log_message(self, format: str, *args: Any) -> None:
            """Stay silent."""

    with _Server(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            context = _certified(tls)
            # The handshake is made by the connection's own thread, at its first read.
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        scheme = "http" if tls is None else "https"
        ca_file = None if tls is None else tls / "ca.pem"
        issuer = IssuerServer(f"{scheme}://127.0.0.1:{server.server_port}", ca_file, path)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield issuer
        finally:
            issuer.release()
            server.shutdown()
            thread.join()


def _certified(folder: Path) -> ssl.SSLContext:
    """Make an authority and a certificate for 127.0.0.1; leave `ca.pem` in the folder."""
    authority, own = (
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP256R1()),
    )
    root = certificate("Test authority", authority, None, authority)
    leaf = certificate("127.0.0.1", own, root, authority)
    (folder / "ca.pem").write_bytes(root.public_bytes(Encoding.PEM))
    pem = own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "server.pem").write_bytes(pem + leaf.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context


def certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    issuer_key: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    """Return an authority's certificate, or one for 127.0.0.1 that it issued; good for a day."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if issuer is not None:
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())
