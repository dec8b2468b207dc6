"""The demo: a real agent, a real gateway and a real company server, each its own process.

The agent tries one call that is allowed and three that are not; then the evidence is verified, and
verified again with one byte flipped. Everything is made in one folder, which is kept to look at.
Does not print: `gateway/cli/demo.py` does.
"""

import shutil
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anyio
import httpx2
from anyio.abc import Process
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

from gateway import settings, starter
from gateway.core.canonical import parse_object
from gateway.core.errors import GatewayError
from gateway.evidence.report import Report
from gateway.evidence.segments import segments
from gateway.evidence.verify import verify
from gateway.identity.dev import mint

AGENT: Final = "spiffe://bailiwick.example/agent/billing"
START_SECONDS: Final = 20.0
REFUND: Final = {
    "invoice_id": "INV-1001",
    "amount": 120,
    "currency": "EUR",
    "reason": "delivered twice",
}
SCRIPT: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("read_invoice", {"invoice_id": "INV-1001"}),
    ("delete_customer", {"customer_id": "C-001"}),
    ("wire_transfer", {"to": "DE00 0000 0000", "amount": 9000}),
    ("refund_payment", REFUND),
)
"""What the agent tries, in this order."""


@dataclass(frozen=True, slots=True)
class Step:
    """One call of the agent, and what became of it."""

    tool: str
    arguments: dict[str, Any]
    answer: str
    """`permitted`, `held` or `denied`."""
    why: str
    """The stable code of a refusal; empty for a permitted call."""
    call_id: str
    executed: int
    """How often the company ran this tool, by its own count."""


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demo did."""

    folder: Path
    steps: list[Step]
    report: Report
    tampered: Report
    """The verification of a copy in which one byte was flipped."""


async def run(folder: Path) -> Demo:
    """Play the demo in `folder`.

    Raises:
        GatewayError: one of its processes did not start.
    """
    async with _started("gateway.demo.company", "--port", "0") as company:
        port = _free_port()
        toml, *_ = starter.create(folder, company["url"], port)
        async with _started("gateway", "serve", "--json", "--settings", str(toml)) as gateway:
            token = _token(settings.load(toml))
            steps = await _play(gateway["systems"]["company"], token, company["url"])
    evidence = folder / "evidence"
    return Demo(folder, steps, verify(evidence), _verify_tampered(evidence, folder / "tampered"))


def _token(loaded: settings.Settings) -> str:
    if loaded.dev_issuer is None:
        raise GatewayError("the demo's settings have no development issuer")
    return mint(loaded.dev_issuer, AGENT, 300, time.time_ns() // 1_000_000_000)


async def _play(url: str, token: str, company: str) -> list[Step]:
    bearer = {"Authorization": f"Bearer {token}"}
    steps = []
    async with (
        httpx2.AsyncClient(trust_env=False) as auditor,
        httpx2.AsyncClient(trust_env=False, headers=bearer) as http,
        Client(streamable_http_client(url, http_client=http)) as agent,
    ):
        for tool, arguments in SCRIPT:
            result = await agent.call_tool(tool, arguments)
            executed = await auditor.get(company.removesuffix("/mcp") + "/executed")
            refusal = (result.meta or {}).get("bailiwick/refusal", {})
            steps.append(_step(tool, arguments, refusal, executed.json().get(tool, 0)))
    return steps


def _step(tool: str, arguments: dict[str, Any], refusal: dict[str, Any], executed: int) -> Step:
    answer = "permitted"
    if refusal:
        answer = "held" if "approval_id" in refusal else "denied"
    why, call_id = refusal.get("code", ""), refusal.get("call_id", "")
    return Step(tool, arguments, answer, why, call_id, executed)


def _verify_tampered(evidence: Path, copy: Path) -> Report:
    """Flip one byte in the middle of a copy of the log, and verify the copy."""
    shutil.copytree(evidence, copy)
    segment = segments(copy)[0]
    data = bytearray(segment.read_bytes())
    at = data.index(b"read_invoice")
    data[at] ^= 0x01
    segment.write_bytes(data)
    return verify(copy)


@asynccontextmanager
async def _started(module: str, *arguments: str) -> AsyncIterator[dict[str, Any]]:
    """Run a module of ours until the block ends; yield the JSON line that says it is ready."""
    command = [sys.executable, "-m", module, *arguments]
    async with await anyio.open_process(command, stderr=None) as process:
        try:
            yield await _ready_line(process, module)
        finally:
            process.terminate()
            await process.wait()


async def _ready_line(process: Process, module: str) -> dict[str, Any]:
    if process.stdout is None:
        raise GatewayError(f"{module} has no output to read")
    line = b""
    try:
        with anyio.fail_after(START_SECONDS):
            while not line.endswith(b"\n"):
                line += await process.stdout.receive()
    except (TimeoutError, anyio.EndOfStream) as exc:
        raise GatewayError(f"{module} did not start") from exc
    return parse_object(line)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
