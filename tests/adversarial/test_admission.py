"""Requests that a server in front of us lets through: refused by admission, recorded, not sent.

The probes of the threat model's first table, sent byte by byte to the real listener.
"""

import hashlib
import json
import re
import socket

import pytest

from tests.adversarial.wire import TIMEOUT_SECONDS, request, send
from tests.e2e.gateways import gateway

pytestmark = pytest.mark.e2e

PING = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'

PROBES = {
    "no-host": ({"drop": ("Host",)}, {400}),
    "empty-host": ({"drop": ("Host",), "headers": [("Host", "")]}, {400}),
    "two-hosts": ({"headers": [("Host", "evil.example")]}, {400}),
    "unknown-host": ({"drop": ("Host",), "headers": [("Host", "evil.example")]}, {403}),
    "origin": ({"headers": [("Origin", "https://evil.example")]}, {403}),
    "two-authorizations": ({"headers": [("Authorization", "Bearer x")]}, {400}),
    "two-proofs": ({"headers": [("DPoP", "a.b.c"), ("dpop", "a.b.c")]}, {400}),
    "two-transactions": ({"headers": [("Txn-Token", "a.b.c"), ("Txn-Token", "d.e.f")]}, {400}),
    "content-length-and-chunked": ({"headers": [("Transfer-Encoding", "chunked")]}, {400, 411}),
    "gzip": ({"headers": [("Content-Encoding", "gzip")]}, {415}),
    "upgrade-h2c": (
        {"headers": [("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAAQAAP__")]},
        {400},
    ),
    "forged-client-certificate": (
        {"headers": [("X-Forwarded-Client-Cert", "URI=spiffe://bailiwick.example/agent/billing")]},
        {400},
    ),
    "text-plain": ({"drop": ("Content-Type",), "headers": [("Content-Type", "text/plain")]}, {415}),
    "json-in-disguise": (
        {"drop": ("Content-Type",), "headers": [("Content-Type", "application/json-seq")]},
        {415},
    ),
    "put": ({"method": "PUT"}, {405}),
    "trace": ({"method": "TRACE"}, {405}),
    "connect": ({"method": "CONNECT", "target": "127.0.0.1:80"}, {400, 404, 405}),
    "encoded-letter": ({"target": "/company/%6dcp"}, {404}),
    "encoded-slash": ({"target": "/company%2Fmcp"}, {404}),
    "encoded-dots": ({"target": "/company/%2e%2e/company/mcp"}, {404}),
    "dots": ({"target": "/company/../company/mcp"}, {404}),
    "double-slash": ({"target": "//company/mcp"}, {404}),
    "backslash": ({"target": "/company\\mcp"}, {400, 404}),
    "parameter": ({"target": "/company/mcp;x=1"}, {404}),
    "nul": ({"target": "/company/mcp%00"}, {404}),
    "query": ({"target": "/company/mcp?api_key=1"}, {400}),
    "asterisk": ({"method": "POST", "target": "*"}, {400, 404}),
    "obs-text-in-mcp-header": ({"headers": [("Mcp-Session-Id", "caf\xe9")]}, {400}),
    "too-many-headers": ({"headers": [(f"X-{n}", "1") for n in range(120)]}, {431}),
}


@pytest.mark.parametrize("probe", PROBES, ids=list(PROBES))
def test_a_probe_is_refused_with_its_status_and_never_sent(company, allowing, probe):
    """threats.md §1."""
    changes, statuses = PROBES[probe]
    seen = company.seen()["requests"]
    answer = send(allowing.url, request(allowing.url, PING, token=allowing.token(), **changes))
    assert answer.status in statuses
    assert company.seen()["requests"] == seen


def test_a_probe_that_reached_admission_is_recorded_with_its_code(allowing):
    """House: a refusal is recorded whatever it was refused for."""
    before = len(allowing.records("refusal"))
    probe = request(allowing.url, PING, headers=[("Origin", "https://evil.example")])
    assert json.loads(send(allowing.url, probe).body)["error"]["code"] == "origin_refused"
    (record,) = allowing.records("refusal")[before:]
    assert record["decision"]["reasons"][0] == {"code": "origin_refused", "rule": "gateway.admit"}


