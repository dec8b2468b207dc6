"""What breaks while calls are running: policy engine, disk, gateway, caller. Nothing fails open."""

import asyncio
import json
import os
import resource
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import anyio
import httpx
import pytest

from gateway.evidence.verify import verify
from tests.e2e.gateways import RunningGateway, free_port, gateway
from tests.e2e.processes import CompanyServer, company_server
from tests.e2e.test_denial import call

pytestmark = pytest.mark.e2e

READ = call("read_invoice", {"invoice_id": "INV-1001"})
MODERN_HEADERS = {
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "tools/call",
    "mcp-name": "read_invoice",
}
MODERN_READ = json.loads(json.dumps(READ)) | {
    "params": READ["params"]
    | {
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        }
    }
}
PERMITTED = "permitted"


@pytest.fixture
def company() -> Iterator[CompanyServer]:
    """A company with fresh counts."""
    with company_server() as running:
        yield running


async def ask(agent: httpx.AsyncClient, running: RunningGateway) -> str:
    """Make one read; return `permitted` or the code of its refusal."""
    answer = await agent.post(running.url, json=MODERN_READ)
    document = answer.json()
    if "error" in document:
        error = document["error"]
        return str(error["data"]["code"] if "data" in error else error["code"])
    result = document["result"]
    return str(result["_meta"]["bailiwick/refusal"]["code"]) if result["isError"] else PERMITTED


def agent_of(running: RunningGateway) -> httpx.AsyncClient:
    """Return an HTTP client with the agent's credential."""
    headers = running.bearer() | MODERN_HEADERS
    return httpx.AsyncClient(headers=headers, trust_env=False, timeout=30)


async def until(claim: Callable[[], bool], seconds: float = 10) -> None:
    """Wait until the claim is true; fail if it takes too long."""
    with anyio.fail_after(seconds):
        while not claim():  # noqa: ASYNC110
            # What is waited for happens in another process, which sets no event here.
            await anyio.sleep(0.02)


async def ready(running: RunningGateway) -> bool:
    """Say whether the gateway says that it is ready."""
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(f"{running.base}/-/health/ready")).status_code == 200


async def test_killed_policy_children_deny_until_they_are_back_and_nothing_passes(
    tmp_path, company
):
    """Issue: SIGKILL under load; denied with pdp_*, none passes, service resumes by itself."""
    answers: Counter[str] = Counter()
    with gateway(tmp_path, company.url) as running:
        async with agent_of(running) as agent, anyio.create_task_group() as tasks:
            done = anyio.Event()

            async def load() -> None:
                while not done.is_set():
                    answers[await ask(agent, running)] += 1

            for _ in range(8):
                tasks.start_soon(load)
            for _ in range(4):
                before = answers[PERMITTED]
                await until(lambda before=before: answers[PERMITTED] > before + 10)
                for child in running.policy_children():
                    os.kill(child, signal.SIGKILL)
            after = answers[PERMITTED]
            await until(lambda: answers[PERMITTED] > after + 10)
            done.set()
        refused = sum(count for code, count in answers.items() if code != PERMITTED)
        assert refused > 0
        assert {code for code in answers if code != PERMITTED} <= {"pdp_unavailable", "pdp_timeout"}
        assert company.executed()["read_invoice"] == answers[PERMITTED]
        assert len(running.records("intent")) == answers[PERMITTED]
        assert len(running.records("refusal")) == refused
    assert verify(tmp_path / "evidence").sound


async def test_an_evidence_folder_that_cannot_be_written_refuses_every_call_until_it_can(
    tmp_path, company
):
    """Issue: refused, readiness red, nothing torn; and green again when there is room."""
    with gateway(tmp_path, company.url) as running:
        async with agent_of(running) as agent:
            assert await ask(agent, running) == PERMITTED
            executed = company.executed()
            # From here on every write past the end of the segment fails, as on a full disk.
            size = sum(f.stat().st_size for f in (tmp_path / "evidence").glob("*.jsonl"))
            old = resource.prlimit(running.process_id, resource.RLIMIT_FSIZE, (size, -1))
            for _ in range(3):
                assert await ask(agent, running) == "evidence_unavailable"
            assert not await ready(running)
            assert company.executed() == executed
            resource.prlimit(running.process_id, resource.RLIMIT_FSIZE, old)
            assert await ask(agent, running) == PERMITTED
            assert await ready(running)
    report = verify(tmp_path / "evidence")
    assert report.sound
    assert report.open_intents == 0


