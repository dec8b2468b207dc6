"""Trust bundles from a SPIFFE Workload API, by the package `spiffe` (extra `spiffe`).

The package blocks, and without a deadline for ever, so it runs in a thread and under one. It only
fetches: its own reading of bundles forgets what each key is for, and fails on any trust domain's
bundle for all of them. Both kinds of SVIDs have to be served there. Does not verify.
"""

import base64
from collections.abc import Mapping
from typing import Any, Final

import anyio
import anyio.to_thread
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.core.canonical import dumps, parse_object
from gateway.core.errors import IssuerUnavailable, MalformedMessage, SettingsError
from gateway.identity.kept import Fetch

DEADLINE_SECONDS: Final = 5.0
_JWT: Final = "jwt-svid"


def from_workload_api(
    socket: str, trust_domain: str, deadline_seconds: float = DEADLINE_SECONDS
) -> Fetch:
    """Return a fetch of one trust domain's bundle, as a SPIFFE bundle document.

    Args:
        socket: `unix:///…`, where the Workload API listens.
        trust_domain: whose bundle.
        deadline_seconds: longest fetch; each of its two calls has half of it.

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
        name, each = f"spiffe://{trust_domain}", deadline_seconds / 2
        client = spiffe.WorkloadApiClient(socket)
        try:
            # Below the public methods, which would read the bundles (see the module's text).
            keys = client._call_fetch_jwt_bundles(each).bundles.get(name)
            authorities = client._call_fetch_x509_bundles(each).bundles.get(name)
        finally:
            client.close()
        if keys is None and authorities is None:
            raise IssuerUnavailable(f"{socket}: has no bundle of {trust_domain}")
        entries = _jwt_keys(keys) if keys else []
        if authorities:
            bundle = spiffe.X509Bundle.parse_raw(spiffe.TrustDomain(trust_domain), authorities)
            entries += _x509_keys(bundle)
        return dumps({"keys": entries})

    async def fetch() -> bytes:
        try:
            with anyio.fail_after(deadline_seconds):
                return await anyio.to_thread.run_sync(ask, abandon_on_cancel=True)
        except IssuerUnavailable:
            raise
        except Exception as exc:
            # The package and gRPC have roots of their own, and let others through.
            raise IssuerUnavailable(
                f"{socket}: the Workload API did not give a bundle ({_reason(exc)})"
            ) from exc

    return fetch


def _jwt_keys(document: bytes) -> list[Mapping[str, Any]]:
    """Return the keys of a JWK set that are for JWT-SVIDs, or for what is not said.

    Everything there is for JWT-SVIDs (Workload API §6.2.2), and SPIRE leaves `use` out of it.
    """
    try:
        keys = parse_object(document).get("keys")
    except MalformedMessage as exc:
        raise IssuerUnavailable(f"the JWT bundle is not strict JSON: {exc.message}") from exc
    if not isinstance(keys, list):
        raise IssuerUnavailable("the JWT bundle has no list of keys")
    return [
        {**jwk, "use": _JWT}
        for jwk in keys
        if isinstance(jwk, Mapping) and jwk.get("use", _JWT) == _JWT
    ]


def _x509_keys(bundle: Any) -> list[Mapping[str, Any]]:
    """Return the authorities, in an order that does not change by itself."""
    entries: list[Mapping[str, Any]] = []
    for one in bundle.x509_authorities:
        chain = [base64.b64encode(one.public_bytes(Encoding.DER)).decode("ascii")]
        kind = "RSA" if isinstance(one.public_key(), RSAPublicKey) else "EC"
        entries.append({"kty": kind, "use": "x509-svid", "x5c": chain})
    return sorted(entries, key=lambda entry: str(entry["x5c"]))


def _reason(exc: Exception) -> str:
    """Return what went wrong: gRPC's status if it has one, such as PERMISSION_DENIED."""
    code = getattr(exc, "code", None)
    return str(code().name) if callable(code) else type(exc).__name__
