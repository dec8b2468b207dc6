"""Trust bundles and JWT-SVIDs made at test time; good ones, unless a test says otherwise.

Authorities and X.509-SVIDs are made by `certificates.py`.
"""

import json
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.core.claims import Claims
from gateway.core.errors import CredentialRejected
from gateway.identity import jws
from gateway.identity.kept import Kept
from gateway.identity.steps import Steps
from gateway.identity.svid import SVIDVerifier, TrustedDomain
from gateway.identity.trust_bundle import BundleReader
from gateway.identity.verified import Verified
from gateway.settings import TrustDomain
from tests.fakes_clock import FakeClock
from tests.unit.identity.certificates import DOMAIN, WORKLOAD
from tests.unit.identity.keys import KEYS, NOW, Private, jwk, key_set, sign
from tests.unit.identity.tokens import RESOURCE, Publisher


def jwt_key(name: str = "p256", kid: str | None = None, **members: Any) -> dict[str, Any]:
    """Return the bundle's entry of one of `KEYS`; its kid is its name unless given."""
    return jwk(KEYS[name], kid or name, **({"use": "jwt-svid"} | members))


def x509_key(certificate: x509.Certificate, **members: Any) -> dict[str, Any]:
    """Return the bundle's entry of an authority."""
    chain = [b64encode(certificate.public_bytes(Encoding.DER)).decode()]
    return {"kty": "EC", "use": "x509-svid", "x5c": chain} | members


ALL_JWT_KEYS = key_set(*(jwt_key(name) for name in KEYS))


def svid_claims(*without: str, **members: Any) -> dict[str, Any]:
    """Return good claims with members left out or replaced."""
    good = {"sub": WORKLOAD, "aud": [RESOURCE], "iat": NOW - 10, "exp": NOW + 290}
    return {name: value for name, value in (good | members).items() if name not in without}


def jwt_svid(
    claims: Mapping[str, Any] | None = None,
    name: str = "p256",
    algorithm: str = "ES256",
    private: Private | None = None,
    **header: Any,
) -> str:
    """Return a JWT-SVID, signed by one of `KEYS`; `kid=None` leaves the kid out."""
    members = {"alg": algorithm, "kid": name, "typ": "JWT"} | header
    if members["kid"] is None:
        del members["kid"]
    return sign(
        json.dumps(members).encode(),
        json.dumps(svid_claims() if claims is None else claims).encode(),
        private or KEYS[name],
        algorithm,
    )


def trusted_domain(
    bundle: bytes | Publisher = ALL_JWT_KEYS,
    name: str = DOMAIN,
    clock: FakeClock | None = None,
    **limits: Any,
) -> TrustedDomain:
    """Return a trust domain whose bundle can be had."""
    publisher = bundle if isinstance(bundle, Publisher) else Publisher(bundle)
    kept = Kept(f"spiffe://{name}", publisher, BundleReader(), clock or FakeClock(NOW * 10**9))
    return TrustedDomain(TrustDomain(name, Path("unused"), **limits), kept)


async def verified(
    text: str, *domains: TrustedDomain, resource: str = RESOURCE, steps: Steps | None = None
) -> Verified:
    """Verify at the last moment of NOW."""
    clock = FakeClock(NOW * 10**9 + 999_999_999)
    verifier = SVIDVerifier(domains or (trusted_domain(),), clock)
    with anyio.fail_after(5):
        return await verifier.verify(jws.read(text), resource, steps or Steps())


async def authenticated(text: str, *domains: TrustedDomain) -> Claims:
    """Return the claims of a good JWT-SVID."""
    return (await verified(text, *domains)).current()


async def rejected(text: str, *domains: TrustedDomain) -> str:
    """Return the code of the rejection."""
    with pytest.raises(CredentialRejected) as caught:
        await verified(text, *domains)
    return caught.value.reason_code
