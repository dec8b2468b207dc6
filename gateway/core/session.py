"""Sessions of upstreams: which one a request names, which one an answer opens, and whose it is.

A session id (`Mcp-Session-Id`; MCP transports, revisions up to 2025-11-25) says to what a request
belongs, never who sends it: it is only ever compared with the owner that was verified. In a newer
revision the header means nothing, but it is forwarded too and an upstream may still honour it, so
it is held to the same rule. Does not store sessions (`gateway/ledger/`) and does not end them.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.core.call import Request
from gateway.core.canonical import canonical, digest
from gateway.core.claims import Claims
from gateway.core.errors import SessionUnknown

HEADER: Final = "mcp-session-id"
CONFLICT: Final = "session_conflict"
"""Code of a failure to open a session whose id is another owner's."""
IDLE_NS: Final = 7 * 24 * 3600 * 1_000_000_000
"""How long a session is remembered after its last use, in nanoseconds."""


@dataclass(frozen=True, slots=True)
class Session:
    """A session and its owner, as they may be stored."""

    system: str
    """Who issued the id: it means nothing elsewhere."""
    id_digest: str
    """SHA-256 of the id: who has the id itself may be taken for its owner by an upstream."""
    issuer: str
    subject: str
    owner: str
    """Digest of issuer, subject, tenant and the person acted for."""


def session_of(system: str, session_id: str, claims: Claims) -> Session:
    """Return a session of a system as one of these claims' owner."""
    # An agent that serves several people has a session for each: what an upstream remembers of one
    # person's must not answer another, and the agent alone is none of them. Actors further out are
    # left out: they are history, which a new token may tell at another length.
    owner = {
        "issuer": claims.issuer,
        "subject": claims.subject,
        "tenant": claims.tenant,
        "on_behalf_of": claims.on_behalf_of,
    }
    return Session(
        system,
        hashlib.sha256(session_id.encode("utf-8", "surrogatepass")).hexdigest(),
        claims.issuer,
        claims.subject,
        digest(canonical(owner)),
    )


def named(request: Request) -> str | None:
    """Return the session id that a request carries."""
    return request.headers.get(HEADER)


def refuse_unowned(request: Request, owned: bool) -> None:
    """Refuse a request that names a session, unless that is the caller's own.

    Raises:
        SessionUnknown: whether there is such a session is nobody's business but its owner's.
    """
    if named(request) is not None and not owned:
        raise SessionUnknown("no session of this id was opened by this subject on this system")


def opened(request: Request, headers: Mapping[str, str]) -> str | None:
    """Return the id of the session that an answer with these headers opens, if it does.

    An empty id is none: clients take it for none, and as a request's it is unknown.
    """
    session_id = headers.get(HEADER)
    return session_id if session_id and session_id != named(request) else None