@pytest.fixture
def small_disk(tmp_path) -> Iterator[None]:
    """Put the evidence folder on a file system of 1 MB."""
    folder = tmp_path / "evidence"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        if os.environ.get("CI") == "true":
            pytest.fail("a 1 MB file system cannot be mounted, and CI must try it")
        pytest.skip("mounting a 1 MB file system needs root; the size limit above is still tried")
    yield
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.usefixtures("small_disk")
async def test_a_full_file_system_refuses_calls_and_leaves_nothing_torn(tmp_path, company):
    """Issue: a 1 MB file system."""
    space = "[evidence.space]\nreserve_bytes = 65536\n"
    with gateway(tmp_path, company.url, extra=space) as running:
        async with agent_of(running) as agent:
            answers = Counter([await ask(agent, running) for _ in range(600)])
        executed = company.executed()["read_invoice"]
        assert not await ready(running)
    assert answers[PERMITTED] > 50
    assert answers["evidence_unavailable"] > 50
    assert set(answers) <= {PERMITTED, "evidence_unavailable", "executed_unrecorded"}
    assert executed == answers[PERMITTED] + answers["executed_unrecorded"]
    report = verify(tmp_path / "evidence")
    assert report.sound
    assert report.calls == executed


async def test_a_gateway_killed_in_mid_call_closes_the_call_as_orphaned_on_restart(tmp_path):
    """Design §7: never silently."""
    async with silent_upstream() as (url, arrived, _):
        with gateway(tmp_path, url) as running:
            async with agent_of(running) as agent, anyio.create_task_group() as tasks:

                async def leave_hanging() -> None:
                    with pytest.raises(httpx.HTTPError):
                        await ask(agent, running)

                tasks.start_soon(leave_hanging)
                await until(arrived.is_set)
                running.kill()
    with gateway(tmp_path, "http://127.0.0.1:9/mcp") as running:
        (intent,), (outcome,) = running.records("intent"), running.records("outcome")
        assert (outcome["call_id"], outcome["status"]) == (intent["call_id"], "orphaned")
    assert verify(tmp_path / "evidence").sound


async def test_a_caller_that_leaves_cancels_the_upstream_before_its_head_has_come(tmp_path):
    """mcp.md §3.1: closing the stream is the cancel; the outcome says `abandoned`."""
    async with silent_upstream() as (url, arrived, left):
        with gateway(tmp_path, url) as running:
            async with agent_of(running) as agent:
                with anyio.move_on_after(5) as scope:
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(ask, agent, running)
                        await until(arrived.is_set)
                        tasks.cancel_scope.cancel()
                assert not scope.cancelled_caught
                await until(left.is_set, 1)
            await until(lambda: bool(running.records("outcome")))
            assert [fields["status"] for fields in running.records("outcome")] == ["abandoned"]


async def test_an_upstream_that_is_not_there_is_a_502_with_an_outcome(tmp_path):
    """Design §7: 502, reached or not, and the outcome says so."""
    with gateway(tmp_path, f"http://127.0.0.1:{free_port()}/mcp") as running:
        async with agent_of(running) as agent:
            answer = await agent.post(running.url, json=MODERN_READ)
        assert answer.status_code == 502
        assert answer.json()["error"]["data"]["code"] == "upstream_failed"
        (outcome,) = running.records("outcome")
        assert (outcome["status"], outcome["error"]) == ("upstream_failed", "upstream_failed")


def test_a_gateway_whose_evidence_folder_is_no_folder_does_not_start(tmp_path):
    """House: no evidence, no service; said in one sentence."""
    (tmp_path / "evidence").write_text("")
    with pytest.raises(AssertionError), gateway(tmp_path, "http://127.0.0.1:9/mcp"):
        pass


@asynccontextmanager
async def silent_upstream() -> AsyncIterator[tuple[str, asyncio.Event, asyncio.Event]]:
    """Run an upstream that takes requests and says nothing; yield what it notices."""
    arrived, left = asyncio.Event(), asyncio.Event()

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(65536):
            arrived.set()
        while await reader.read(65536):
            pass
        left.set()
        writer.close()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/mcp", arrived, left
