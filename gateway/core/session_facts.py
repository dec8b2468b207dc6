"""What is known of a workload's conduct so far, for rules over chains of calls.

The session of these facts is not MCP's: it is everything that one workload, for one person, did
until it was idle for long enough, so that what taints it cannot be shed by opening another
connection, starting another instance or leaving the person out of the token. Facts only ever widen
within a session. Does not store them (`gateway/ledger/`).
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal

from gateway.core.call import ToolCall
from gateway.core.canonical import canonical, digest
from gateway.core.claims import Claims
from gateway.core.decision import Permit

Mark = tuple[Literal["system", "domain", "untrusted"], str]
"""Something that a call brings into its session, for good: what it is, and its name."""
UNTRUSTED: Final[Mark] = ("untrusted", "")
_REMEMBERED: Final = 4096


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """The `context.session` of the decision input."""

    calls: int = 0
    """Tool calls of the session, the one that is being decided included, refused ones too."""
    calls_in_minute: int = 0
    """Those of the last 60 s, the one that is being decided included."""
    systems: frozenset[str] = frozenset()
    """Systems on which a tool was permitted."""
    domains_read: frozenset[str] = frozenset()
    """Data domains of which a read was permitted."""
    untrusted_input: bool = False
    """Whether a permitted call may have brought the words of strangers."""

    @classmethod
    def of(cls, calls: int, calls_in_minute: int, marks: frozenset[Mark]) -> "SessionFacts":
        """Return the facts that these marks stand for."""
        return cls(
            calls,
            calls_in_minute,
            frozenset(name for kind, name in marks if kind == "system"),
            frozenset(name for kind, name in marks if kind == "domain"),
            UNTRUSTED in marks,
        )

    def as_context(self) -> dict[str, Any]:
        """Return the `context.session` of the decision input."""
        return {
            "calls": self.calls,
            "calls_in_minute": self.calls_in_minute,
            "systems": sorted(self.systems),
            "domains_read": sorted(self.domains_read),
            "untrusted_input": self.untrusted_input,
        }


@dataclass(frozen=True, slots=True)
class Scope:
    """Where the facts of a session are kept: digests, each of which has facts of its own."""

    noted: tuple[str, str]
    """What a call does is noted under both: its own, and that of all the workload does."""
    read: tuple[str, ...]
    """What was noted under these, taken together, is the session."""

    @property
    def keys(self) -> tuple[str, ...]:
        """All of them, each once."""
        return tuple(dict.fromkeys((*self.noted, *self.read)))


def scope_of(claims: Claims) -> Scope:
    """Return the session to which a call with these claims belongs.

    Two people's sessions are apart. What a workload does for nobody belongs to everybody's, and a
    call for nobody has everything as its session: a workload always holds a credential of its own,
    and would otherwise shed a person's taint by using that. Its instance is left out for the same
    reason: a new one starts with a restart.
    """
    return _scope(claims.issuer, claims.subject, claims.tenant, claims.on_behalf_of)


@lru_cache(_REMEMBERED)
def _scope(issuer: str, subject: str, tenant: str | None, person: str | None) -> Scope:
    def key(part: str, of: str | None = None) -> str:
        about = {"issuer": issuer, "subject": subject, "tenant": tenant, "part": part, "of": of}
        return digest(canonical(about))

    everything, alone = key("everything"), key("for nobody")
    if person is None:
        return Scope((alone, everything), (everything,))
    own = key("for a person", person)
    return Scope((own, everything), (own, alone))


def counts(call: ToolCall) -> bool:
    """Say whether a call is one of those that sessions count."""
    return call.action == "tools/call"


def brought(call: ToolCall, permit: Permit) -> frozenset[Mark]:
    """Return what a permitted call brings into its session.

    Reads bring their domain: what else returns some of it may be classed a read as well. Requests
    about the protocol itself bring nothing, unless policy says that strangers speak in the answer.
    """
    marks: set[Mark] = {UNTRUSTED} if permit.untrusted_input else set()
    if call.resource_type != "server":
        marks.add(("system", call.system))
        if permit.classification.effect == "read":
            marks.add(("domain", permit.classification.domain))
    return frozenset(marks)