@pytest.mark.parametrize("value", ["Bearer", "Bearer a b", "DPoP a,b", "bearer =", "DPoP "])
def test_a_misspelled_authorization_is_refused_and_recorded(company, allowing, value):
    """RFC 6750 §3.1: 400, not a request without a credential."""
    seen = company.seen()["requests"]
    probe = request(allowing.url, PING, headers=[("Authorization", value)])
    answer = send(allowing.url, probe)
    assert answer.status == 400
    (reason,) = allowing.records("refusal")[-1]["decision"]["reasons"]
    assert reason == {"code": "authorization_refused", "rule": "gateway.admit"}
    assert company.seen()["requests"] == seen


def test_a_forged_certificate_is_recorded_and_not_what_it_says(allowing):
    """House: a misrouted proxy is seen in the evidence; its header is not kept."""
    forged = ("X-Forwarded-Client-Cert", "URI=spiffe://bailiwick.example/agent/forged")
    send(allowing.url, request(allowing.url, PING, headers=[forged]))
    record = allowing.records("refusal")[-1]
    code = record["decision"]["reasons"][0]["code"]
    assert code == "client_certificate_header_refused"
    assert "forged" not in json.dumps(dict(record), default=dict)


def test_who_has_no_credential_is_pointed_to_metadata_that_name_the_resource(allowing):
    """MCP authorization: Protected Resource Metadata Discovery."""
    refused = send(allowing.url, request(allowing.url, PING))
    assert refused.status == 401
    (challenge,) = re.findall(rb"www-authenticate: (.*)", refused.head, re.IGNORECASE)
    (found,) = re.findall(rb'^Bearer resource_metadata="([^"]*)"$', challenge.strip())
    metadata = found.decode()
    assert metadata == f"{allowing.base}/.well-known/oauth-protected-resource/company/mcp"
    answer = send(metadata, request(metadata, method="GET", drop=("Content-Type",)))
    document = json.loads(answer.body)
    assert document["resource"] == allowing.url
    assert document["authorization_servers"] == ["https://dev-issuer.invalid"]


def test_the_listener_does_not_speak_http2(company, allowing):
    """threats.md §1: by prior knowledge it would, unless pinned to HTTP/1."""
    seen = company.seen()["requests"]
    answer = send(allowing.url, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00" * 9)
    assert answer.status in (0, 400, 404, 405, 505)
    assert company.seen()["requests"] == seen


def test_a_smuggled_second_request_is_not_answered_as_one(company, allowing):
    """CL.TE: whoever reads the other length must not find a request in the body."""
    hidden = request(allowing.url, PING, token=allowing.token())
    outer = request(
        allowing.url,
        b"0\r\n\r\n" + hidden,
        headers=[("Transfer-Encoding", "chunked")],
        token=allowing.token(),
    )
    seen = company.seen()["requests"]
    assert send(allowing.url, outer).status in (400, 411)
    assert company.seen()["requests"] == seen


def test_an_announced_body_that_is_too_large_is_refused_before_it_is_sent(allowing):
    """Issue: 413 before buffering."""
    head = request(
        allowing.url, b"", headers=[("Content-Length", "99000000")], drop=("Content-Length",)
    )
    assert send(allowing.url, head).status == 413


def test_a_body_that_does_not_come_is_given_up(tmp_path, company):
    """threats.md §1 item 5: the server itself would wait for ever."""
    with gateway(tmp_path, company.url, "allow_all") as running:
        pass
    settings = tmp_path / "bailiwick.toml"
    settings.write_text(
        settings.read_text().replace("[server]", "[server]\nbody_idle_seconds = 0.5", 1)
    )
    with gateway(tmp_path, company.url, "allow_all") as running:
        halved = request(running.url, PING, token=running.token())[:-10]
        answer = send(running.url, halved)
        assert answer.status == 408
        code = running.records("refusal")[-1]["decision"]["reasons"][0]["code"]
        assert code == "body_timeout"


def test_a_half_sent_head_is_hung_up_on(allowing):
    """threats.md §1: header timeout, 10 s."""
    host, port = allowing.base.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), TIMEOUT_SECONDS) as connection:
        connection.sendall(b"POST /company/mcp HTTP/1.1\r\nHost: x\r\n")
        received = b""
        try:
            while chunk := connection.recv(1024):
                received += chunk
        except ConnectionResetError:
            pass
    assert not received or b" 408 " in received or b" 400 " in received


