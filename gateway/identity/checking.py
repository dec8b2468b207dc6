"""Explaining: the authenticator's own verification of one credential, step by numbered step.

Nothing is checked here that a call would not be checked for, or in another way: it is the same code
with its steps noted. What is returned holds no credential. Does not record, and calls nobody but
the issuers.
"""

from dataclasses import dataclass
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.core.call import Request
from gateway.core.claims import Claims, Credential, ForwardedCertificate
from gateway.core.errors import GatewayError, SettingsError
from gateway.identity.steps import Steps
from gateway.identity.trusting import authenticator, trust
from gateway.ports import Clock
from gateway.settings import Settings


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of a credential: claims or a failure, and the steps until then."""

    steps: tuple[tuple[str, str], ...]
    """Title and finding; the last one is the one that failed, if there is a failure."""
    claims: Claims | None
    failure: GatewayError | None


async def check(settings: Settings, credential: Credential, system: str, clock: Clock) -> Checked:
    """Verify a credential as if it came with a call to `system`.

    Raises:
        IssuerUnavailable, SettingsError: whom settings believe cannot be read.
    """
    whole = authenticator(settings, await trust(settings, clock), clock)
    steps = Steps()
    request = Request(
        method="POST",
        target=f"/{system}/mcp",
        system=system,
        headers={},
        body=b"",
        source="127.0.0.1",
        credential=credential,
        resource=settings.server.resource(system),
    )
    claims, failure = None, None
    try:
        claims = await whole.explained(request, steps)
    except GatewayError as refused:
        failure = refused
    return Checked(tuple(steps.taken), claims, failure)


def forwarded(pem: bytes, terminator: str) -> ForwardedCertificate:
    """Return a client certificate as a terminator would forward it; more in the file is its chain.

    Raises:
        SettingsError: there is no certificate in it.
    """
    try:
        chain = x509.load_pem_x509_certificates(pem)
    except ValueError as exc:
        raise SettingsError("the file holds no PEM certificate") from exc
    leaf, *issuers = (quote(one.public_bytes(Encoding.PEM).decode(), safe="") for one in chain)
    parts = [f"Hash={chain[0].fingerprint(SHA256()).hex()}", f'Cert="{leaf}"']
    if issuers:
        parts.append(f'Chain="{leaf}{"".join(issuers)}"')
    return ForwardedCertificate(";".join(parts), terminator)
