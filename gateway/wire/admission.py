"""Admission: what the request line and the headers must be before anything is parsed.

The server in front of us accepts a missing or doubled Host, an absolute-form target and both
Content-Length and Transfer-Encoding, so all of that is settled here, on the raw path and the raw
header list. Anything ambiguous is refused; nothing is normalised. Rules: RFC 9112 §3.2, §6.3;
RFC 9449 §4.3 (one proof); MCP (Origin). What only a TLS terminator may say is refused or ignored
from anyone else. Does not read the body and does not authenticate.
"""

import ipaddress
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.core.errors import AdmissionRefused

MAX_HEADER_LINES: Final = 100
MAX_HEADER_BYTES: Final = 32 * 1024
METHODS: Final = ("POST", "GET", "DELETE")
"""What MCP's streamable HTTP uses; the answer to anything else is 405."""

MAX_FORWARDED_BYTES: Final = 8 * 1024
"""Longest that the headers which are recorded and forwarded may be together."""
MAX_VERSION: Final = 64
"""Longest protocol version, in characters; records show it twice."""
_FORWARDED: Final = frozenset(
    {
        "accept",
        "content-type",
        "last-event-id",
        "mcp-method",
        "mcp-name",
        "mcp-protocol-version",
        "mcp-session-id",
        "traceparent",
        "tracestate",
    }
)
_READ: Final = _FORWARDED | {
    "authorization",
    "content-encoding",
    "content-length",
    "dpop",
    "host",
    "origin",
    "transfer-encoding",
    "txn-token",
}
_CERTIFICATE: Final = "x-forwarded-client-cert"
_ORIGINAL_SOURCE: Final = "x-forwarded-for"
_VOUCHED: Final = frozenset({_CERTIFICATE, _ORIGINAL_SOURCE})
"""What only a terminator may say: whose certificate it saw, and where the caller is."""
_ROUTE: Final = re.compile(r"/([a-z0-9][a-z0-9-]{0,62})/mcp\Z")
_JSON: Final = re.compile(
    r'application/json(?:\s*;\s*charset=(?:utf-8|"utf-8"))?\s*\Z', re.IGNORECASE
)
_NAME: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+\Z")
_VALUE: Final = re.compile(rb"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?\Z|\Z")