def test_ordinary_headers_do_pass(allowing):
    """House: the probes prove something only if their neighbour is let through."""
    headers = [("User-Agent", "probe"), ("Cookie", "a=1"), ("Cookie", "b=2"), ("X-Any", "caf\xe9")]
    sent = request(allowing.url, PING, token=allowing.token(), headers=headers)
    # Without a session, the upstream itself says 400; what matters is that it was asked.
    assert b"session" in send(allowing.url, sent).body.lower()


def test_a_health_check_under_another_host_is_refused(allowing):
    """DNS rebinding: the state of the gateway is not for a page that found its address."""
    probe = b"GET /-/health/ready HTTP/1.1\r\nHost: evil.example\r\n\r\n"
    assert send(allowing.url, probe).status == 403
    host = allowing.base.removeprefix("http://").encode()
    assert send(allowing.url, probe.replace(b"evil.example", host)).status == 200


def test_an_anonymous_request_writes_little_however_large_it_is(allowing):
    """House: a full disk stops the gateway, so nobody may fill it without a credential."""
    folder = allowing.folder / "evidence"
    before = sum(path.stat().st_size for path in folder.glob("*.jsonl"))
    for probe in (
        request(allowing.url, PING, target="/" + "A" * 30_000),
        request(allowing.url, PING, headers=[("Mcp-Param-X", "A" * 30_000)]),
        request(allowing.url, PING, headers=[("Mcp-Anything", "A" * 30_000)]),
        request(allowing.url, PING, headers=[("Mcp-Session-Id", "A" * 8_000)]),
        request(allowing.url, PING, headers=[("Mcp-Param-" + "a" * 20_000, "1")]),
        request(allowing.url, PING, headers=[("Mcp-Protocol-Version", "A" * 8_000)]),
        request(allowing.url, b'{"jsonrpc":"2.0","id":1,"method":"' + b"A" * 900_000 + b'"}'),
        request(allowing.url, b'{"jsonrpc":"2.0","method":"x","id":"' + b"A" * 900_000 + b'"}'),
        request(
            allowing.url,
            b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"'
            + b"A" * 900_000
            + b'"}}',
        ),
    ):
        assert send(allowing.url, probe).status in (400, 401, 404, 431)
    grown = sum(path.stat().st_size for path in folder.glob("*.jsonl")) - before
    assert grown < 7 * 10_000


def test_of_a_long_target_only_the_digest_is_recorded(allowing):
    """House: a cut target would keep the half of a secret, which nobody knows for one."""
    target = "/company/mcp?" + "x" * 220 + "AKIAIOSFODNN7EXAMPLE" + "y" * 100
    send(allowing.url, request(allowing.url, PING, target=target))
    recorded = allowing.records("refusal")[-1]["request"]["target"]
    digest = hashlib.sha256(target.encode()).hexdigest()
    assert recorded == f"{len(target)} bytes, sha256:{digest}"


def test_a_large_hostile_body_does_not_stop_the_others(allowing):
    """House: the deadlines of all calls run on one loop."""
    name = "a" + "\u0301\u0316" * 100_000
    message = {"jsonrpc": "2.0", "id": 1, "method": "x", "params": {name: 1}}
    body = json.dumps(message, ensure_ascii=False)
    sent = request(allowing.url, body.encode())
    answer = json.loads(send(allowing.url, sent).body)
    assert answer["error"]["data"]["code"] == "json_key_too_long"
