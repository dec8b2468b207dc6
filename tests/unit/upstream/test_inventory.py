import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from gateway.core.errors import SettingsError, UpstreamError, UpstreamTimeout
from gateway.settings import System
from gateway.upstream.inventory import LEGACY, MODERN, Bounds, Inventory, inventory
from tests.peers import Exchange, Peer, answers, chunk, peer, response, stream_head

Said = Mapping[str, Any]
Server = Callable[[Said, Mapping[str, str]], bytes]
"""Answers a message, of which the headers are given too."""
TOOLS = [{"name": "a"}, {"name": "b"}]


def said(message: Said, *headers: str, status: str = "200 OK", **members: Any) -> bytes:
    """Return the response that holds this result, under another head."""
    body = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": members}).encode()
    return response(body, *headers, status=status)


def result(message: Said, **members: Any) -> bytes:
    """Return the response that holds this result."""
    return said(message, **members)


def error(message: Said, code: int, status: str = "200 OK") -> bytes:
    """Return the response that holds this error."""
    said = {"jsonrpc": "2.0", "id": message["id"], "error": {"code": code, "message": "no"}}
    return response(json.dumps(said).encode(), status=status)


def accepted() -> bytes:
    """Return the answer to a notification (MCP, transports)."""
    return response(b"", status="202 Accepted")


async def ask(
    server: Server, system: Mapping[str, Any] | None = None, **bounds: Any
) -> tuple[Inventory, Peer]:
    """Ask a server that answers so, and return what it listed and what it received."""

    async def answering(exchange: Exchange) -> bool:
        headers = dict(exchange.received.headers)
        body = exchange.received.body
        await exchange.send(server(json.loads(body) if body else {}, headers))
        return True

    async with peer(answering) as listening:
        with anyio.fail_after(10):
            made = System(listening.url, **(system or {}))
            return await inventory("crm", made, Bounds(**bounds)), listening


def modern(message: Said, headers: Mapping[str, str]) -> bytes:
    """Answer as a server of 2026-07-28 does."""
    return result(message, tools=TOOLS, resultType="complete", ttlMs=0, cacheScope="private")


class Legacy:
    """A server with a handshake and a session; `revision` is what it negotiates."""

    def __init__(
        self,
        revision: str = LEGACY[0],
        refusal: str = "400 Bad Request",
        session: str = "s-1",
        accepts: bool = True,
    ) -> None:
        self.revision = revision
        self.refusal = refusal
        self.session = session
        self.accepts = accepts
        self.initialized = False
        self.ended = False

    def __call__(self, message: Said, headers: Mapping[str, str]) -> bytes:
        """Answer one message."""
        if not message:
            self.ended = headers["mcp-session-id"] == self.session
            return response(b"", status="405 Method Not Allowed")
        if message["method"] == "initialize":
            assert "mcp-protocol-version" not in headers
            head = ("Content-Type: application/json", f"Mcp-Session-Id: {self.session}")
            return said(message, *head, protocolVersion=self.revision, capabilities={})
        if headers.get("mcp-session-id") != self.session:
            return error(message, -32600, self.refusal)
        version = self.revision if self.revision >= "2025-06-18" else None
        assert headers.get("mcp-protocol-version") == version
        if message["method"] == "notifications/initialized":
            self.initialized = self.accepts
            return accepted() if self.accepts else response(b"", status="400 Bad Request")
        return result(message, tools=TOOLS) if self.initialized else error(message, -32600)


async def test_a_modern_server_is_asked_without_a_handshake() -> None:
    """MCP 2026-07-28, transports: one POST, its envelope in headers and `_meta`."""
    found, asked = await ask(modern)
    assert found == Inventory(MODERN, tuple(TOOLS))
    (received,) = asked.requests
    message = json.loads(received.body)
    assert message["method"] == "tools/list"
    assert message["params"] == {
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientCapabilities": {},
        }
    }
    headers = dict(received.headers)
    assert headers["mcp-protocol-version"] == MODERN
    assert headers["mcp-method"] == "tools/list"
    assert headers["accept"] == "application/json, text/event-stream"


