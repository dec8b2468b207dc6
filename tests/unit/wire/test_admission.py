from collections.abc import Collection, Sequence

import pytest

from gateway.core.errors import AdmissionRefused
from gateway.wire.admission import (
    MAX_HEADER_BYTES,
    MAX_HEADER_LINES,
    METHODS,
    Admitted,
    Head,
    admit,
    admit_own,
)

HOST = (b"host", b"gateway.test:8080")
JSON = (b"content-type", b"application/json")
HOSTS = frozenset({"gateway.test:8080", "[::1]:8080"})
ORIGINS = frozenset({"https://console.test"})

Lines = Sequence[tuple[bytes, bytes]]


def head(
    *extra: tuple[bytes, bytes],
    base: Lines = (HOST, JSON),
    method: str = "POST",
    path: bytes = b"/crm/mcp",
    query: bytes = b"",
) -> Head:
    """Make the head of a request that is good but for what is given."""
    return Head(method, path, query, (*base, *extra))


def refused(
    sent: Head, hosts: Collection[str] = HOSTS, origins: Collection[str] = ORIGINS
) -> tuple[str, int]:
    """Return the code and the status of the refusal."""
    with pytest.raises(AdmissionRefused) as caught:
        admit(sent, hosts, origins)
    return caught.value.reason_code, caught.value.http_status


def test_a_plain_request_is_admitted_with_exactly_the_headers_that_are_read() -> None:
    """House."""
    sent = head((b"Authorization", b"Bearer x"), (b"Cookie", b"a=b"), (b"Mcp-Method", b"ping"))
    assert admit(sent, HOSTS, ORIGINS) == Admitted(
        "crm",
        {
            "host": "gateway.test:8080",
            "content-type": "application/json",
            "authorization": "Bearer x",
            "mcp-method": "ping",
        },
    )


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ((), ("host_missing", 400)),
        (((b"host", b""),), ("host_missing", 400)),
        ((HOST, HOST), ("duplicate_header", 400)),
        ((HOST, (b"host", b"evil.test")), ("duplicate_header", 400)),
        (((b"host", b""), HOST), ("duplicate_header", 400)),
        ((HOST, (b"Host", b"gateway.test:8080")), ("duplicate_header", 400)),
        (((b"host", b"evil.test"),), ("host_unknown", 403)),
        (((b"host", b"gateway.test"),), ("host_unknown", 403)),
        (((b"host", b"gateway.test:80"),), ("host_unknown", 403)),
        (((b"host", b"gateway.test:08080"),), ("host_unknown", 403)),
        (((b"host", b"gateway.test.:8080"),), ("host_unknown", 403)),
        (((b"host", b"gateway.test:8080.evil.test"),), ("host_unknown", 403)),
        (((b"host", b"a@gateway.test:8080"),), ("host_unknown", 403)),
        (((b"host", b"gateway.test:8080/"),), ("host_unknown", 403)),
        (((b"host", b"gateway.test:8080,evil.test"),), ("host_unknown", 403)),
        (((b"host", b"[::1]:8081"),), ("host_unknown", 403)),
        (((b"host", b"::1:8080"),), ("host_unknown", 403)),
        (((b"host", b"gateway\xff.test:8080"),), ("header_value_refused", 400)),
        (((b"host", b" gateway.test:8080"),), ("header_value_refused", 400)),
    ],
    ids=[
        "absent",
        "empty",
        "doubled",
        "doubled-other",
        "empty-then-good",
        "doubled-other-case",
        "unknown",
        "without-port",
        "other-port",
        "port-with-zero",
        "trailing-dot",
        "suffix",
        "user",
        "slash",
        "list",
        "ipv6-other-port",
        "ipv6-without-brackets",
        "obs-text",
        "leading-space",
    ],
)
def test_a_host_that_is_not_exactly_one_of_ours_is_refused(
    lines: Lines, expected: tuple[str, int]
) -> None:
    """RFC 9112 §3.2."""
    assert refused(head(base=(*lines, JSON))) == expected


@pytest.mark.parametrize("host", [b"gateway.test:8080", b"GATEWAY.Test:8080", b"[::1]:8080"])
def test_a_host_of_ours_is_admitted_in_any_case(host: bytes) -> None:
    """RFC 9110 §4.2.3."""
    assert admit(head(base=((b"HOST", host), JSON)), HOSTS, ORIGINS).system == "crm"


