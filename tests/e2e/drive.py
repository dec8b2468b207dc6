"""Drives an MCP server with the official Python client and writes one JSON transcript.

    python -m tests.e2e.drive <url> <legacy|modern|auto> [--token T] [--calls JSON]

The twin of `typescript/drive.mjs`: same members, and nothing in it that changes from run to run.
`auto` asks `server/discover` first and falls back to the handshake. `modern` adopts 2026-07-28
without asking anything, so it cannot fail to connect: what is wrong shows in every outcome, and the
server is known only by the `discover` that is asked afterwards.
Judges nothing: a refusal is written down like an answer.
"""

import argparse
import json
import sys
from collections.abc import Awaitable
from typing import Any

import anyio
import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import DiscoverRequest, DiscoverResult, EmptyResult, Implementation, PingRequest
from pydantic import BaseModel

MODERN = "2026-07-28"
MODES = {"legacy": "legacy", "modern": MODERN, "auto": "auto"}
READ_SECONDS = 60
DEFAULT_CALLS: list[tuple[str, dict[str, Any]]] = [
    ("read_invoice", {"invoice_id": "INV-1001"}),
    ("read_invoice", {"invoice_id": "INV-9999"}),
    ("no_such_tool", {}),
    ("export_invoices", {"count": 3}),
]


class CannotConnect(Exception):
    """The client never got as far as a call; the message is what it said."""


async def transcript(
    url: str,
    mode: str,
    token: str | None = None,
    calls: list[tuple[str, dict[str, Any]]] | None = None,
) -> dict[str, Any]:
    """Drive `url` in `mode` (`legacy`, `modern` or `auto`); return what was said.

    Raises:
        CannotConnect: Nobody answered, or the handshake was refused.
    """
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    identity = Implementation(name="bailiwick-e2e", version="1.0.0")
    try:
        async with httpx2.AsyncClient(headers=headers, timeout=READ_SECONDS) as http:
            transport = streamable_http_client(url, http_client=http)
            async with Client(transport, mode=MODES[mode], client_info=identity) as client:
                return await _converse(client, calls)
    except MCPError as refused:
        raise CannotConnect(f"{refused.error.code}: {refused.error.message}") from refused
    except ExceptionGroup as failed:
        # A broken connection ends the transport's task group, and every call with it.
        raise CannotConnect(repr(failed.exceptions)) from failed


async def _converse(
    client: Client, calls: list[tuple[str, dict[str, Any]]] | None
) -> dict[str, Any]:
    said: dict[str, Any] = {"protocolVersion": client.protocol_version}
    modern = client.protocol_version == MODERN
    if calls is None:
        if modern:
            # Not session.discover: once a version is adopted, it answers without asking.
            asked = client.session.send_request(DiscoverRequest(), DiscoverResult)
            said["discover"] = await _outcome(asked)
        said["serverInfo"] = _plain(client.server_info)
        said["capabilities"] = _plain(client.server_capabilities)
        said["instructions"] = client.instructions
        said["tools"] = await _outcome(client.list_tools())
        if not modern:
            # Not Client.send_ping: it warns that the method is gone from the modern era.
            ping = client.session.send_request(PingRequest(), EmptyResult)
            said["ping"] = await _outcome(ping)
    wanted = DEFAULT_CALLS if calls is None else calls
    said["calls"] = [await _call(client, *call) for call in wanted]
    return said


async def _call(client: Client, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    heard: list[dict[str, Any]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append({"progress": progress, "total": total, "message": message})

    outcome = await _outcome(client.call_tool(name, arguments, progress_callback=hear))
    return {"tool": name, "arguments": arguments, **outcome, "progress": heard}


async def _outcome(answer: Awaitable[BaseModel]) -> dict[str, Any]:
    try:
        return {"result": _plain(await answer)}
    except MCPError as refused:
        return {"error": _plain(refused.error)}
    except Exception as failed:  # whatever the client makes of the answer belongs in the transcript
        return {"error": {"code": type(failed).__name__, "message": str(failed)}}


def _plain(value: BaseModel | None) -> Any:
    if value is None:
        return None
    return value.model_dump(mode="json", by_alias=True, exclude_none=True)


def main() -> int:
    """Write the transcript to stdout; 1 when the server cannot be reached."""
    parser = argparse.ArgumentParser(prog="tests.e2e.drive")
    parser.add_argument("url")
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("--token")
    parser.add_argument("--calls", type=json.loads, help='[["tool", {"argument": 1}], …]')
    options = parser.parse_args()
    try:
        said = anyio.run(transcript, options.url, options.mode, options.token, options.calls)
    except CannotConnect as failed:
        sys.stderr.write(f"cannot connect to {options.url}: {failed}\n")
        return 1
    sys.stdout.write(json.dumps(said, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
