"""`[systems.NAME]`, `[ledger]`: what agents may touch, and where what outlives a call is kept.

Does not open what it names.
"""

from pathlib import Path
from typing import Literal

from msgspec import Struct

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


class Ledger(Struct, frozen=True, forbid_unknown_fields=True):
    """`[ledger]`: where approval requests, sessions and the policy's last revision are kept."""

    path: Path
    session_idle_seconds: Seconds = 3600.0
    """After how long without a call the facts of a workload's session are forgotten."""