def test_without_any_accepted_host_nothing_is_admitted() -> None:
    """House: design §1.1."""
    assert refused(head(), hosts=()) == ("host_unknown", 403)


@pytest.mark.parametrize(
    "origin",
    [
        b"",
        b"null",
        b"https://evil.test",
        b"http://console.test",
        b"https://console.test:443",
        b"https://console.test/",
        b"https://console.test.evil.test",
        b"HTTPS://console.test",
        b"https://console.test https://console.test",
        b"*",
    ],
)
def test_an_origin_that_is_not_listed_is_refused(origin: bytes) -> None:
    """MCP 2025-11-25, transports: Origin."""
    assert refused(head((b"origin", origin))) == ("origin_refused", 403)


def test_a_listed_origin_is_admitted_and_a_missing_one_too() -> None:
    """MCP 2025-11-25, transports: Origin."""
    origin = head((b"origin", b"https://console.test"))
    assert admit(origin, HOSTS, ORIGINS).headers["origin"] == "https://console.test"
    assert "origin" not in admit(head(), HOSTS, ORIGINS).headers


def test_without_listed_origins_every_origin_is_refused() -> None:
    """House: settings."""
    sent = head((b"origin", b"https://console.test"))
    assert refused(sent, origins=()) == ("origin_refused", 403)


def test_header_lines_are_counted_to_the_limit_and_not_beyond() -> None:
    """House: threats §1 item 6."""
    filler = [(b"x-%d" % number, b"") for number in range(MAX_HEADER_LINES - 2)]
    assert admit(head(*filler), HOSTS, ORIGINS).system == "crm"
    assert refused(head(*filler, (b"x", b""))) == ("headers_too_large", 431)


def test_header_bytes_are_counted_to_the_limit_and_not_beyond() -> None:
    """House: threats §1 item 6."""
    used = sum(len(name) + len(value) for name, value in (HOST, JSON))
    room = MAX_HEADER_BYTES - used - 1
    assert admit(head((b"x", b"a" * room)), HOSTS, ORIGINS).system == "crm"
    assert refused(head((b"x", b"a" * (room + 1)))) == ("headers_too_large", 431)
    assert refused(head((b"x" * (room + 2), b""))) == ("headers_too_large", 431)


@pytest.mark.parametrize(
    "name",
    sorted(
        {
            "accept",
            "content-type",
            "last-event-id",
            "traceparent",
            "tracestate",
            "authorization",
            "content-encoding",
            "content-length",
            "dpop",
            "host",
            "origin",
            "transfer-encoding",
            "txn-token",
            "mcp-method",
            "mcp-name",
            "mcp-protocol-version",
            "mcp-session-id",
            "mcp-param-region",
        }
    ),
)
def test_a_header_that_is_read_or_forwarded_may_come_only_once(name: str) -> None:
    """House: threats §1 item 6."""
    line, shouted = (name.encode(), b"a"), (name.upper().encode(), b"a")
    other = [each for each in (HOST, JSON) if each[0] != line[0]]
    assert refused(head(line, line, base=other)) == ("duplicate_header", 400)
    assert refused(head(line, shouted, base=other)) == ("duplicate_header", 400)


def test_a_header_that_nobody_reads_may_come_twice_and_goes_nowhere() -> None:
    """House."""
    sent = head((b"cookie", b"a=b"), (b"cookie", b"\xff"), (b"x-mcp-name", b"x"), (b"mcp", b"y"))
    assert admit(sent, HOSTS, ORIGINS) == admit(head(), HOSTS, ORIGINS)


@pytest.mark.parametrize(
    "value",
    [
        b"caf\xe9",
        b"\xff",
        "é".encode(),
        b"a\x00b",
        b"a\rb",
        b"a\nb",
        b"a\r\n b",
        b"a\n",
        b"a\x0bb",
        b"a\x1b[0m",
        b"a\x7f",
        b" a",
        b"a ",
        b"\ta",
        b"a\t",
        b" ",
    ],
    ids=repr,
)
@pytest.mark.parametrize("name", [b"mcp-name", b"authorization", b"accept", b"traceparent"])
def test_a_value_that_readers_could_see_differently_is_refused(name: bytes, value: bytes) -> None:
    """RFC 9110 §5.5."""
    assert refused(head((name, value))) == ("header_value_refused", 400)


