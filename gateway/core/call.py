"""One intercepted call: the admitted request, and what it asks for once it is decoded.

`ToolCall.request.body` is the one copy of the body: what is decided on, recorded and sent are these
bytes. Does not parse: `gateway/wire/` makes these values from bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from gateway.core.canonical import digest
from gateway.core.claims import NOTHING, Credential

RequestId = str | int
CREDENTIAL_HEADERS: Final = frozenset(
    {"authorization", "dpop", "txn-token", "x-forwarded-client-cert"}
)
"""Headers that become a request's `credential`; they are neither recorded nor forwarded."""
Era = Literal["legacy", "modern"]
"""MCP's two wire forms: handshake and sessions (… 2025-11-25), or stateless (2026-07-28)."""


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request that passed admission: bounded, unambiguous, not yet understood."""

    method: str
    target: str
    """Origin-form target as received (RFC 9112 §3.2.1); its digest where it is absurdly long."""
    system: str
    """First path segment: the system that the caller addresses; may be unknown."""
    headers: Mapping[str, str] = field(repr=False)
    """Lower-case names; a name that came twice does not get here, nor does the credential."""
    body: bytes = field(repr=False)
    source: str
    """Address of the peer, for evidence."""
    credential: Credential = field(default=NOTHING, repr=False)
    resource: str = ""
    """Canonical URI of the route: the audience of tokens (RFC 8707), the `htu` of DPoP proofs."""

    def __post_init__(self) -> None:
        """Refuse to hold what every record would show."""
        if not self.headers.keys().isdisjoint(CREDENTIAL_HEADERS):
            raise ValueError("the credential is not one of a request's headers")

    @property
    def path(self) -> str | None:
        """The path that the target stands for, spelled plainly; None if it was not admitted."""
        return f"/{self.system}/mcp" if self.system else None

    @property
    def body_digest(self) -> str:
        """SHA-256 of the body as received, which is also what is forwarded."""
        return digest(self.body)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """What one request asks for, in the terms of the decision input."""

    request: Request
    action: str
    """Protocol method (`tools/call`, …), or `stream/open`, `session/end`, `response`."""
    resource_type: str
    """`tool`, `resource`, `prompt` or `server`."""
    name: str
    """Name of the tool, prompt or resource; empty for the server itself."""
    arguments: Mapping[str, Any]
    era: Era
    protocol_version: str | None
    rpc_id: RequestId | None
    """JSON-RPC id; None when no response is expected."""
    other: Mapping[str, Any] = field(default_factory=dict)
    """What else the message says, such as the answers of a later round; it is forwarded too.

    Of a client's response: its `id`, and `result` or `error`.
    """
    meta: Mapping[str, Any] = field(default_factory=dict)
    """`_meta` of the request: what the caller says about the call. Claims, for evidence only."""
    protocol: Literal["mcp"] = "mcp"

    @property
    def system(self) -> str:
        """The system addressed."""
        return self.request.system

    def as_action(self) -> dict[str, Any]:
        """Return the `action` of the decision input."""
        return {"name": self.action, "protocol": self.protocol}

    def as_resource(self) -> dict[str, Any]:
        """Return the `resource` of the decision input."""
        return {
            "type": self.resource_type,
            "system": self.system,
            "name": self.name,
            "arguments": dict(self.arguments),
        }
