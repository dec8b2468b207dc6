"""The whole authenticator over issuers and trust domains of a test's choice."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from gateway.identity.authenticator import WorkloadAuthenticator
from gateway.identity.issued import TrustedIssuer
from gateway.identity.svid import TrustedDomain
from gateway.identity.trusting import Trust, authenticator
from gateway.ports import Clock
from gateway.settings import (
    Evidence,
    Identity,
    Ledger,
    Policy,
    Settings,
    System,
    Terminator,
)

NOWHERE = Path("/nowhere")


def authenticating(
    issuers: Sequence[TrustedIssuer] = (),
    domains: Sequence[TrustedDomain] = (),
    *,
    clock: Clock,
    terminators: Sequence[Terminator] = (),
    systems: Mapping[str, System] | None = None,
    identity: Identity | None = None,
) -> WorkloadAuthenticator:
    """Return the authenticator that settings with these parts would give."""
    settings = Settings(
        policy=Policy(NOWHERE),
        evidence=Evidence(NOWHERE, NOWHERE),
        ledger=Ledger(NOWHERE),
        identity=identity or Identity(),
        terminators=tuple(terminators),
        systems=dict(systems or {}),
    )
    return authenticator(settings, Trust(tuple(issuers), tuple(domains)), clock)
