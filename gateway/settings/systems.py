"""`[systems.NAME]`, `[policy]`, `[ledger]`: what agents may touch, and what authority rests on.

Does not open what it names.
"""

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from gateway.settings.kinds import Seconds


class System(Struct, frozen=True, forbid_unknown_fields=True):
    """`[systems.NAME]`: something an agent may touch, and how it is spoken to."""

    url: str
    """For MCP, the server's endpoint."""
    protocol: Literal["mcp"] = "mcp"
    credential_file: Path | None = None
    """File that holds the gateway's own bearer token for this system."""
    scopes: tuple[str, ...] = ()
    """OAuth scopes that a token must have for this system, whatever it asks for."""
    proof: Literal["dpop", "certificate", "any"] | None = None
    """Proof of possession that a caller must give: DPoP, a client certificate, or either."""
    head_timeout_seconds: Seconds = 60.0
    """Longest wait for the head of a response; a stream that has begun is not limited by it."""


class Policy(Struct, frozen=True, forbid_unknown_fields=True):
    """`[policy]`: the policy bundle and the engine."""

    bundle: Path
    engine: Literal["embedded"] = "embedded"
    deadline_ms: Annotated[int, Meta(ge=1, le=10_000)] = 250
    processes: Annotated[int, Meta(ge=1, le=64)] = 2


class Ledger(Struct, frozen=True, forbid_unknown_fields=True):
    """`[ledger]`: where approval requests are kept."""

    path: Path