@pytest.mark.parametrize("value", [b"", b"a", b"a b", b"a\tb", b"!~", b"=?base64?w6k=?="], ids=repr)
def test_a_value_of_plain_ascii_is_kept_as_it_came(value: bytes) -> None:
    """RFC 9110 §5.5."""
    admitted = admit(head((b"mcp-name", value)), HOSTS, ORIGINS)
    assert admitted.headers["mcp-name"] == value.decode()


@pytest.mark.parametrize(
    "name",
    [b"", b"mcp name", b"mcp-a:b", b"mcp-a\r\nx", b"mcp-\xe9", b"\xe9", b"host\x00", b"host "],
    ids=repr,
)
def test_a_name_that_is_not_a_token_is_refused(name: bytes) -> None:
    """RFC 9110 §5.1."""
    assert refused(head((name, b"a"))) == ("header_name_refused", 400)


@pytest.mark.parametrize("value", [b"chunked", b"identity", b"", b"gzip, chunked", b"xchunked"])
def test_transfer_encoding_of_any_kind_is_refused(value: bytes) -> None:
    """RFC 9112 §6.3."""
    sent = head((b"Transfer-Encoding", value), (b"content-length", b"3"))
    assert refused(sent) == ("length_required", 411)


@pytest.mark.parametrize(
    "value", [b"gzip", b"br", b"identity, gzip", b"identity,identity", b"x-gzip", b"", b"aes128gcm"]
)
def test_an_encoded_body_is_refused(value: bytes) -> None:
    """House: threats §1 item 7."""
    sent = head((b"content-encoding", value))
    assert refused(sent) == ("content_encoding_refused", 415)


@pytest.mark.parametrize("value", [b"identity", b"Identity"])
def test_an_unencoded_body_may_say_so(value: bytes) -> None:
    """RFC 9110 §8.4.1."""
    assert admit(head((b"content-encoding", value)), HOSTS, ORIGINS).system == "crm"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        (b"Upgrade", "upgrade_refused"),
        (b"upgrade", "upgrade_refused"),
        (b"X-Forwarded-Client-Cert", "client_certificate_header_refused"),
        (b"x-forwarded-client-cert", "client_certificate_header_refused"),
    ],
)
@pytest.mark.parametrize("value", [b"", b"h2c", b"By=spiffe://a;Hash=0", b"\xff"], ids=repr)
def test_an_upgrade_or_a_vouching_header_is_refused_whatever_it_says(
    name: bytes, code: str, value: bytes
) -> None:
    """House: threats §1 items 6 and 8."""
    assert refused(head((name, value))) == (code, 400)


@pytest.mark.parametrize(
    "path",
    [
        b"",
        b"/",
        b"*",
        b"mcp",
        b"/mcp",
        b"//mcp",
        b"/crm",
        b"/crm/",
        b"/crm/mcp/",
        b"/crm/mcp/x",
        b"/crm/MCP",
        b"/crm/mc",
        b"/crm/mcpx",
        b"/crm//mcp",
        b"//crm/mcp",
        b"/x/crm/mcp",
        b"/crm/%6dcp",
        b"/%63rm/mcp",
        b"/crm%2fmcp",
        b"/crm%2Fmcp",
        b"/crm/mcp%2f",
        b"/crm%5cmcp",
        b"/crm\\mcp",
        b"/crm/mcp%00",
        b"/crm/mcp\x00",
        b"/crm/mcp%",
        b"/crm/%256dcp",
        b"/crm/.%2e/crm/mcp",
        b"/crm/%2e%2e/mcp",
        b"/crm/%2e/mcp",
        b"/crm/./mcp",
        b"/crm/../mcp",
        b"/x/../crm/mcp",
        b"/crm/mcp/..",
        b"/crm/mcp/.",
        b"/crm/mcp;a=b",
        b"/crm;a=b/mcp",
        b"/crm/mcp?",
        b"/crm/mcp?a",
        b"/crm/mcp#a",
        b"/crm/mcp ",
        b" /crm/mcp",
        b"/crm/mcp\n",
        b"\n/crm/mcp",
        b"/crm\t/mcp",
        b"http://gateway.test:8080/crm/mcp",
        b"/http://evil.test/mcp",
        b"gateway.test:8080",
        b"/caf\xc3\xa9/mcp",
        b"/crm/mcp\xff",
        "/crm\uff0fmcp".encode(),
        "/\u0441rm/mcp".encode(),
        b"/CRM/mcp",
        b"/Crm/mcp",
        b"/-/mcp",
        b"/-crm/mcp",
        b"/crm_1/mcp",
        b"/crm.1/mcp",
        b"/*/mcp",
        b"/" + b"a" * 64 + b"/mcp",
        b"/" + b"a" * 5000 + b"/mcp",
        b"/.well-known/mcp",
    ],
    ids=lambda path: f"{path[:40]!r}-{len(path)}",
)
def test_a_path_that_is_not_plainly_a_systems_endpoint_is_unknown(path: bytes) -> None:
    """House: threats §1 item 3."""
    assert refused(head(path=path)) == ("path_refused", 404)