@pytest.mark.parametrize("revision", LEGACY)
@pytest.mark.parametrize("refusal", ["400 Bad Request", "404 Not Found", "200 OK"])
async def test_a_server_with_sessions_is_asked_after_the_handshake(
    revision: str, refusal: str
) -> None:
    """MCP 2025-11-25, lifecycle and transports: initialize, initialized, session, DELETE."""
    server = Legacy(revision, refusal)
    found, asked = await ask(server)
    assert found == Inventory(revision, tuple(TOOLS))
    assert server.ended
    methods = [json.loads(one.body)["method"] if one.body else one.line for one in asked.requests]
    assert methods == [
        "tools/list",
        "initialize",
        "notifications/initialized",
        "tools/list",
        "DELETE /mcp HTTP/1.1",
    ]


async def test_every_page_is_read_in_order() -> None:
    """MCP, pagination: opaque cursors, the empty one too; none is the end."""
    pages = {None: ("a", ""), "": ("b", "x"), "x": ("c", None)}

    def server(message: Said, headers: Mapping[str, str]) -> bytes:
        name, cursor = pages[message["params"].get("cursor")]
        more = {} if cursor is None else {"nextCursor": cursor}
        return result(message, tools=[{"name": name}], **more)

    found, _ = await ask(server)
    assert [tool["name"] for tool in found.tools] == ["a", "b", "c"]


async def test_an_answer_may_come_as_events_among_others() -> None:
    """MCP, transports: a priming event, notifications, then the response; then we leave."""

    async def answering(exchange: Exchange) -> bool:
        message = json.loads(exchange.received.body)
        told = {"jsonrpc": "2.0", "method": "notifications/message", "params": {}}
        answer = {"jsonrpc": "2.0", "id": message["id"], "result": {"tools": TOOLS}}
        await exchange.send(stream_head("Text/Event-Stream; charset=utf-8"))
        for data in (b"", json.dumps(told).encode(), json.dumps(answer).encode()):
            await exchange.send(chunk(b"id: 1\ndata: " + data + b"\n\n"))
        await exchange.left()  # the stream stays open until the client goes
        return False

    async with peer(answering) as listening:
        with anyio.fail_after(10):
            found = await inventory("crm", System(listening.url))
    assert found == Inventory(MODERN, tuple(TOOLS))


async def test_the_credential_of_the_system_is_put_on(tmp_path: Path) -> None:
    """Issue: as `upstream/credentials.py` does."""
    (tmp_path / "credential").write_text("our-own\n")
    _, asked = await ask(Legacy(), {"credential_file": tmp_path / "credential"})
    assert {one.values("authorization")[0] for one in asked.requests} == {"Bearer our-own"}


async def test_a_credential_that_cannot_be_read_is_a_matter_of_settings(tmp_path: Path) -> None:
    """House: before anybody is asked."""
    with pytest.raises(SettingsError):
        await inventory("crm", System("http://127.0.0.1:1/mcp", credential_file=tmp_path / "no"))


REFUSALS: Mapping[str, tuple[Server, str]] = {
    "credential missing": (
        lambda message, headers: response(b"<html>", status="401 Unauthorized"),
        "upstream_refused",
    ),
    "credential of too little": (
        lambda message, headers: error(message, -1, "403 Forbidden"),
        "upstream_refused",
    ),
    "a modern error that a handshake would not mend": (
        lambda message, headers: error(message, -32021, "400 Bad Request"),
        "upstream_refused",
    ),
    "no such method in either era": (
        lambda message, headers: error(message, -32601),
        "upstream_refused",
    ),
    "a web page": (
        lambda message, headers: response(b"<html>", "Content-Type: text/html"),
        "upstream_not_mcp",
    ),
    "a page that is missing": (
        lambda message, headers: response(b"<html>", status="404 Not Found"),
        "upstream_not_mcp",
    ),
    "a redirect": (
        lambda message, headers: response(b"", "Location: /other", status="307 Elsewhere"),
        "upstream_not_mcp",
    ),
    "nothing": (lambda message, headers: accepted(), "upstream_not_mcp"),
    "no JSON": (lambda message, headers: response(b"{"), "upstream_not_mcp"),
    "a key twice": (
        lambda message, headers: response(b'{"jsonrpc":"2.0","id":1,"id":1,"result":{}}'),
        "upstream_not_mcp",
    ),
    "a batch": (lambda message, headers: response(b"[]"), "upstream_not_mcp"),
    "an answer to something else": (
        lambda message, headers: response(b'{"jsonrpc":"2.0","id":99,"result":{"tools":[]}}'),
        "upstream_not_mcp",
    ),
    "a result that is no list": (
        lambda message, headers: result(message, tools={}),
        "upstream_not_mcp",
    ),
    "a cursor that is no text": (
        lambda message, headers: result(message, tools=[], nextCursor=7),
        "upstream_not_mcp",
    ),
    "pages in a circle": (
        lambda message, headers: result(message, tools=[], nextCursor="x"),
        "upstream_not_mcp",
    ),
    "events without an answer": (
        lambda message, headers: response(b"data: {}\n\n", "Content-Type: text/event-stream"),
        "upstream_not_mcp",
    ),
    "a revision that nobody knows": (Legacy("2023-01-01"), "upstream_not_mcp"),
    "a session that no header can hold": (Legacy(session="s 1"), "upstream_not_mcp"),
    "a handshake that is not taken": (Legacy(accepts=False), "upstream_not_mcp"),
    "JSON that is said to be a web page": (
        lambda message, headers: said(message, "Content-Type: text/html", tools=[]),
        "upstream_not_mcp",
    ),
    "a result of a failure": (
        lambda message, headers: said(message, status="500 Oh", tools=[]),
        "upstream_not_mcp",
    ),
    "an error to nobody in particular": (
        lambda message, headers: error({"id": None}, -32700),
        "upstream_refused",
    ),
}


