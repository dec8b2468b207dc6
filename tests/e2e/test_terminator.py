"""An agent with an X.509-SVID, through a real TLS terminator, to a real gateway."""

import base64
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from gateway import starter
from tests.e2e.gateways import BILLING, JSON_HEADERS, RunningGateway, free_port, gateway
from tests.e2e.processes import company_server
from tests.e2e.test_resilience import MODERN_HEADERS, MODERN_READ
from tests.terminator import Terminator, terminator, today
from tests.unit.identity.certificates import Authority, Issued

pytestmark = pytest.mark.e2e

DOMAIN = "bailiwick.example"
SETTINGS = f"""
[[trust_domains]]
name = "{DOMAIN}"
bundle = "bundle.json"

[[terminators]]
name = "edge"
trust_domains = ["{DOMAIN}"]
socket = "edge/edge.sock"
"""


@dataclass(frozen=True)
class World:
    """A gateway behind a terminator that lets in more than the gateway believes."""

    gateway: RunningGateway
    edge: Terminator
    ours: Authority
    foreign: Authority

    def call(self, agent: Issued | None, **headers: str) -> httpx.Response:
        """Read an invoice as the holder of a certificate."""
        sent = {**JSON_HEADERS, **MODERN_HEADERS, "host": self.gateway.base[7:], **headers}
        url = f"{self.edge.url}/company/mcp"
        with httpx.Client(verify=self.edge.client(agent), trust_env=False) as client:
            return client.post(url, json=MODERN_READ, headers=sent)

    def last(self, kind: str) -> dict[str, object]:
        """Return the newest record of a kind."""
        return dict(self.gateway.records(kind)[-1])


@pytest.fixture(scope="module", name="world")
def _world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("edge")
    (folder / "edge").mkdir(mode=0o700)
    ours, foreign = Authority(DOMAIN, **today()), Authority("foreign.test", **today())
    der = ours.certificate.public_bytes(Encoding.DER)
    jwk = {"use": "x509-svid", "kty": "EC", "x5c": [base64.b64encode(der).decode()]}
    (folder / "bundle.json").write_text(json.dumps({"keys": [jwk]}))
    with ExitStack() as stack:
        company = stack.enter_context(company_server())
        starter.create(folder, company.url, free_port())
        settings = folder / starter.SETTINGS_NAME
        text = settings.read_text().replace('[dev_issuer]\nkey = "dev-issuer.json"\n', "")
        settings.write_text(text + SETTINGS)
        running = stack.enter_context(gateway(folder, company.url))
        believed = {DOMAIN: [ours], "foreign.test": [foreign]}
        keys = tmp_path_factory.mktemp("keys")
        edge = stack.enter_context(terminator(keys, folder / "edge" / "edge.sock", believed))
        yield World(running, edge, ours, foreign)


def test_the_holder_of_an_svid_is_known_by_it_and_its_call_is_permitted(world: World) -> None:
    """Issue: X.509-SVID through a terminator that settings name."""
    answer = world.call(world.ours.issue(BILLING, **today()))
    assert (answer.status_code, answer.json()["result"]["isError"]) == (200, False)
    identity = world.last("intent")["identity"]
    assert isinstance(identity, dict)
    assert (identity["sub"], identity["scheme"], identity["proof"]) == (
        BILLING,
        "x509-svid",
        "x509-svid",
    )
    assert identity["certificate"]["terminator"] == "edge"


def test_a_foreign_authority_cannot_name_our_workloads(world: World) -> None:
    """Reference §3: even though the terminator let it in."""
    answer = world.call(world.foreign.issue(BILLING, **today()))
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "certificate_untrusted")


def test_what_a_client_writes_into_the_header_is_replaced(world: World) -> None:
    """Envoy `SANITIZE_SET`: the holder stays who it is, and has no charter."""
    forged = world.ours.issue(BILLING, **today()).text(BILLING)
    nobody = "spiffe://bailiwick.example/agent/nobody"
    answer = world.call(world.ours.issue(nobody, **today()), **{"x-forwarded-client-cert": forged})
    refusal = answer.json()["result"]["_meta"]["bailiwick/refusal"]
    assert refusal["code"] == "subject_unknown"
    identity = world.last("refusal")["identity"]
    assert isinstance(identity, dict)
    assert identity["sub"] == nobody


def test_the_same_header_straight_to_the_gateway_is_refused_and_recorded(world: World) -> None:
    """Reference §3: from anyone not so named the request is refused."""
    forged = world.ours.issue(BILLING, **today()).text(BILLING)
    headers = {**JSON_HEADERS, **MODERN_HEADERS, "x-forwarded-client-cert": forged}
    with httpx.Client(trust_env=False) as client:
        answer = client.post(world.gateway.url, json=MODERN_READ, headers=headers)
    assert answer.status_code == 400
    decision = world.last("refusal")["decision"]
    assert isinstance(decision, dict)
    assert decision["reasons"][0]["code"] == "client_certificate_header_refused"
