"""A gateway that believes a real issuer: discovery, audience, scopes, rotation, an outage."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gateway import starter
from tests.e2e.gateways import BILLING, JSON_HEADERS, RunningGateway, free_port, gateway
from tests.e2e.processes import CompanyServer, company_server
from tests.e2e.test_resilience import MODERN_HEADERS, MODERN_READ
from tests.issuer_server import IssuerServer, issuer_server

pytestmark = pytest.mark.e2e


@pytest.fixture(name="company")
def _company() -> Iterator[CompanyServer]:
    with company_server() as running:
        yield running


@pytest.fixture(name="issuer")
def _issuer() -> Iterator[IssuerServer]:
    with issuer_server() as running:
        yield running


@pytest.fixture(name="running")
def _running(
    tmp_path: Path, company: CompanyServer, issuer: IssuerServer
) -> Iterator[RunningGateway]:
    """A gateway that finds this issuer by discovery, and believes nobody else."""
    starter.create(tmp_path, company.url, free_port())
    settings = tmp_path / starter.SETTINGS_NAME
    trusted = f'[[issuers]]\nissuer = "{issuer.url}"\nalgorithms = ["ES256"]'
    text = settings.read_text().replace('[dev_issuer]\nkey = "dev-issuer.json"', trusted)
    assert trusted in text
    settings.write_text(text + '\nscopes = ["company:read"]\n')
    with gateway(tmp_path, company.url) as running:
        yield running


def token(issuer: IssuerServer, running: RunningGateway, **claims: object) -> str:
    """Return a good token of the billing agent for this system."""
    good = {"sub": BILLING, "aud": running.url, "scope": "company:read", "client_id": BILLING}
    return issuer.token(**(good | claims))


def ask(running: RunningGateway, text: str) -> httpx.Response:
    """Call a tool with this token."""
    headers = {**JSON_HEADERS, **MODERN_HEADERS, "authorization": f"Bearer {text}"}
    with httpx.Client(trust_env=False, timeout=30) as agent:
        return agent.post(running.url, json=MODERN_READ, headers=headers)


def permitted(answer: httpx.Response) -> bool:
    """Say whether the tool ran."""
    return answer.status_code == 200 and answer.json()["result"]["isError"] is False


def test_keys_rotate_and_the_issuer_goes_down_without_one_refused_good_call(
    running: RunningGateway, issuer: IssuerServer
) -> None:
    """Issue: rotation without restart; calls with known keys go on in an outage, others are not."""
    old = token(issuer, running)
    assert permitted(ask(running, old))
    issuer.rotate()
    new = token(issuer, running)
    assert permitted(ask(running, new))
    assert permitted(ask(running, old))
    asked = issuer.asked()
    issuer.mood = "down"
    issuer.rotate()
    unknown = ask(running, token(issuer, running))
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (401, "token_key_unknown")
    assert permitted(ask(running, old))
    assert permitted(ask(running, new))
    assert issuer.asked() <= asked + 1


def test_a_token_is_for_one_system_and_a_missing_scope_is_a_403(
    running: RunningGateway, issuer: IssuerServer
) -> None:
    """MCP authorization: audience = this resource; `insufficient_scope` for scopes only."""
    elsewhere = ask(running, token(issuer, running, aud=running.base))
    metadata = f"{running.base}/.well-known/oauth-protected-resource/company/mcp"
    challenge = f'scope="company:read", resource_metadata="{metadata}"'
    assert elsewhere.status_code == 401
    assert elsewhere.headers["www-authenticate"] == f'Bearer error="invalid_token", {challenge}'
    narrow = ask(running, token(issuer, running, scope="other"))
    assert narrow.status_code == 403
    assert narrow.headers["www-authenticate"] == f'Bearer error="insufficient_scope", {challenge}'
    described = httpx.get(metadata, trust_env=False).json()
    assert described["resource"] == running.url
    assert described["authorization_servers"] == [issuer.url]
    assert described["scopes_supported"] == ["company:read"]
    refusals = running.records("refusal")
    codes = [record["decision"]["reasons"][0]["code"] for record in refusals]
    assert codes == ["token_audience", "insufficient_scope"]
    assert running.records("intent") == []


def test_identity_check_explains_the_same_token_and_never_prints_it(
    running: RunningGateway, issuer: IssuerServer
) -> None:
    """Issue: step by numbered step, accepted or refused."""
    good = token(issuer, running)
    settings = str(running.folder / starter.SETTINGS_NAME)
    for text, status, word in ((good, 0, "accepted"), (good[:-8] + "AAAAAAAA", 1, "refused")):
        command = [sys.executable, "-m", "gateway", "identity", "check", "-", "-s", settings]
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)
        assert done.returncode == status, done.stderr
        assert word in done.stdout
        assert not any(part in done.stdout + done.stderr for part in text.split("."))
