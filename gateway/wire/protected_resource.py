"""Protected-resource metadata (RFC 9728): what a client has to know to be let in, and where.

The document tells only what a 401 would, to anybody who asks. A member without a value is left out
(§3.2). Does not choose which issuers there are, and does not serve.
"""

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"
NEVER_ASKED_FOR: Final = frozenset({"offline_access"})
"""Scopes that no resource needs (MCP authorization, Refresh Tokens)."""


def metadata_url(resource: str) -> str:
    """Return where a resource's metadata is: the path goes behind the well-known one (§3.1)."""
    parts = urlsplit(resource)
    return f"{parts.scheme}://{parts.netloc}{WELL_KNOWN}{parts.path}"


def scope_list(scopes: Sequence[str]) -> tuple[str, ...]:
    """Return the scopes that a client is told to ask for."""
    return tuple(scope for scope in scopes if scope not in NEVER_ASKED_FOR)


def metadata(
    resource: str,
    name: str,
    *,
    issuers: Sequence[str],
    scopes: Sequence[str],
    proof_algorithms: Sequence[str],
    proof_required: bool,
    certificates: bool,
) -> dict[str, Any]:
    """Return the metadata of one resource (§2).

    Args:
        resource: its canonical URI, the audience of tokens for it.
        name: what people call it.
        issuers: authorization servers whose tokens it takes. MCP wants at least one; where only
            SVIDs are believed there is none to name, and the member is left out (it is optional).
        scopes: what every token for it needs.
        proof_algorithms: algorithms of DPoP proofs.
        proof_required: whether it takes DPoP-bound tokens only.
        certificates: whether certificate-bound tokens can be used (RFC 8705).
    """
    document: dict[str, Any] = {"resource": resource}
    if issuers:
        document["authorization_servers"] = list(issuers)
    if asked := scope_list(scopes):
        document["scopes_supported"] = list(asked)
    document["bearer_methods_supported"] = ["header"]
    document["resource_name"] = name
    document["dpop_signing_alg_values_supported"] = list(proof_algorithms)
    if proof_required:
        document["dpop_bound_access_tokens_required"] = True
    if certificates:
        document["tls_client_certificate_bound_access_tokens"] = True
    return document
