"""Trust bundles from a SPIFFE Workload API, by the package `spiffe` (extra `spiffe`).

The package blocks, and without a deadline for ever, so it runs in a thread and under one. Only what
it fetches is used: bundles are read, and SVIDs verified, by our own rules. Does not verify.
"""

import base64
from collections.abc import Iterable, Mapping
from typing import Any, Final

import anyio
import anyio.to_thread
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from gateway.core.canonical import dumps
from gateway.core.errors import IssuerUnavailable, SettingsError
from gateway.identity.kept import Fetch

DEADLINE_SECONDS: Final = 5.0


def from_workload_api(socket: str, trust_domain: str) -> Fetch:
    """Return a fetch of one trust domain's bundle, as a SPIFFE bundle document.

    Args:
        socket: `unix:///…`, where the Workload API listens.
        trust_domain: whose bundle.

    Raises:
        SettingsError: the extra `spiffe` is not installed.
    """
    try:
        import spiffe
    except ImportError as exc:
        raise SettingsError(
            "workload_api needs the package spiffe: pip install 'bailiwick[spiffe]'"
        ) from exc

    def ask() -> bytes:
        name = spiffe.TrustDomain(trust_domain)
        client = spiffe.WorkloadApiClient(socket, default_timeout=DEADLINE_SECONDS)
        try:
            keys = client.fetch_jwt_bundles().get_bundle_for_trust_domain(name)
            authorities = client.fetch_x509_bundles().get_bundle_for_trust_domain(name)
        finally:
            client.close()
        if keys is None and authorities is None:
            raise IssuerUnavailable(f"{socket}: has no bundle of {trust_domain}")
        return _document(
            keys.jwt_authorities if keys else {},
            authorities.x509_authorities if authorities else (),
        )

    async def fetch() -> bytes:
        try:
            with anyio.fail_after(DEADLINE_SECONDS * 2):
                return await anyio.to_thread.run_sync(ask, abandon_on_cancel=True)
        except (spiffe.errors.PySpiffeError, TimeoutError, OSError, ValueError) as exc:
            raise IssuerUnavailable(
                f"{socket}: the Workload API did not give a bundle ({type(exc).__name__})"
            ) from exc

    return fetch


def _document(keys: Mapping[str, Any], authorities: Iterable[x509.Certificate]) -> bytes:
    """Return a bundle in SPIFFE's own format, in an order that does not change by itself."""
    jwks = [{**_jwk(keys[kid]), "kid": kid, "use": "jwt-svid"} for kid in sorted(keys)]
    for der in sorted(one.public_bytes(Encoding.DER) for one in authorities):
        chain = [base64.b64encode(der).decode("ascii")]
        jwks.append({"kty": "X509", "use": "x509-svid", "x5c": chain})
    return dumps({"keys": jwks})


def _jwk(key: Any) -> dict[str, Any]:
    kind = RSAAlgorithm if isinstance(key, RSAPublicKey) else ECAlgorithm
    jwk: dict[str, Any] = kind.to_jwk(key, as_dict=True)
    return {name: value for name, value in jwk.items() if name != "key_ops"}
