"""MCP over streamable HTTP, both eras: from an admitted request to a `ToolCall`.

The body decides; a modern routing header that disagrees with it is refused (-32020), since whoever
routes on the header would act on another call. The revision is relayed, never negotiated here.
Spec: https://modelcontextprotocol.io/specification, revisions 2025-03-26 to 2026-07-28.
Does not check `Mcp-Param-*` (that needs the tool's definition) and does not look into results.
"""

import base64
import binascii
import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from gateway.core.call import Era, Request, ToolCall
from gateway.core.canonical import parse_object, refuse_lookalikes
from gateway.core.errors import MalformedMessage
from gateway.wire.jsonrpc import INVALID_PARAMS, INVALID_REQUEST, Message, read

MODERN: Final = frozenset({"2026-07-28"})
"""Revisions without sessions, whose every request carries its own envelope."""
HEADER_MISMATCH: Final = -32020
VERSION_KEY: Final = "io.modelcontextprotocol/protocolVersion"

_NAMED: Final = {
    "tools/call": ("tool", "name"),
    "prompts/get": ("prompt", "name"),
    "resources/read": ("resource", "uri"),
}
"""Methods that name what they touch: resource type, and the member that holds the name."""
_HEADER_NAMED: Final = {method: member for method, (_, member) in _NAMED.items()} | {
    "tasks/get": "taskId",
    "tasks/update": "taskId",
    "tasks/cancel": "taskId",
}
"""Methods whose `Mcp-Name` mirrors a member of params (2026-07-28, transports)."""
MAX_NAME: Final = 2048
"""Longest name of a tool or prompt, or URI of a resource, in characters."""
_NOT_OTHER: Final = ("arguments", "_meta")
_ENCODED: Final = re.compile(r"=\?base64\?(.*)\?=\Z")
_PARAMS: Final = (
    "name",
    "arguments",
    "uri",
    "_meta",
    "task",
    "taskId",
    "inputResponses",
    "requestState",
)


def decode(request: Request) -> ToolCall:
    """Read what an admitted request asks for.

    Raises:
        MalformedMessage: the body is not one message, or says something else than the headers.
    """
    version = request.headers.get("mcp-protocol-version")
    era: Era = "modern" if version in MODERN else "legacy"
    if request.method != "POST":
        if request.body:
            raise MalformedMessage("GET and DELETE carry no body", code="body_unexpected")
        action = "stream/open" if request.method == "GET" else "session/end"
        return ToolCall(request, action, "server", "", {}, era, version, None)
    message = read(request.body)
    refuse_lookalikes(message.params, _PARAMS, "params")
    _check_headers(request.headers, message, era)
    if message.kind == "response":
        said = parse_object(request.body)
        other: dict[str, Any] = {
            name: said[name] for name in ("id", "result", "error") if name in said
        }
        return ToolCall(request, "response", "server", "", {}, era, version, None, other)
    return _call(request, message, era, version)


def _call(request: Request, message: Message, era: Era, version: str | None) -> ToolCall:
    params, meta = message.params, message.params.get("_meta", {})
    if message.method not in _NAMED:
        arguments = {key: value for key, value in params.items() if key != "_meta"}
        return ToolCall(
            request, message.method, "server", "", arguments, era, version, message.id, meta=meta
        )
    resource_type, member = _NAMED[message.method]
    name = params.get(member)
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME:
        raise _params_refused(message, f"params.{member} is not a name of bearable length")
    arguments = params.get("arguments", {})
    if not isinstance(arguments, dict):
        raise _params_refused(message, "params.arguments is not an object")
    # `_meta` stands apart: it carries progress tokens, which differ in every repeat.
    other = {key: value for key, value in params.items() if key not in (member, *_NOT_OTHER)}
    return ToolCall(
        request,
        message.method,
        resource_type,
        name,
        arguments,
        era,
        version,
        message.id,
        other,
        meta,
    )


def _params_refused(message: Message, why: str) -> MalformedMessage:
    return MalformedMessage(why, code="jsonrpc_params", rpc_code=INVALID_PARAMS, rpc_id=message.id)


def _check_headers(headers: Mapping[str, str], message: Message, era: Era) -> None:
    meta = message.params.get("_meta", {})
    if not isinstance(meta, dict):
        raise _params_refused(message, "params._meta is not an object")
    claimed = meta.get(VERSION_KEY)
    if era == "legacy":
        # A modern body under a legacy header would be two different calls to two readers.
        if isinstance(claimed, str) and claimed in MODERN:
            raise _mismatch(message, "MCP-Protocol-Version")
        # These revisions need no routing header; one that came must still tell the truth.
        _check_routing(headers, message, headers.keys() & {"mcp-method", "mcp-name"})
        return
    if message.kind == "response":
        raise MalformedMessage(
            "this revision has no client responses",
            code="jsonrpc_envelope",
            rpc_code=INVALID_REQUEST,
        )
    if claimed is not None and claimed != headers["mcp-protocol-version"]:
        raise _mismatch(message, "MCP-Protocol-Version")
    _check_routing(headers, message, {"mcp-method", "mcp-name"})


def _check_routing(headers: Mapping[str, str], message: Message, wanted: Collection[str]) -> None:
    if "mcp-method" in wanted and headers.get("mcp-method") != message.method:
        raise _mismatch(message, "Mcp-Method")
    member = _HEADER_NAMED.get(message.method)
    if member and "mcp-name" in wanted:
        name = _header_text(headers.get("mcp-name"))
        if name is None or name != message.params.get(member):
            raise _mismatch(message, "Mcp-Name")


def _mismatch(message: Message, header: str) -> MalformedMessage:
    return MalformedMessage(
        f"the header {header} does not say what the body says",
        code="header_mismatch",
        rpc_code=HEADER_MISMATCH,
        rpc_id=message.id,
    )


def _header_text(value: str | None) -> str | None:
    """Decode `=?base64?…?=`, which spells names that a header cannot hold; None if it is bad."""
    encoded = _ENCODED.match(value) if value is not None else None
    if encoded is None:
        return value
    try:
        return base64.b64decode(encoded[1], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
