"""DPoP keys and proofs made at test time, good unless a test says otherwise."""

import hashlib
import itertools
import json
from typing import Any

from gateway.core.call import Request
from gateway.core.claims import UnverifiedToken
from gateway.identity.jws import to_base64url
from gateway.identity.proof_key import thumbprint_of
from tests.unit.identity.keys import ED25519, NOW, P256, P384, RSA, Private, jwk, sign

RESOURCE = "https://gw.test/crm/mcp"
"""The `htu` of a proof for `request()`."""
TOKEN = "header.payload.signature"
"""The text that a proof is bound to by its hash; a proof never looks into it."""
SIGNERS: dict[str, Private] = {
    "ES256": P256,
    "ES384": P384,
    "EdDSA": ED25519,
    "PS256": RSA,
    "RS256": RSA,
}
"""One key for each algorithm that a proof may be signed by."""
_numbers = itertools.count(1)


def public(private: Private, **members: Any) -> dict[str, Any]:
    """Return the bare public JWK of a key, as a proof's header holds it."""
    bare = {name: value for name, value in jwk(private, "").items() if name != "kid"}
    return bare | members


def thumbprint(private: Private) -> str:
    """Return the RFC 7638 thumbprint of a key: the `cnf.jkt` of a token that is bound to it."""
    return thumbprint_of(public(private))


def ath(token: str) -> str:
    """Return the `ath` of a token (RFC 9449 §4.2)."""
    return to_base64url(hashlib.sha256(token.encode()).digest())


def claims(token: str = TOKEN, *without: str, **members: Any) -> dict[str, Any]:
    """Return the claims of a good proof at NOW, never twice the same, with some left out."""
    good = {
        "jti": f"proof-{next(_numbers)}",
        "htm": "POST",
        "htu": RESOURCE,
        "iat": NOW,
        "ath": ath(token),
    }
    return {name: value for name, value in (good | members).items() if name not in without}


def proof(
    body: dict[str, Any] | None = None,
    algorithm: str = "ES256",
    private: Private | None = None,
    **header: Any,
) -> UnverifiedToken:
    """Return a signed proof, good unless said otherwise; a header member of None is left out."""
    key = private or SIGNERS[algorithm]
    members = {"typ": "dpop+jwt", "alg": algorithm, "jwk": public(key)} | header
    written = {name: value for name, value in members.items() if value is not None}
    payload = json.dumps(claims() if body is None else body).encode()
    return UnverifiedToken(sign(json.dumps(written).encode(), payload, key, algorithm))


def request(method: str = "POST", resource: str = RESOURCE) -> Request:
    """Return a request that proofs are for."""
    return Request(method, "/crm/mcp", "crm", {}, b"", "192.0.2.1", resource=resource)
