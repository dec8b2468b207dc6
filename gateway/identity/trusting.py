"""Who is believed, as settings say: the authenticator with its keys, and their renewal behind it.

Each issuer and each trust domain has keys of its own; there is no pool. Keys in files are read once
before anything starts, so that a missing one is seen then; an issuer on the network that does not
answer keeps nobody else out. Does not verify.
"""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.background import background
from gateway.core.canonical import digest
from gateway.core.errors import IssuerUnavailable, SettingsError
from gateway.identity import dev, discovery, fetching, workload_api
from gateway.identity.access_token import AccessTokenVerifier, TrustedIssuer
from gateway.identity.authenticator import Verifiers, WorkloadAuthenticator
from gateway.identity.dpop import DPoPVerifier
from gateway.identity.jwks import read_key_set
from gateway.identity.kept import Kept
from gateway.identity.remembered import Remembered
from gateway.identity.sightings import Sightings
from gateway.identity.svid import SVIDVerifier, TrustedDomain
from gateway.identity.transaction import TransactionVerifier
from gateway.identity.trust_bundle import BundleReader
from gateway.identity.x509_svid import X509Verifier
from gateway.ports import Clock
from gateway.settings import DevIssuer, Issuer, Settings, TrustDomain

NONCE_KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Trust:
    """Everybody who is believed, with their keys."""

    issuers: tuple[TrustedIssuer, ...]
    domains: tuple[TrustedDomain, ...]


async def trust(settings: Settings, clock: Clock) -> Trust:
    """Return whom these settings believe; keys in files are read.

    Raises:
        IssuerUnavailable, SettingsError: a file is missing or holds no keys.
    """
    issuers = [_issuer(issuer, settings.identity.state, clock) for issuer in settings.issuers]
    if own := settings.dev_issuer:
        dev.public_keys(own)
        keys = Kept(own.issuer, _own_keys(own), read_key_set, clock)
        issuers.append(TrustedIssuer(dev.limits(own), keys))
    domains = [_domain(domain, settings.identity.state, clock) for domain in settings.trust_domains]
    for issuer in issuers:
        if issuer.limits.keys_in_file:
            await issuer.keys.get()
    for domain in domains:
        if domain.limits.bundle is not None:
            await domain.bundle.get()
    return Trust(tuple(issuers), tuple(domains))


@asynccontextmanager
async def renewed(trust: Trust) -> AsyncIterator[None]:
    """Keep everybody's keys fresh while the block runs."""
    async with background() as tasks:
        for issuer in trust.issuers:
            tasks.start_soon(issuer.keys.run)
        for domain in trust.domains:
            tasks.start_soon(domain.bundle.run)
        yield


def authenticator(settings: Settings, trust: Trust, clock: Clock) -> WorkloadAuthenticator:
    """Return the authenticator of these settings."""
    identity = settings.identity
    verifiers = Verifiers(
        AccessTokenVerifier(trust.issuers, clock),
        SVIDVerifier(trust.domains, clock),
        X509Verifier(
            {domain.limits.name: domain for domain in trust.domains},
            {terminator.name: terminator for terminator in settings.terminators},
            clock,
        ),
        DPoPVerifier(identity.dpop, clock, secrets.token_bytes(NONCE_KEY_BYTES)),
        TransactionVerifier(trust.issuers, clock),
    )
    return WorkloadAuthenticator(
        verifiers,
        settings.systems,
        Remembered(identity.remembered_tokens, clock),
        Sightings(identity, clock),
        clock,
    )


def _issuer(issuer: Issuer, state: Path | None, clock: Clock) -> TrustedIssuer:
    if issuer.jwks is None:
        fetch = discovery.discovered(
            issuer.issuer, ca_file=issuer.ca_file, token_file=issuer.token_file
        )
    elif "://" in issuer.jwks:
        fetch = fetching.from_url(issuer.jwks, ca_file=issuer.ca_file, token_file=issuer.token_file)
    else:
        fetch = fetching.from_file(issuer.jwks)
    # A file that is there needs no copy, which would hide that it is gone.
    saved = None if issuer.keys_in_file else _saved(state, issuer.issuer)
    return TrustedIssuer(issuer, Kept(issuer.issuer, fetch, read_key_set, clock, saved))


def _domain(domain: TrustDomain, state: Path | None, clock: Clock) -> TrustedDomain:
    if domain.bundle is not None:
        fetch = fetching.from_file(str(domain.bundle))
    elif domain.bundle_endpoint is not None:
        fetch = fetching.from_url(domain.bundle_endpoint, ca_file=domain.ca_file)
    else:
        fetch = workload_api.from_workload_api(domain.workload_api or "", domain.name)
    name = f"spiffe://{domain.name}"
    saved = None if domain.bundle is not None else _saved(state, name)
    return TrustedDomain(domain, Kept(name, fetch, BundleReader(), clock, saved))


def _saved(state: Path | None, name: str) -> Path | None:
    """Return the file that an issuer's last good keys are kept in; its name tells nothing."""
    return state / f"{digest(name.encode()).removeprefix('sha256:')}.json" if state else None


def _own_keys(own: DevIssuer) -> Callable[[], Awaitable[bytes]]:
    async def fetch() -> bytes:
        try:
            return dev.public_keys(own)
        except SettingsError as exc:
            raise IssuerUnavailable(exc.message) from exc

    return fetch
