"""What the pipeline needs from the world, one Protocol each, with its duties.

The pipeline knows these and no adapter; `wiring.py` chooses adapters; `tests/fakes.py` has one fake
a port, held to the same contract suite. Does not implement anything.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.core.approval import Approval, Situation
from gateway.core.call import Request, ToolCall
from gateway.core.claims import Claims
from gateway.core.decision import Decision, Hold, Permit
from gateway.core.record import Receipt


class Clock(Protocol):
    """The time. Nothing below the adapters reads it in any other way."""

    def wall_ns(self) -> int:
        """Return nanoseconds since the Unix epoch, UTC."""
        ...

    def monotonic_ns(self) -> int:
        """Return nanoseconds from an arbitrary start; never goes back."""
        ...


class Authenticator(Protocol):
    """Turns what a request presents into verified claims."""

    async def authenticate(self, request: Request) -> Claims:
        """Verify the request's credential, for the resource it addresses; concurrently usable.

        Nothing else of the request says who the caller is.

        Raises:
            CredentialMissing, CredentialRejected: the caller did not prove who it is.
            InsufficientScope: it did, and its token lacks a scope that the system asks for.
            IssuerUnavailable: the keys needed to check it cannot be had.
        """
        ...


class Ledger(Protocol):
    """What outlives a call: approvals and sessions now; grants and revocations later."""

    async def situate(self, call: ToolCall, claims: Claims, now_ns: int) -> Situation:
        """Return what is known about this exact call by this subject, and about its session.

        A tool call counts as one of its session from here on, whatever becomes of it.

        Raises:
            LedgerUnavailable: it cannot be known.
        """
        ...

    async def hold(
        self, call: ToolCall, claims: Claims, decision: Hold, call_id: str, now_ns: int
    ) -> Approval:
        """Store a request for approval of this exact call, durable when this returns.

        A repeat of a call whose request is still pending joins that request.

        Raises:
            LedgerUnavailable: it could not be stored.
        """
        ...

    async def permitted(
        self, call: ToolCall, claims: Claims, decision: Permit, now_ns: int
    ) -> None:
        """Note what a permitted call brings into its session: system, data domain, taint.

        Durable when this returns, if it is new to the session; called before anything is sent, and
        again while an answer goes on: it keeps the session alive.

        Raises:
            LedgerUnavailable: it could not be noted; the call is not to be sent.
        """
        ...

    async def open_session(self, system: str, session_id: str, claims: Claims, now_ns: int) -> None:
        """Bind a session that an upstream opened to its caller, durable when this returns.

        Binding it again to the same caller changes nothing.

        Raises:
            LedgerUnavailable: it could not be bound; `session_conflict` if it is another's.
        """
        ...

    async def advance_policy(
        self, revision: str, digest: str, now_ns: int, *, reusable: bool
    ) -> None:
        """Remember the revision of a policy that is about to be in force, durably.

        Args:
            revision: of the bundle.
            digest: of the bundle.
            now_ns: nanoseconds since the epoch.
            reusable: whether a revision may come with another content than it had before.

        Raises:
            BundleError: `bundle_older` or `bundle_revision_reused`; it may not be in force.
            LedgerUnavailable: it could not be remembered.
        """
        ...

    def healthy(self) -> bool:
        """Say whether the last use of the store succeeded."""
        ...


class DecisionPoint(Protocol):
    """The PDP: one document in, one decision out."""

    async def decide(self, document: bytes) -> Decision:
        """Decide within the engine's deadline; may be called concurrently.

        The decision carries engine, revision and bundle digest.

        Raises:
            PolicyUnavailable: no answer in time, or no engine.
            PolicyAnswerInvalid: an answer that is not a decision.
        """
        ...

    def healthy(self) -> bool:
        """Say whether a decision could be had now."""
        ...


class EvidenceLog(Protocol):
    """The append-only log; there is one writer a log."""

    async def append(
        self, kind: str, fields: Mapping[str, Any], *, effect: str | None = None
    ) -> Receipt:
        """Append one record; durable on disk when this returns. May be called concurrently.

        Args:
            kind: one of `core.record.KINDS`.
            fields: the record without its envelope; not changed afterwards.
            effect: what the catalogue says the call does (`core.decision.EFFECTS`), None for what
                no catalogue knows. It decides how hard the log tries to make the record last, and
                whether a nearly full disk still takes it.

        Raises:
            EvidenceUnavailable: it is not durable and never will be acknowledged.
        """
        ...

    def latch(self, why: str) -> None:
        """Refuse every further record until restart."""
        ...

    def healthy(self) -> bool:
        """Say whether a record could be made durable now."""
        ...


@dataclass(frozen=True, slots=True)
class UpstreamResponse:
    """An upstream's answer; `body` yields bytes as they arrive and can be read once."""

    status: int
    headers: Mapping[str, str]
    """Lower-case names; only those that may be relayed."""
    body: AsyncIterator[bytes] = field(repr=False)


class Upstream(Protocol):
    """Sends a decided call, once."""

    def send(self, call: ToolCall) -> AbstractAsyncContextManager[UpstreamResponse]:
        """Equip the call with the gateway's own credential and send exactly its bytes.

        Entering sends one request, without redirects or retries, and waits for the response's head;
        leaving ends the exchange at once, also upstream. Cancelling the task does the same.

        Raises:
            UpstreamTimeout, UpstreamError: on entering, or from `body`.
        """
        ...


class Caller(Protocol):
    """The agent's end of the exchange, to which an answer is written."""

    async def start(self, status: int, headers: Mapping[str, str]) -> None:
        """Write the head of the answer."""
        ...

    async def write(self, piece: bytes) -> None:
        """Write part of the body."""
        ...

    async def finish(self, piece: bytes = b"") -> None:
        """Write the last part of the body and end the answer."""
        ...

    async def abort(self) -> None:
        """End the answer so that the caller can see it is not whole."""
        ...
