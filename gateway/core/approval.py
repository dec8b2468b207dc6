"""Approval requests: what a held call leaves behind for a person, and how its repeat is known.

The match digest covers what the caller says about itself and the call, so that a repeat of the very
same call finds the request already open, and any changed byte of an argument is a new request.
Does not store requests (`gateway/ledger/`); approving and consuming them comes with the console.
"""

from dataclasses import dataclass, field

from gateway.core.call import ToolCall
from gateway.core.canonical import canonical, digest
from gateway.core.claims import Claims
from gateway.core.session_facts import SessionFacts


@dataclass(frozen=True, slots=True)
class Approval:
    """An approval request as the ledger holds it."""

    id: str
    state: str
    """`pending`; the other states come with the answers to them."""
    expires_at: int
    """Nanoseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What the ledger knows about a call before it is decided."""

    approval: Approval | None = None
    session_owned: bool = False
    """Whether the session that the request names was opened by this caller (`core.session`)."""
    session: SessionFacts = field(default_factory=SessionFacts)
    """What this workload did so far, this call counted."""


def match_digest(call: ToolCall, claims: Claims) -> str:
    """Return the digest by which a repeat of this call by this subject is recognised."""
    return digest(
        canonical(
            {
                "subject": claims.subject,
                "issuer": claims.issuer,
                "tenant": claims.tenant,
                "on_behalf_of": claims.on_behalf_of,
                "actors": list(claims.actors),
                "action": call.as_action(),
                "resource": call.as_resource(),
                "other": dict(call.other),
            }
        )
    )
