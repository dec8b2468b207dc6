"""`[server]` and `[[terminators]]`: where the gateway listens, and whom it believes there.

Does not listen.
"""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from gateway.settings.kinds import Name, Port, Positive, Seconds
from gateway.settings.urls import is_loopback


class Server(Struct, frozen=True, forbid_unknown_fields=True):
    """`[server]`: the data-plane listener, and what it admits."""

    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    port: Port = 8080
    hosts: tuple[str, ...] = ()
    """Accepted `Host` values; empty means the listener itself (and localhost on loopback)."""
    origins: tuple[str, ...] = ()
    """Accepted `Origin` values; empty means a request with any Origin is refused."""
    max_body_bytes: Positive = 1024 * 1024
    body_idle_seconds: Seconds = 10.0
    body_total_seconds: Seconds = 30.0
    drain_seconds: Seconds = 10.0
    """How long calls in flight may go on once the gateway was asked to stop."""
    public_url: str | None = None
    """`https://HOST[:PORT]` by which agents reach the gateway; needed off loopback. Tokens name it
    as audience (RFC 8707), DPoP proofs as `htu`."""

    @property
    def address(self) -> str:
        """Host and port, as in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the listener."""
        return is_loopback(self.host)

    @property
    def url(self) -> str:
        """The public URL, without a slash at its end."""
        return (self.public_url or f"http://{self.address}").rstrip("/")

    def resource(self, system: str) -> str:
        """Return the canonical URI of a system behind this gateway (RFC 8707, RFC 9728)."""
        return f"{self.url}/{system}/mcp"

    def accepted_hosts(self) -> frozenset[str]:
        """Return every `Host` value that admission lets through, lower case."""
        if self.hosts:
            return frozenset(name.lower() for name in self.hosts)
        own = {self.host.lower(), *(("localhost", "127.0.0.1") if self.loopback else ())}
        # An IPv6 address is written in brackets (RFC 3986 §3.2.2), the default port not at all.
        names = {f"[{name}]" if ":" in name else name for name in own}
        port = "" if self.port == 80 else f":{self.port}"
        public = {urlsplit(self.public_url).netloc.lower()} if self.public_url else set()
        return frozenset(name + port for name in names) | public


class Terminator(Struct, frozen=True, forbid_unknown_fields=True):
    """`[[terminators]]`: a TLS terminator that is believed about client certificates (XFCC).

    Exactly one of `socket`, `peer` and `listen` says how a connection is known to be its.
    """

    name: Name
    trust_domains: Annotated[tuple[str, ...], Meta(min_length=1)]
    """Trust domains whose workloads it may vouch for."""
    socket: Path | None = None
    """Unix socket that the gateway makes for it alone; the file's permissions are the trust."""
    socket_group: str | None = None
    """Group that may open the socket too; without it only the gateway's own user."""
    peer: str | None = None
    """Loopback address that it connects from, to the data-plane listener: then every process of
    this machine that can connect from there is believed as well."""
    listen: str | None = None
    """`HOST:PORT` of a listener for it alone, over mutual TLS …"""
    certificate: Path | None = None
    """… with this certificate chain (PEM) …"""
    key: Path | None = None
    """… and its key (PEM) …"""
    client_ca: Path | None = None
    """… that lets in only clients with a certificate of this authority (PEM)."""