@pytest.mark.parametrize("system", ["a", "0", "a-", "crm-2", "a" * 63])
def test_a_plain_path_names_its_system(system: str) -> None:
    """House: design §5, URLs."""
    assert admit(head(path=f"/{system}/mcp".encode()), HOSTS, ORIGINS).system == system


@pytest.mark.parametrize("query", [b"a=b", b"x", b"=", b"?", b"%00", b"\xff"], ids=repr)
def test_a_query_is_refused(query: bytes) -> None:
    """House."""
    assert refused(head(query=query)) == ("query_refused", 400)


@pytest.mark.parametrize(
    "method",
    ["CONNECT", "TRACE", "OPTIONS", "HEAD", "PUT", "PATCH", "PRI", "post", "Post", "POST ", ""],
    ids=repr,
)
def test_a_method_that_mcp_does_not_use_is_refused(method: str) -> None:
    """RFC 9110 §9.1: a method is case-sensitive."""
    assert refused(head(method=method)) == ("method_refused", 405)


@pytest.mark.parametrize("method", METHODS)
def test_the_methods_of_streamable_http_are_admitted(method: str) -> None:
    """MCP 2025-11-25, transports."""
    assert admit(head(method=method), HOSTS, ORIGINS).system == "crm"


@pytest.mark.parametrize(
    "media_type",
    [
        b"",
        b"text/plain",
        b"text/json",
        b"application/jsonp",
        b"application/json-rpc",
        b"application/problem+json",
        b"xapplication/json",
        b"application/json,",
        b"application/json, text/plain",
        b"application/json;",
        b"application/json;charset",
        b"application/json;charset=",
        b"application/json;charset=utf-16",
        b"application/json;charset=latin1",
        b"application/json;charset=utf-8;charset=utf-16",
        b"application/json;boundary=x",
        b'application/json;charset="utf-8',
        b'application/json;charset=utf-8"',
        b"application/json;charset='utf-8'",
        b"application /json",
        b"*/*",
    ],
)
def test_a_post_that_is_not_plainly_json_is_refused(media_type: bytes) -> None:
    """House: threats §1 item 7."""
    sent = head(base=(HOST, (b"content-type", media_type)))
    assert refused(sent) == ("content_type_refused", 415)


def test_a_post_without_a_content_type_is_refused() -> None:
    """House: threats §1 item 7."""
    assert refused(head(base=(HOST,))) == ("content_type_refused", 415)


@pytest.mark.parametrize(
    "media_type",
    [
        b"application/json",
        b"Application/JSON",
        b"application/json;charset=utf-8",
        b"application/json; charset=UTF-8",
        b"application/json ;\tcharset=utf-8",
        b'application/json; charset="utf-8"',
    ],
)
def test_json_is_admitted_in_each_of_its_spellings(media_type: bytes) -> None:
    """RFC 9110 §8.3.1."""
    sent = head(base=(HOST, (b"content-type", media_type)))
    assert admit(sent, HOSTS, ORIGINS).headers["content-type"] == media_type.decode()


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_request_without_a_body_needs_no_content_type(method: str) -> None:
    """MCP 2025-11-25, transports."""
    assert admit(head(base=(HOST,), method=method), HOSTS, ORIGINS) == Admitted(
        "crm", {"host": "gateway.test:8080"}
    )