@pytest.mark.parametrize(("server", "code"), REFUSALS.values(), ids=REFUSALS)
async def test_what_is_no_list_of_tools_is_said_in_a_sentence(server: Server, code: str) -> None:
    """Issue: clear errors: 401, not MCP; nothing of the server's text is repeated."""
    with pytest.raises(UpstreamError) as refused:
        await ask(server)
    assert refused.value.reason_code == code
    assert refused.value.message.startswith("http://127.0.0.1:")
    assert "html" not in refused.value.message


@pytest.mark.parametrize(
    ("status", "code"),
    [("401 Unauthorized", -1), ("403 Forbidden", -1), ("400 Bad Request", -32020)],
    ids=["401", "403", "header mismatch"],
)
async def test_a_refusal_that_a_handshake_would_not_mend_is_final(status: str, code: int) -> None:
    """MCP 2026-07-28, transports: a recognised error of a modern server is its answer."""
    asked = []

    def server(message: Said, headers: Mapping[str, str]) -> bytes:
        asked.append(message["method"])
        return error(message, code, status)

    with pytest.raises(UpstreamError):
        await ask(server)
    assert asked == ["tools/list"]


async def test_a_cursor_that_is_no_text_is_not_sent_back() -> None:
    """MCP, pagination: a cursor is a text."""
    with pytest.raises(UpstreamError, match="no list of tools"):
        await ask(lambda message, headers: result(message, tools=[], nextCursor=7))


async def test_a_server_that_is_not_there_is_named() -> None:
    """Issue: cannot connect."""
    with pytest.raises(UpstreamError, match=r"http://127\.0\.0\.1:1/mcp: the upstream cannot be"):
        await inventory("crm", System("http://127.0.0.1:1/mcp"))


@pytest.mark.parametrize(
    ("bounds", "beyond"),
    [({"pages": 3}, "3 pages"), ({"tools": 3}, "3 tools"), ({"bytes": 200}, "200 bytes")],
    ids=["pages", "tools", "bytes"],
)
async def test_a_list_beyond_a_bound_is_no_list(bounds: dict[str, Any], beyond: str) -> None:
    """Issue: bounds; half a list would make tools look gone."""

    def endless(message: Said, headers: Mapping[str, str]) -> bytes:
        return result(message, tools=[{"name": "a"}], nextCursor=str(message["id"]))

    with pytest.raises(UpstreamError, match=f"goes beyond {beyond}") as refused:
        await ask(endless, **bounds)
    assert refused.value.reason_code == "upstream_list_too_large"


async def test_a_server_that_does_not_answer_is_left() -> None:
    """Issue: deadline; also in the middle of an answer."""

    async def hang(exchange: Exchange) -> bool:
        await exchange.send(stream_head())
        await exchange.left()
        return False

    async with peer(hang) as listening:
        with anyio.fail_after(5), pytest.raises(UpstreamTimeout, match=r"no list within 0\.2 s"):
            await inventory("crm", System(listening.url), Bounds(seconds=0.2))


async def test_a_peer_that_hangs_up_is_no_traceback() -> None:
    """House: an adapter translates what its client raises."""
    async with peer(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", keep=False)) as gone:
        with anyio.fail_after(10), pytest.raises(UpstreamError):
            await inventory("crm", System(gone.url))
