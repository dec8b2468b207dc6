"""The sample company and the two drivers, with nothing between them.

What the gateway is compared with, so it must hold by itself first.
"""

import json
import socket
from collections.abc import Iterator

import anyio
import pytest

from gateway.demo.company import INVOICES
from tests.e2e import drive, node
from tests.e2e.processes import CompanyServer, company_server

pytestmark = pytest.mark.e2e

LEGACY, MODERN = "2025-11-25", "2026-07-28"
CLIENTS = [
    pytest.param(drive.transcript, "legacy", LEGACY, id="python-legacy"),
    pytest.param(drive.transcript, "modern", MODERN, id="python-modern"),
    pytest.param(drive.transcript, "auto", MODERN, id="python-auto"),
    pytest.param(node.transcript, "legacy", LEGACY, id="typescript-legacy"),
    pytest.param(node.transcript, "modern", MODERN, id="typescript-modern"),
    pytest.param(node.transcript, "sdk1", LEGACY, id="typescript-sdk1"),
]
TOOLS = {
    "list_invoices",
    "read_invoice",
    "list_files",
    "read_file",
    "send_reminder",
    "refund_payment",
    "delete_customer",
    "deploy_service",
    "grant_access",
    "wire_transfer",
    "export_invoices",
}
REFUND = {"invoice_id": "INV-1001", "amount": 20, "currency": "EUR", "reason": "damaged"}
HARMFUL = [
    ("refund_payment", REFUND),
    ("delete_customer", {"customer_id": "C-17"}),
    ("deploy_service", {"service": "shop", "version": "2.1.0"}),
    ("grant_access", {"person": "sam", "role": "admin"}),
    ("wire_transfer", {"to": "DE00 1234", "amount": 9800}),
    ("send_reminder", {"invoice_id": "INV-1003"}),
]


@pytest.fixture(scope="module", autouse=True)
def _clients_installed() -> None:
    node.node_path()


@pytest.fixture(scope="module")
def shared() -> Iterator[CompanyServer]:
    """One company for the tests that do not look at its counts."""
    with company_server() as company:
        yield company


@pytest.fixture
def company() -> Iterator[CompanyServer]:
    """A company with fresh counts."""
    with company_server() as company:
        yield company


@pytest.mark.parametrize(("transcript", "mode", "version"), CLIENTS)
async def test_each_official_client_negotiates_its_era_and_lists_every_tool(
    shared, transcript, mode, version
):
    """MCP 2025-11-25 and 2026-07-28: one endpoint serves both eras."""
    said = await transcript(shared.url, mode)
    assert said["protocolVersion"] == version
    assert {tool["name"] for tool in said["tools"]["result"]["tools"]} == TOOLS
    assert ("ping" in said) == (version == LEGACY)


@pytest.mark.parametrize(("transcript", "mode", "version"), CLIENTS)
async def test_a_known_invoice_is_read_and_an_unknown_one_is_a_tool_error(
    shared, transcript, mode, version
):
    """House: a read answers structured content, a miss answers isError."""
    found, missed, no_tool, _ = (await transcript(shared.url, mode))["calls"]
    assert found["result"]["structuredContent"] == vars(INVOICES["INV-1001"])
    assert found["result"]["isError"] is False
    assert missed["result"]["isError"] is True
    assert no_tool["result"]["isError"] is True


@pytest.mark.parametrize(("transcript", "mode", "version"), CLIENTS)
async def test_an_export_reports_progress_once_an_invoice_and_in_order(
    shared, transcript, mode, version
):
    """MCP progress: every notification arrives before the result, on its request's stream."""
    export = (await transcript(shared.url, mode))["calls"][3]
    assert export["progress"] == [
        {"progress": done, "total": 3, "message": f"exported INV-100{done}"} for done in (1, 2, 3)
    ]
    assert export["result"]["structuredContent"]["exported"] == 3


@pytest.mark.parametrize("mode", ["legacy", "modern", "sdk1"])
async def test_two_typescript_runs_write_the_same_bytes(shared, mode):
    """House: a transcript holds nothing that changes from run to run."""
    assert await node.raw_transcript(shared.url, mode) == await node.raw_transcript(
        shared.url, mode
    )


@pytest.mark.parametrize("mode", ["legacy", "modern", "auto"])
async def test_two_python_runs_write_the_same_transcript(shared, mode):
    """House: a transcript holds nothing that changes from run to run."""
    first = json.dumps(await drive.transcript(shared.url, mode))
    assert json.dumps(await drive.transcript(shared.url, mode)) == first


@pytest.mark.parametrize(("transcript", "mode", "version"), CLIENTS)
async def test_the_bearer_token_goes_on_every_request(company, transcript, mode, version):
    """House: the company saw no request with another authorization, or with none."""
    await transcript(company.url, mode, token="agent-token")
    assert company.seen()["authorizations"] == ["Bearer agent-token"]


@pytest.mark.parametrize(("transcript", "mode", "version"), CLIENTS)
async def test_every_action_is_counted_as_it_arrives_and_as_it_executes(
    company, transcript, mode, version
):
    """House: the counts are what a denial is proved with, so they must move for a permit."""
    said = await transcript(company.url, mode, calls=HARMFUL)
    assert [call["result"]["isError"] for call in said["calls"]] == [False] * len(HARMFUL)
    assert company.executed() == dict.fromkeys((tool for tool, _ in HARMFUL), 1)
    assert company.seen()["tools_call_requests"] == len(HARMFUL)


async def test_a_call_of_an_unknown_tool_is_seen_but_not_executed(company):
    """House: what the SDK turns away has still arrived."""
    await drive.transcript(company.url, "modern", calls=[("no_such_tool", {})])
    assert company.seen()["tools_call_requests"] == 1
    assert company.executed() == {}


@pytest.mark.parametrize(("transcript", "mode", "version"), CLIENTS)
async def test_a_company_that_answers_json_serves_every_client(transcript, mode, version):
    """MCP streamable HTTP: a server may answer JSON instead of an event stream."""
    with company_server("--json-response") as company:
        said = await transcript(company.url, mode, calls=[("list_files", {})])
    assert len(said["calls"][0]["result"]["structuredContent"]["result"]) == 4


@pytest.mark.parametrize(("transcript", "mode", "version"), CLIENTS)
async def test_a_client_that_cannot_connect_says_so(transcript, mode, version):
    """House: a driver fails loudly; an empty transcript would look like a denial."""
    # Bound but not listening, so that nobody else takes the port meanwhile.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/mcp"
        with anyio.fail_after(30), pytest.raises(drive.CannotConnect):
            await transcript(url, mode)