XFCC = (b"X-Forwarded-Client-Cert", b"Hash=ab;URI=spiffe://corp.test/agent/a")


def vouched(*extra: tuple[bytes, bytes]) -> Admitted:
    """Admit a request that came from a terminator."""
    return admit(head(*extra), HOSTS, ORIGINS, vouched=True)


def refused_vouched(*extra: tuple[bytes, bytes]) -> str:
    """Return the code of the refusal of a request that came from a terminator."""
    with pytest.raises(AdmissionRefused) as caught:
        vouched(*extra)
    assert caught.value.http_status == 400
    return caught.value.reason_code


def test_a_terminator_may_say_whose_certificate_it_saw() -> None:
    """House: identity §3, X.509-SVID through XFCC."""
    assert vouched(XFCC).headers["x-forwarded-client-cert"] == XFCC[1].decode()
    assert "x-forwarded-client-cert" not in vouched().headers


def test_a_terminator_may_say_it_only_once_in_whatever_case() -> None:
    """House: identity §3: the first-copy and the last-copy reader disagree."""
    again = (XFCC[0].lower(), XFCC[1])
    assert refused_vouched(XFCC, again) == "duplicate_header"


@pytest.mark.parametrize("value", [b'Subject="\xe9"', b"a\r\nb", b"a\x00"], ids=repr)
def test_a_certificate_header_is_plain_ascii(value: bytes) -> None:
    """RFC 9110 §5.5."""
    assert refused_vouched((XFCC[0], value)) == "header_value_refused"


def test_a_certificate_of_24_kib_fits() -> None:
    """House: a chain is long; the bound on headers is for all of them together."""
    line = (XFCC[0], b"a" * 24 * 1024)
    assert len(vouched(line).headers["x-forwarded-client-cert"]) == 24 * 1024


@pytest.mark.parametrize(
    ("value", "source"),
    [
        (b"192.0.2.7", "192.0.2.7"),
        (b"203.0.113.9, 192.0.2.7", "192.0.2.7"),
        (b"203.0.113.9,192.0.2.7", "192.0.2.7"),
        (b"evil,\t192.0.2.7", "192.0.2.7"),
        (b"2001:DB8:0::1", "2001:db8::1"),
    ],
    ids=repr,
)
def test_behind_a_terminator_the_source_is_the_last_address_it_wrote(
    value: bytes, source: str
) -> None:
    """Envoy appends the peer; what stands before it the client wrote itself."""
    admitted = vouched((b"X-Forwarded-For", value))
    assert admitted.source == source
    assert "x-forwarded-for" not in admitted.headers


@pytest.mark.parametrize(
    "value",
    [b"", b",", b"192.0.2.7,", b"unknown", b"192.0.2.7:80", b"[2001:db8::1]", b"fe80::1%eth0",
     b"192.0.2.07", b"192.0.2", b"192.0.2.7 x", b"_hidden"],
    ids=repr,
)  # fmt: skip
def test_a_source_that_is_no_plain_address_is_refused(value: bytes) -> None:
    """House: what is recorded as the source is an address, or nothing was said."""
    assert refused_vouched((b"x-forwarded-for", value)) == "forwarded_for_refused"


def test_a_source_that_is_said_twice_is_refused() -> None:
    """House: two readers may take different copies."""
    line = (b"x-forwarded-for", b"192.0.2.7")
    assert refused_vouched(line, (b"X-Forwarded-For", b"192.0.2.8")) == "forwarded_for_refused"


def test_from_anybody_else_a_forwarded_source_is_not_even_read() -> None:
    """House: it is the caller's own writing."""
    line = (b"x-forwarded-for", b"\xff")
    admitted = admit(head(line, line), HOSTS, ORIGINS)
    assert admitted == admit(head(), HOSTS, ORIGINS)
    assert admitted.source is None


def test_an_own_endpoint_takes_a_certificate_from_a_terminator_only() -> None:
    """House: a terminator sends it with every request."""
    admit_own(head(XFCC), HOSTS, ORIGINS, vouched=True)
    with pytest.raises(AdmissionRefused) as caught:
        admit_own(head(XFCC), HOSTS, ORIGINS)
    assert caught.value.reason_code == "client_certificate_header_refused"
