"""What is refused never reaches the upstream, and is on disk as fully as a permit."""

from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from tests.e2e import drive, node
from tests.e2e.gateways import RunningGateway, gateway
from tests.e2e.processes import CompanyServer, company_server
from tests.e2e.test_company import HARMFUL

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def company() -> Iterator[CompanyServer]:
    """One company; what it has seen is what this module lets through."""
    with company_server() as running:
        yield running


@pytest.fixture(scope="module")
def denying(company, tmp_path_factory) -> Iterator[RunningGateway]:
    """A gateway that denies everything."""
    with gateway(tmp_path_factory.mktemp("deny"), company.url, "deny_all") as running:
        yield running


@pytest.fixture(scope="module")
def shipped(company, tmp_path_factory) -> Iterator[RunningGateway]:
    """A gateway with the shipped bundle."""
    with gateway(tmp_path_factory.mktemp("shipped"), company.url) as running:
        yield running


def keys_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the names in a record, nested, without its values."""
    return {
        name: keys_of(value) if isinstance(value, Mapping) else None
        for name, value in document.items()
        if name not in ("headers", "arguments", "claims")
    }


def call(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return a tools/call message."""
    params = {"name": tool, "arguments": arguments}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}


@pytest.mark.parametrize(
    ("transcript", "mode"),
    [
        pytest.param(drive.transcript, "legacy", id="python-legacy"),
        pytest.param(drive.transcript, "auto", id="python-auto"),
        pytest.param(node.transcript, "legacy", id="typescript-legacy"),
        pytest.param(node.transcript, "modern", id="typescript-modern"),
        pytest.param(node.transcript, "sdk1", id="typescript-sdk1"),
    ],
)
async def test_a_client_that_is_denied_everything_cannot_connect(
    company, denying, transcript, mode
):
    """House: the handshake is access too."""
    before = company.seen()["requests"]
    with pytest.raises(drive.CannotConnect):
        await transcript(denying.url, mode, token=denying.token(), calls=HARMFUL)
    assert company.seen()["requests"] == before


async def test_under_deny_all_the_upstream_sees_no_call_and_every_refusal_is_recorded(
    company, denying
):
    """Issue: zero `tools/call` upstream, and each refusal on disk."""
    seen, recorded = company.seen()["requests"], len(denying.records("refusal"))
    async with httpx.AsyncClient(headers=denying.bearer(), trust_env=False) as agent:
        for tool, arguments in HARMFUL:
            answer = (await agent.post(denying.url, json=call(tool, arguments))).json()
            assert answer["result"]["isError"] is True
            assert answer["result"]["_meta"]["bailiwick/refusal"]["code"] == "test_denies"
    assert company.seen()["requests"] == seen
    refusals = denying.records("refusal")[recorded:]
    assert [fields["call"]["name"] for fields in refusals] == [tool for tool, _ in HARMFUL]
    assert not denying.records("intent")


async def test_a_refusal_is_recorded_with_the_same_fields_as_a_permit(company, shipped):
    """Issue: every refusal is on disk with the same fields as a permit."""
    async with httpx.AsyncClient(headers=shipped.bearer(), trust_env=False) as agent:
        await agent.post(shipped.url, json=call("read_invoice", {"invoice_id": "INV-1001"}))
        await agent.post(shipped.url, json=call("delete_customer", {"customer_id": "C-17"}))
    permit, refusal = shipped.records("intent")[-1], shipped.records("refusal")[-1]
    assert keys_of(refusal) == keys_of(permit)
    assert refusal["input"]["resource"]["arguments"] == {"customer_id": "C-17"}


@pytest.mark.parametrize(
    ("transcript", "mode"),
    [
        pytest.param(drive.transcript, "legacy", id="python-legacy"),
        pytest.param(drive.transcript, "modern", id="python-modern"),
        pytest.param(node.transcript, "legacy", id="typescript-legacy"),
        pytest.param(node.transcript, "modern", id="typescript-modern"),
        pytest.param(node.transcript, "sdk1", id="typescript-sdk1"),
    ],
)
async def test_a_denied_tool_is_an_error_result_and_the_session_goes_on(
    company, shipped, transcript, mode
):
    """MCP denial table: isError reaches the model in every client, and nothing is torn down."""
    before = company.executed()
    said = await transcript(
        shipped.url,
        mode,
        token=shipped.token(),
        calls=[
            ("delete_customer", {"customer_id": "C-17"}),
            ("wire_transfer", {"to": "DE00", "amount": 1}),
            ("refund_payment", {"invoice_id": "INV-1001", "amount": 20, "currency": "EUR"}),
            ("refund_payment", {"invoice_id": "INV-1001", "amount": 9000, "currency": "EUR"}),
            ("read_invoice", {"invoice_id": "INV-1001"}),
        ],
    )
    *refused, permitted = [outcome["result"] for outcome in said["calls"]]
    codes = [result["_meta"]["bailiwick/refusal"]["code"] for result in refused]
    assert codes == [
        "tool_denied",
        "tool_unclassified",
        "approval_required",
        "argument_out_of_bounds",
    ]
    assert [result["isError"] for result in refused] == [True] * 4
    assert permitted["isError"] is False
    after = company.executed()
    assert after.pop("read_invoice") == before.pop("read_invoice", 0) + 1
    assert after == before


async def test_a_repeated_held_call_joins_the_request_already_open(shipped):
    """Approvals: the same call is the same request; a changed byte is a new one."""
    ids = []
    async with httpx.AsyncClient(headers=shipped.bearer(), trust_env=False) as agent:
        for amount in (31, 31, 32):
            refund = {"invoice_id": "INV-1002", "amount": amount, "currency": "EUR"}
            answer = (await agent.post(shipped.url, json=call("refund_payment", refund))).json()
            ids.append(answer["result"]["_meta"]["bailiwick/refusal"]["approval_id"])
    assert ids[0] == ids[1] != ids[2]


async def test_an_unknown_agent_and_no_agent_get_nothing(company, shipped):
    """House: default deny; a verified workload without a charter may do nothing."""
    seen = company.seen()["requests"]
    message = call("read_invoice", {"invoice_id": "INV-1001"})
    async with httpx.AsyncClient(trust_env=False) as agent:
        stranger = shipped.bearer("spiffe://bailiwick.example/agent/stranger")
        answer = await agent.post(shipped.url, json=message, headers=stranger)
        assert answer.json()["result"]["_meta"]["bailiwick/refusal"]["code"] == "subject_unknown"
        nobody = {k: v for k, v in shipped.bearer().items() if k != "authorization"}
        answer = await agent.post(shipped.url, json=message, headers=nobody)
        metadata = f"{shipped.base}/.well-known/oauth-protected-resource/company/mcp"
        challenge = f'Bearer resource_metadata="{metadata}"'
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, challenge)
        described = (await agent.get(metadata)).json()
        assert described["resource"] == shipped.url
        forged = {**nobody, "authorization": f"Bearer {shipped.token()[:-6]}AAAAAA"}
        answer = await agent.post(shipped.url, json=message, headers=forged)
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "token_signature"
    assert company.seen()["requests"] == seen
    codes = [f["decision"]["reasons"][0]["code"] for f in shipped.records("refusal")[-3:]]
    assert codes == ["subject_unknown", "credential_missing", "token_signature"]