@dataclass(frozen=True, slots=True)
class Head:
    """The request line and the headers, as the server gives them."""

    method: str
    raw_path: bytes
    query: bytes
    headers: tuple[tuple[bytes, bytes], ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Admitted:
    """What admission established."""

    system: str
    headers: Mapping[str, str] = field(repr=False)
    """Headers we read or may forward, lower-case names, each at most once."""
    source: str | None = None
    """Address of the caller, as the terminator saw it; None if none said so."""


def may_forward(name: str) -> bool:
    """Say whether a request header of this lower-case name may reach an upstream."""
    return name in _FORWARDED or name.startswith("mcp-param-")


def admit_own(
    head: Head, hosts: Collection[str], origins: Collection[str], *, vouched: bool = False
) -> None:
    """Check the head of a request to the gateway's own endpoints, which take no other headers.

    Raises:
        AdmissionRefused: as `admit`.
    """
    _check_host_and_origin(_headers(head.headers, vouched), hosts, origins)


def admit(
    head: Head, hosts: Collection[str], origins: Collection[str], *, vouched: bool = False
) -> Admitted:
    """Check the head of a request.

    Args:
        head: the request line and the headers.
        hosts: accepted Host values, lower case.
        origins: accepted Origin values.
        vouched: whether it came from a TLS terminator that settings name.

    Raises:
        AdmissionRefused: with the HTTP status and the code of the first rule broken.
    """
    headers = _headers(head.headers, vouched)
    source = headers.pop(_ORIGINAL_SOURCE, None)
    _check_host_and_origin(headers, hosts, origins)
    if "transfer-encoding" in headers:
        raise _refused("length_required", 411, "send a Content-Length, not Transfer-Encoding")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise _refused("content_encoding_refused", 415, "send the body without Content-Encoding")
    system = _route(head)
    if head.method not in METHODS:
        raise _refused("method_refused", 405, "MCP endpoints take POST, GET and DELETE")
    if head.method == "POST" and not _JSON.match(headers.get("content-type", "")):
        raise _refused("content_type_refused", 415, "send Content-Type: application/json")
    return Admitted(system, headers, None if source is None else _address(source))


def _headers(lines: Iterable[tuple[bytes, bytes]], vouched: bool) -> dict[str, str]:
    lines = list(lines)
    if len(lines) > MAX_HEADER_LINES or sum(len(n) + len(v) for n, v in lines) > MAX_HEADER_BYTES:
        raise _refused("headers_too_large", 431, "send fewer or shorter headers")
    headers: dict[str, str] = {}
    for raw_name, value in lines:
        name = raw_name.decode("latin-1").lower()
        _check_name(name, vouched)
        if not (name in _READ or may_forward(name) or (vouched and name in _VOUCHED)):
            continue
        # Two readers may take different copies of a doubled header, so neither copy is used.
        if name in headers:
            raise _doubled(name)
        if not _VALUE.match(value):
            raise _refused("header_value_refused", 400, f"{name} holds characters outside ASCII")
        headers[name] = value.decode("ascii")
    kept = {name: value for name, value in headers.items() if may_forward(name)}
    version = headers.get("mcp-protocol-version", "")
    if sum(map(len, [*kept, *kept.values()])) > MAX_FORWARDED_BYTES or len(version) > MAX_VERSION:
        raise _refused("headers_too_large", 431, "send shorter headers")
    return headers


def _check_name(name: str, vouched: bool) -> None:
    if not _NAME.match(name):
        raise _refused("header_name_refused", 400, "a header name is not a token")
    if name == "upgrade":
        raise _refused("upgrade_refused", 400, "this listener speaks HTTP/1.1 only")
    if name == _CERTIFICATE and not vouched:
        # Ignoring it would hide a proxy that is not where settings say.
        raise _refused(
            "client_certificate_header_refused", 400, "no proxy is trusted to vouch here"
        )


def _doubled(name: str) -> AdmissionRefused:
    code = "forwarded_for_refused" if name == _ORIGINAL_SOURCE else "duplicate_header"
    return _refused(code, 400, f"send {name} once")


def _address(forwarded: str) -> str:
    """Return the last address of an `X-Forwarded-For`: the only one that the terminator wrote."""
    last = forwarded.rpartition(",")[2].strip(" \t")
    try:
        address = ipaddress.ip_address(last)
    except ValueError:
        address = None
    if address is None or "%" in last:
        raise _refused("forwarded_for_refused", 400, "x-forwarded-for does not end in an address")
    return str(address)


def _check_host_and_origin(
    headers: Mapping[str, str], hosts: Collection[str], origins: Collection[str]
) -> None:
    if not headers.get("host"):
        raise _refused("host_missing", 400, "send exactly one Host")
    if headers["host"].lower() not in hosts:
        raise _refused("host_unknown", 403, "this gateway does not answer to that Host")
    if "origin" in headers and headers["origin"] not in origins:
        raise _refused("origin_refused", 403, "this gateway does not serve that Origin")


def _route(head: Head) -> str:
    """Match the raw path exactly: what is encoded, doubled or dotted simply is another path."""
    try:
        match = _ROUTE.match(head.raw_path.decode("ascii"))
    except UnicodeDecodeError:
        match = None
    if match is None:
        raise _refused("path_refused", 404, "the path is not /SYSTEM/mcp, spelled plainly")
    if head.query:
        raise _refused("query_refused", 400, "MCP endpoints take no query")
    return match[1]


def _refused(code: str, status: int, message: str) -> AdmissionRefused:
    return AdmissionRefused(message, code=code, http_status=status)
