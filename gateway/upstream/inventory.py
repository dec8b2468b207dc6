"""Asks a live MCP server which tools it offers, for the person who will classify them.

The question goes through the same door as agents' calls (`HTTPUpstream`): our own credential, no
redirects, no proxies, no decompression. All pages or none: half a list would make tools look gone.
Modern first (2026-07-28, stateless); whatever is no answer to that is asked again after
`initialize`. https://modelcontextprotocol.io/specification, basic/transports and server/tools.
Does not call a tool, does not believe what is listed, and does not judge a tool's definition.
"""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import anyio

from gateway.core.call import Request, ToolCall
from gateway.core.canonical import dumps, parse_object
from gateway.core.errors import MalformedMessage, UpstreamError, UpstreamTimeout
from gateway.ports import UpstreamResponse
from gateway.settings import System
from gateway.upstream.http import HTTPUpstream
from gateway.wire.mcp import HEADER_MISMATCH, VERSION_KEY
from gateway.wire.sse import EventSplitter

MODERN: Final = "2026-07-28"
LEGACY: Final = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
"""Revisions with a handshake, newest first; the newest is the one that is proposed."""
_VERSION_HEADER_SINCE: Final = "2025-06-18"
_CAPABILITY_MISSING: Final = -32021
_FINAL: Final = (HEADER_MISMATCH, _CAPABILITY_MISSING)
"""Errors of a modern server; a handshake would not mend them (2026-07-28, transports)."""
_LARGEST_INTEGER: Final = 2**64
"""Schemas say the bounds of 64-bit integers; nobody computes with them here."""
_END_SECONDS: Final = 2.0
_SESSION: Final = re.compile(r"[\x21-\x7e]{1,1024}")
_US: Final = {"name": "bailiwick", "version": "1"}


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a server may answer, over all pages, before it is left."""

    pages: int = 100
    tools: int = 5_000
    bytes: int = 16 * 1024 * 1024
    seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class Inventory:
    """What a server listed."""

    revision: str
    """The revision of MCP that was spoken."""
    tools: tuple[Any, ...]
    """The entries of `tools` as they came, in order; each may be anything that JSON can say."""


async def inventory(name: str, system: System, bounds: Bounds | None = None) -> Inventory:
    """Return every tool that the server lists.

    Raises:
        SettingsError: the credential cannot be read.
        UpstreamError: the server cannot be reached, refuses, goes beyond a bound, or does not
            speak MCP.
    """
    bounds = bounds or Bounds()
    upstream = HTTPUpstream({name: system})
    conversation = _Conversation(upstream, name, bounds)
    try:
        with anyio.fail_after(bounds.seconds):
            return await conversation.tools()
    except TimeoutError as exc:
        raise UpstreamTimeout(f"{system.url}: no list within {bounds.seconds:g} s") from exc
    except UpstreamError as exc:
        raise type(exc)(f"{system.url}: {exc.message}", code=exc.reason_code) from exc
    finally:
        with anyio.move_on_after(_END_SECONDS, shield=True):
            await conversation.end()
            await upstream.aclose()


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    session: str | None
    message: Mapping[str, Any]
    """The JSON-RPC response; empty if none came."""

    @property
    def result(self) -> dict[str, Any] | None:
        result = self.message.get("result")
        return result if isinstance(result, dict) and 200 <= self.status < 300 else None

    @property
    def error(self) -> int | None:
        error = self.message.get("error")
        code = error.get("code") if isinstance(error, dict) else None
        return code if type(code) is int else None

    def refusal(self, method: str) -> UpstreamError:
        """Return why there is no result; what the server says of it is not repeated."""
        if self.status in (401, 403):
            why = f"the server refuses the gateway's credential for it (HTTP {self.status})"
            return UpstreamError(why, code="upstream_refused")
        if self.error is not None:
            why = f"the server refuses {method} (JSON-RPC error {self.error})"
            return UpstreamError(why, code="upstream_refused")
        return _not_mcp(f"HTTP {self.status} to {method}")


class _Conversation:
    """One client's talk with one server. Owns the state that the two eras keep differently."""

    def __init__(self, upstream: HTTPUpstream, name: str, bounds: Bounds) -> None:
        self._upstream, self._name, self._bounds = upstream, name, bounds
        self._revision = MODERN
        self._session: str | None = None
        self._asked = 0
        self._bytes_left = bounds.bytes

    async def tools(self) -> Inventory:
        """Return the whole list."""
        answer = await self._ask("tools/list", {})
        if answer.result is None:
            if answer.status in (401, 403) or answer.error in _FINAL:
                raise answer.refusal("tools/list")
            await self._shake_hands()
            answer = await self._ask("tools/list", {})
        return Inventory(self._revision, tuple([tool async for tool in self._pages(answer)]))

    async def end(self) -> None:
        """End the session, if there is one; a server may not care (405), and then it idles out."""
        if self._session is not None:
            try:
                async with self._upstream.send(self._call("session/end", b"", "DELETE")):
                    self._session = None
            except UpstreamError:
                return

    async def _shake_hands(self) -> None:
        self._revision = LEGACY[0]
        proposal = {"protocolVersion": LEGACY[0], "capabilities": {}, "clientInfo": _US}
        answer = await self._ask("initialize", proposal)
        if answer.result is None:
            raise answer.refusal("initialize")
        revision, session = answer.result.get("protocolVersion"), answer.session
        if session is not None and not _SESSION.fullmatch(session):
            raise _not_mcp("a session id that no header can hold")
        self._session = session
        if revision not in LEGACY:
            raise _not_mcp("a revision of MCP that is not known here")
        self._revision = str(revision)
        await self._notify("notifications/initialized")

    async def _pages(self, answer: _Answer) -> AsyncIterator[Any]:
        cursors: set[str] = set()
        count = 0
        while True:
            if answer.result is None:
                raise answer.refusal("tools/list")
            tools, cursor = answer.result.get("tools"), answer.result.get("nextCursor")
            if not isinstance(tools, list) or not isinstance(cursor, str | None):
                raise _not_mcp("a page that is no list of tools")
            count += len(tools)
            if count > self._bounds.tools:
                raise _beyond(f"{self._bounds.tools} tools")
            for tool in tools:
                yield tool
            if cursor is None:
                return
            if cursor in cursors:
                raise _not_mcp("pages that go round in a circle")
            cursors.add(cursor)
            if len(cursors) >= self._bounds.pages:
                raise _beyond(f"{self._bounds.pages} pages")
            answer = await self._ask("tools/list", {"cursor": cursor})

    async def _ask(self, method: str, params: Mapping[str, Any]) -> _Answer:
        self._asked += 1
        if self._revision == MODERN:
            meta = {VERSION_KEY: MODERN, "io.modelcontextprotocol/clientCapabilities": {}}
            params = {**params, "_meta": meta}
        message = {"jsonrpc": "2.0", "id": self._asked, "method": method, "params": params}
        async with self._upstream.send(self._call(method, dumps(message))) as response:
            return _Answer(
                response.status,
                response.headers.get("mcp-session-id"),
                await self._message(response),
            )

    async def _notify(self, method: str) -> None:
        message = dumps({"jsonrpc": "2.0", "method": method})
        async with self._upstream.send(self._call(method, message)) as response:
            if not 200 <= response.status < 300:
                raise _not_mcp(f"HTTP {response.status} to {method}")

    def _call(self, method: str, body: bytes, verb: str = "POST") -> ToolCall:
        headers = {"accept": "application/json, text/event-stream"}
        if body:
            headers["content-type"] = "application/json"
        if self._revision == MODERN:
            headers["mcp-method"] = method
        if self._revision >= _VERSION_HEADER_SINCE and method != "initialize":
            headers["mcp-protocol-version"] = self._revision
        if self._session is not None:
            headers["mcp-session-id"] = self._session
        target = f"/{self._name}/mcp"
        request = Request(verb, target, self._name, headers, body, "")
        return ToolCall(request, method, "server", "", {}, "legacy", self._revision, None)

    async def _message(self, response: UpstreamResponse) -> Mapping[str, Any]:
        media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        succeeded = 200 <= response.status < 300
        if media_type == "text/event-stream" and succeeded:
            return await self._from_events(response)
        body = b"".join([chunk async for chunk in self._bounded(response)])
        if not succeeded or not body:
            return _leniently(body, self._asked)
        if media_type != "application/json":
            raise _not_mcp("neither JSON nor an event stream")
        message = _strictly(body)
        if not _answers(message, self._asked):
            raise _not_mcp("a message that answers nothing")
        return message

    async def _from_events(self, response: UpstreamResponse) -> Mapping[str, Any]:
        splitter = EventSplitter()
        async for chunk in self._bounded(response):
            for event in splitter.feed(chunk):
                # A priming event has empty data (2025-11-25); notifications are not for us.
                if (data := event.data()) and _answers(message := _strictly(data), self._asked):
                    return message
        raise _not_mcp("an event stream without the answer")

    async def _bounded(self, response: UpstreamResponse) -> AsyncIterator[bytes]:
        async for chunk in response.body:
            self._bytes_left -= len(chunk)
            if self._bytes_left < 0:
                raise _beyond(f"{self._bounds.bytes} bytes")
            yield chunk


def _answers(message: Mapping[str, Any], asked: int) -> bool:
    if message.get("jsonrpc") != "2.0" or "method" in message:
        return False
    if "error" in message and message.get("id") is None:
        return True  # JSON-RPC 2.0 §5: an error whose request's id could not be read.
    return message.get("id") == asked and ("result" in message) != ("error" in message)


def _strictly(data: bytes) -> Mapping[str, Any]:
    try:
        return parse_object(data, max_integer=_LARGEST_INTEGER)
    except MalformedMessage as exc:
        raise _not_mcp(f"what is not one JSON object ({exc.reason_code})") from exc


def _leniently(data: bytes, asked: int) -> Mapping[str, Any]:
    """Return the error that came with a bad status, if it is one; pages of HTML come too."""
    try:
        message = parse_object(data)
    except MalformedMessage:
        return {}
    return message if _answers(message, asked) else {}


def _not_mcp(what: str) -> UpstreamError:
    return UpstreamError(f"this is no MCP answer: {what}", code="upstream_not_mcp")


def _beyond(bound: str) -> UpstreamError:
    return UpstreamError(f"the list goes beyond {bound}", code="upstream_list_too_large")
