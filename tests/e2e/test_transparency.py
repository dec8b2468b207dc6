"""With everything allowed, no official client can tell the gateway from a direct line.

But for one thing, which is there on purpose: a tool's result carries the receipt of its record.
"""

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from gateway.core.record import leaf_hash
from gateway.evidence.segments import lines, segments
from tests.e2e import drive, node
from tests.e2e.gateways import RunningGateway, gateway
from tests.e2e.processes import CompanyServer, company_server

pytestmark = pytest.mark.e2e

CLIENTS = [
    pytest.param(drive.transcript, "legacy", id="python-legacy"),
    pytest.param(drive.transcript, "modern", id="python-modern"),
    pytest.param(drive.transcript, "auto", id="python-auto"),
    pytest.param(node.transcript, "legacy", id="typescript-legacy"),
    pytest.param(node.transcript, "modern", id="typescript-modern"),
    pytest.param(node.transcript, "sdk1", id="typescript-sdk1"),
]


@pytest.fixture(scope="module", autouse=True)
def _clients_installed() -> None:
    node.node_path()


@pytest.fixture(scope="module", params=[(), ("--json-response",)], ids=["sse", "json"])
def pair(request, tmp_path_factory) -> Iterator[tuple[CompanyServer, RunningGateway]]:
    """A company, and a gateway in front of it that allows everything."""
    with company_server(*request.param) as company:
        folder = tmp_path_factory.mktemp("gateway")
        with gateway(folder, company.url, "allow_all") as running:
            yield company, running


@pytest.mark.parametrize(("transcript", "mode"), CLIENTS)
async def test_a_session_through_the_gateway_reads_like_a_direct_one(pair, transcript, mode):
    """Issue: initialize, list, call, streamed progress and error results, in both eras."""
    company, running = pair
    direct = await transcript(company.url, mode)
    governed = await transcript(running.url, mode, token=running.token())
    assert without_receipts(governed) == direct


def without_receipts(transcript: dict[str, Any]) -> dict[str, Any]:
    """Return the transcript without the receipts of its tool results, each of which must have one.

    A `_meta` that then is empty was not there before; nothing else is touched.
    """
    plain = deepcopy(transcript)
    for call in plain["calls"]:
        if "result" in call:
            meta = call["result"]["_meta"]
            assert meta.pop("bailiwick/receipt").keys() == {"origin", "seq", "leaf_hash"}
            if not meta:
                del call["result"]["_meta"]
    return plain


@pytest.mark.parametrize(("transcript", "mode"), CLIENTS)
async def test_a_clients_receipts_match_the_records_on_disk(pair, transcript, mode):
    """House: the leaf hash is that of the outcome's line, computed anew from its bytes."""
    _, running = pair
    said = await transcript(running.url, mode, token=running.token())
    results = [call["result"] for call in said["calls"] if "result" in call]
    found = [raw for path in segments(running.folder / "evidence") for raw in lines(path)]
    assert results
    for result in results:
        receipt = result["_meta"]["bailiwick/receipt"]
        line = found[receipt["seq"]].removesuffix(b"\n")
        assert leaf_hash(line) == receipt["leaf_hash"]
        record = json.loads(line)
        assert (record["kind"], record["status"]) == ("outcome", "completed")


async def test_the_agents_token_never_reaches_the_upstream(pair):
    """MCP authorization: the client's token MUST NOT be passed through."""
    company, running = pair
    await drive.transcript(running.url, "legacy", token=running.token())
    assert not [seen for seen in company.seen()["authorizations"] if seen]


async def test_every_permitted_call_has_an_intent_and_a_completed_outcome(pair):
    """House: evidence before effect, and an outcome for each."""
    _, running = pair
    await drive.transcript(running.url, "modern", token=running.token())
    intents = [fields["call_id"] for fields in running.records("intent")]
    completed = [f["call_id"] for f in running.records("outcome") if f["status"] == "completed"]
    assert len(set(intents)) == len(intents) > 0
    # A legacy client leaves its standing stream when it goes; that one is `abandoned`.
    streams = {
        f["call_id"] for f in running.records("intent") if f["call"]["action"] != "tools/call"
    }
    assert set(intents) - set(completed) <= streams
