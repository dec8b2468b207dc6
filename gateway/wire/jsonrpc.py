"""JSON-RPC 2.0 messages, read strictly: one request, notification or response.

A batch is refused at every revision, since some servers execute it and some do not. A member that a
lenient parser could take for another one is refused (`core.canonical.refuse_lookalikes`).
https://www.jsonrpc.org/specification. Does not know MCP's methods.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from gateway.core.call import RequestId
from gateway.core.canonical import parse_object, refuse_lookalikes
from gateway.core.errors import MalformedMessage

INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
REFUSED: Final = -31001
"""Our own code; JSON-RPC and MCP reserve -32768 … -32000."""

MAX_METHOD: Final = 256
MAX_ID: Final = 256
"""Longest method and id, in characters: records show them, also of callers without a credential."""

_ENVELOPE: Final = ("jsonrpc", "id", "method", "params", "result", "error")


@dataclass(frozen=True, slots=True)
class Message:
    """One JSON-RPC message."""

    kind: Literal["request", "notification", "response"]
    id: RequestId | None
    method: str
    """Empty for a response."""
    params: Mapping[str, Any]


def read(body: bytes) -> Message:
    """Read a message.

    Raises:
        MalformedMessage: the bytes are not exactly one message.
    """
    envelope = parse_object(body)
    refuse_lookalikes(envelope, _ENVELOPE, "the message")
    if envelope.get("jsonrpc") != "2.0":
        raise _invalid("jsonrpc_version", 'the member jsonrpc is not "2.0"')
    if "method" in envelope:
        return _call(envelope)
    return _response(envelope)


def _call(envelope: Mapping[str, Any]) -> Message:
    if "result" in envelope or "error" in envelope:
        raise _invalid("jsonrpc_envelope", "a message is a call or a response, not both")
    method, params = envelope["method"], envelope.get("params", {})
    if not isinstance(method, str) or not 0 < len(method) <= MAX_METHOD:
        raise _invalid("jsonrpc_method", "the member method is not a name of bearable length")
    request_id = _id(envelope["id"]) if "id" in envelope else None
    if not isinstance(params, dict):
        raise MalformedMessage(
            "params is not an object",
            code="jsonrpc_params",
            rpc_code=INVALID_PARAMS,
            rpc_id=request_id,
        )
    return Message("notification" if request_id is None else "request", request_id, method, params)


def _response(envelope: Mapping[str, Any]) -> Message:
    if ("result" in envelope) == ("error" in envelope) or "id" not in envelope:
        raise _invalid("jsonrpc_envelope", "a message has a method, or an id and one result")
    return Message("response", _id(envelope["id"]), "", {})


def _id(value: Any) -> RequestId:
    if isinstance(value, bool) or not isinstance(value, str | int) or len(str(value)) > MAX_ID:
        raise _invalid("jsonrpc_id", "the member id is not a short text or an integer")
    return value


def _invalid(code: str, message: str) -> MalformedMessage:
    return MalformedMessage(message, code=code, rpc_code=INVALID_REQUEST)
