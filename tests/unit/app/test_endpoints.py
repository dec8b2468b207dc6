import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.app.caller import ASGICaller
from gateway.app.endpoints import OwnEndpoints
from gateway.settings import Server, Settings, System
from gateway.wire.admission import Head
from tests.unit.app.settings import dev, edge, issuer, settings

PATH = "/.well-known/oauth-protected-resource/crm/mcp"


@dataclass(frozen=True)
class Answer:
    """What an endpoint said."""

    status: int
    headers: dict[str, str]
    document: Any


async def ask(
    path: str = PATH,
    of: Settings | None = None,
    *,
    method: str = "GET",
    headers: Sequence[tuple[bytes, bytes]] = ((b"host", b"gw.test"),),
    healthy: bool = True,
    vouched: bool = False,
) -> Answer:
    """Ask the endpoints of a gateway."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    endpoints = OwnEndpoints(
        of or settings(), lambda: {"policy": healthy, "ledger": True}, lambda: b"metrics 1\n"
    )
    assert endpoints.own(path.encode())
    head = Head(method, path.encode(), b"", tuple(headers))
    await endpoints.answer(head, ASGICaller(send), vouched=vouched)
    begun, *bodies = sent
    said = {name.decode(): value.decode() for name, value in begun["headers"]}
    body = b"".join(each["body"] for each in bodies)
    plain = said["content-type"].startswith("text/plain")
    return Answer(begun["status"], said, body if plain else json.loads(body))


async def test_metadata_of_a_system_name_it_as_it_is_called_from_outside() -> None:
    """RFC 9728 §3.3: the resource is the URL that the metadata were asked for."""
    answer = await ask()
    assert answer.status == 200
    assert answer.document["resource"] == "https://gw.test/crm/mcp"
    assert answer.document["resource_name"] == "crm"
    assert answer.headers == {"content-type": "application/json", "cache-control": "max-age=300"}


async def test_metadata_name_every_issuer_that_is_a_url_and_authenticates() -> None:
    """MCP authorization, Authorization Server Location."""
    of = settings(
        issuers=(
            issuer("https://one.test/realms/a"),
            issuer("http://127.0.0.1:9000"),
            issuer("http://plain.test"),
            issuer("https://with.test/?a"),
            issuer("https://[broken"),
            issuer("just-a-name"),
            issuer("https://txn.test", profile="transaction", audience="x"),
            issuer("https://kubernetes.test", profile="kubernetes"),
        ),
        dev_issuer=dev(),
    )
    assert (await ask(of=of)).document["authorization_servers"] == [
        "https://one.test/realms/a",
        "http://127.0.0.1:9000",
        "https://kubernetes.test",
        "https://dev-issuer.invalid",
    ]


async def test_where_only_svids_are_believed_no_authorization_server_is_made_up() -> None:
    """RFC 9728 §2: the member is optional, and an empty array is omitted (§3.2)."""
    assert "authorization_servers" not in (await ask()).document


async def test_metadata_tell_what_a_system_demands() -> None:
    """RFC 9728 §2."""
    demanding = System("https://crm.test/mcp", scopes=("crm:read", "offline_access"), proof="dpop")
    of = settings(systems={"crm": demanding}, terminators=(edge(peer="127.0.0.1"),))
    document = (await ask(of=of)).document
    assert document["scopes_supported"] == ["crm:read"]
    assert document["dpop_bound_access_tokens_required"] is True
    assert document["tls_client_certificate_bound_access_tokens"] is True
    other = settings(systems={"crm": System("https://crm.test/mcp", proof="any")})
    assert "dpop_bound_access_tokens_required" not in (await ask(of=other)).document


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/",
        "/.well-known/oauth-protected-resource/hr/mcp",
        "/.well-known/oauth-protected-resource/crm",
        "/.well-known/oauth-protected-resource/crm/mcp/",
        "/.well-known/oauth-protected-resource/%63rm/mcp",
        "/.well-known/oauth-protected-resourcecrm/mcp",
        "/.well-known/oauth-protected-resource/é/mcp",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_there_are_no_metadata_of_anything_else(path: str, method: str) -> None:
    """RFC 9728 §3.2: 404."""
    assert (await ask(path, method=method)).status == 404


@pytest.mark.parametrize("method", ["POST", "HEAD", "DELETE", "OPTIONS", "get"])
async def test_metadata_are_only_read(method: str) -> None:
    """RFC 9728 §3.1: GET."""
    answer = await ask(method=method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET")


@pytest.mark.parametrize("path", [PATH, "/-/health/ready"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 400),
        ([(b"host", b"evil.test")], 403),
        ([(b"host", b"gw.test"), (b"origin", b"https://evil.test")], 403),
        ([(b"host", b"gw.test"), (b"x-forwarded-client-cert", b"Hash=ab")], 400),
    ],
    ids=["no-host", "host", "origin", "certificate"],
)
async def test_an_own_endpoint_is_not_for_a_page_that_found_the_address(
    path: str, headers: list[tuple[bytes, bytes]], status: int
) -> None:
    """DNS rebinding, threats §1."""
    assert (await ask(path, headers=headers)).status == status


async def test_a_terminators_client_reads_metadata_too() -> None:
    """House: a terminator sends the certificate with every request."""
    headers = [(b"host", b"gw.test"), (b"x-forwarded-client-cert", b"Hash=ab")]
    assert (await ask(headers=headers, vouched=True)).status == 200


@pytest.mark.parametrize(
    ("path", "method", "healthy", "status"),
    [
        ("/-/health/live", "GET", False, 200),
        ("/-/health/ready", "GET", True, 200),
        ("/-/health/ready", "GET", False, 503),
        ("/-/health/ready", "POST", True, 404),
        ("/-/health", "GET", True, 404),
    ],
)
async def test_health_is_told(path: str, method: str, healthy: bool, status: int) -> None:
    """House: design §8; nothing of it is kept by a cache."""
    answer = await ask(path, settings(server=Server(public_url="https://gw.test")),
                       method=method, healthy=healthy)  # fmt: skip
    assert answer.status == status
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", [b"/crm/mcp", b"/.well-known/mcp", b"/", b"/x/-/health/live"])
def test_any_other_path_is_not_the_gateways_own(path: bytes) -> None:
    """House: it is admitted or refused as a call, and recorded."""
    assert not OwnEndpoints(settings(), dict, bytes).own(path)


async def test_metrics_are_read_by_get_alone() -> None:
    """Prometheus exposition format; nobody stores what was true once."""
    answer = await ask("/-/metrics")
    assert (answer.status, answer.document) == (200, b"metrics 1\n")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert answer.headers["cache-control"] == "no-store"
    assert (await ask("/-/metrics", method="POST")).status == 404
    assert (await ask("/-/metrics/")).status == 404
