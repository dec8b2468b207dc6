"""What ties a call to the rest of a run: trace context, ids, and who the client says it is.

All of it is the caller's word: kept, bounded, never decided on. Header and `_meta` may both carry
a trace (W3C Trace Context, https://www.w3.org/TR/trace-context/; MCP SEP-414 for `_meta`); both are
kept, and `trace_mismatch` says whether they name different traces. Does not start spans.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from gateway.core.call import Request, ToolCall
from gateway.core.canonical import digest

MAX_CLAIMED: Final = 256
"""Longest claimed text in a record, in characters; nobody may fill the disk with claims."""
MAX_TRACESTATE: Final = 512
"""Longest `tracestate`, in characters: what every party should propagate (§3.3.1.5)."""
PARENT_CALL: Final = "bailiwick/parent-call"
"""`_meta` key: id of the call on whose behalf this one is made."""
RUN: Final = "bailiwick/run"
"""`_meta` key: id of the agent's run."""
PROMPT_DIGEST: Final = "bailiwick/prompt-digest"
"""`_meta` key: digest of the prompt that led to the call."""

_VERSION: Final = "io.modelcontextprotocol/protocolVersion"
_CLIENT: Final = "io.modelcontextprotocol/clientInfo"
_TASK: Final = "io.modelcontextprotocol/related-task"
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?\Z")


def correlation(request: Request, call: ToolCall | None) -> dict[str, Any]:
    """Return the `correlation` of a record; what the caller did not say is null."""
    meta: Mapping[str, Any] = call.meta if call else {}
    trace = {
        "traceparent": claimed(request.headers.get("traceparent")),
        "tracestate": claimed(request.headers.get("tracestate"), MAX_TRACESTATE),
        "meta_traceparent": claimed(meta.get("traceparent")),
        "meta_tracestate": claimed(meta.get("tracestate"), MAX_TRACESTATE),
    }
    return {
        **trace,
        "trace_mismatch": _mismatch(trace["traceparent"], trace["meta_traceparent"]),
        "rpc_id": call.rpc_id if call else None,
        "task": _task(call) if call else None,
        "parent_call": claimed(meta.get(PARENT_CALL)),
        "run": claimed(meta.get(RUN)),
        "prompt_digest": claimed(meta.get(PROMPT_DIGEST)),
        "protocol_version": _version(call) if call else None,
        "client_info": _client(call) if call else None,
    }


def claimed(value: Any, longest: int = MAX_CLAIMED) -> str | None:
    """Return a claimed text, of a long one only its digest; None for what is not text.

    A cut would leave the half of a secret that redaction does not know for one.
    """
    if not isinstance(value, str):
        return None
    return value if len(value) <= longest else digest(value.encode("utf-8", "surrogatepass"))


def _mismatch(header: str | None, meta: str | None) -> bool | None:
    """Say whether both name different traces; None if there are not two to compare.

    A client that opens a span of its own for the request has another parent id in its header, so
    only the trace ids must agree; what has no trace id must agree as a whole.
    """
    if header is None or meta is None:
        return None
    ids = [match[1] if (match := _TRACEPARENT.match(text)) else text for text in (header, meta)]
    return ids[0] != ids[1]


def _task(call: ToolCall) -> str | None:
    if call.resource_type == "server" and "taskId" in call.arguments:
        return claimed(call.arguments["taskId"])
    related = call.meta.get(_TASK)
    return claimed(related.get("taskId")) if isinstance(related, dict) else None


def _version(call: ToolCall) -> str | None:
    """Return the revision in use: of the header, or else of the handshake."""
    if call.protocol_version is not None:
        return call.protocol_version
    said = call.arguments.get("protocolVersion") if call.action == "initialize" else None
    return claimed(said if said is not None else call.meta.get(_VERSION))


def _client(call: ToolCall) -> dict[str, str | None] | None:
    said = call.arguments.get("clientInfo") if call.action == "initialize" else None
    info = said if said is not None else call.meta.get(_CLIENT)
    if not isinstance(info, dict):
        return None
    return {"name": claimed(info.get("name")), "version": claimed(info.get("version"))}
