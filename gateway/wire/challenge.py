"""Challenges: what a caller who is not let in is told to bring (`WWW-Authenticate`).

One challenge an answer, since clients read the first and forget the rest. Only a missing scope is
`insufficient_scope`. No description: the code is in the body, and nothing else is the caller's
business. Rules: RFC 6750 §3, RFC 9449 §7.1 and §9, RFC 9728 §5.1, MCP authorization.
Does not decide who is let in.
"""

from typing import Final, Literal

from gateway.core.errors import CredentialMissing, IdentityError, InsufficientScope, ProofWanted
from gateway.wire.protected_resource import metadata_url, scope_list

PROOF_ALGORITHMS: Final = ("ES256", "ES384", "EdDSA", "PS256", "RS256")
"""Algorithms of DPoP proofs that are taken."""
_NONCE: Final = "use_dpop_nonce"
_PROOF_REQUIRED: Final = "proof_required"
_BINDING: Final = frozenset({"dpop_key_mismatch", "dpop_unasked", "dpop_unbound", _PROOF_REQUIRED})
"""Codes that find fault with the token rather than with the proof (RFC 9449 §7.1)."""

Scheme = Literal["bearer", "dpop"]


def status(failure: IdentityError) -> int:
    """Return the HTTP status (RFC 6750 §3.1)."""
    return 403 if isinstance(failure, InsufficientScope) else 401


def headers(failure: IdentityError, resource: str, scheme: Scheme = "bearer") -> dict[str, str]:
    """Return the headers of the answer to a caller who was not let in.

    Args:
        failure: why not.
        resource: canonical URI of what was asked for; empty if that is unknown.
        scheme: how the token came.
    """
    parameters: dict[str, str] = {}
    name, error = _scheme_and_error(failure, scheme)
    if error:
        parameters["error"] = error
    if name == "DPoP":
        parameters["algs"] = " ".join(PROOF_ALGORITHMS)
    if scopes := scope_list(failure.scopes):
        parameters["scope"] = " ".join(scopes)
    if resource:
        parameters["resource_metadata"] = metadata_url(resource)
    written = ", ".join(f"{key}={_quoted(value)}" for key, value in parameters.items())
    answer = {"www-authenticate": f"{name} {written}".rstrip()}
    if isinstance(failure, ProofWanted) and failure.nonce:
        answer["dpop-nonce"] = failure.nonce
    return answer


def _scheme_and_error(failure: IdentityError, scheme: Scheme) -> tuple[str, str]:
    code = failure.reason_code
    if isinstance(failure, InsufficientScope):
        return "Bearer", "insufficient_scope"
    if isinstance(failure, CredentialMissing):
        # Who brought nothing made no error (RFC 6750 §3.1).
        return "Bearer", ""
    if code == _NONCE:
        return "DPoP", _NONCE
    if code in _BINDING or (code == "dpop_missing" and scheme == "bearer"):
        return "DPoP", "invalid_token"
    if code.startswith("dpop_"):
        return "DPoP", "invalid_dpop_proof"
    return ("DPoP" if scheme == "dpop" else "Bearer"), "invalid_token"


def _quoted(value: str) -> str:
    """Return a quoted-string (RFC 9110 §5.6.4); what cannot stand in one is left out."""
    plain = "".join(character for character in value if " " <= character <= "~")
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'
