from typing import Any

import pytest

from gateway.wire.protected_resource import metadata, metadata_url

RESOURCE = "https://gw.test/crm/mcp"


def described(**changed: Any) -> dict[str, Any]:
    """Return the metadata of a plain resource, but for what is given."""
    plain: dict[str, Any] = {
        "issuers": ["https://issuer.test"],
        "scopes": ["crm:read"],
        "proof_algorithms": ["ES256"],
        "proof_required": False,
        "certificates": False,
    }
    return metadata(RESOURCE, "crm", **(plain | changed))


@pytest.mark.parametrize(
    ("resource", "url"),
    [
        (RESOURCE, "https://gw.test/.well-known/oauth-protected-resource/crm/mcp"),
        (
            "http://127.0.0.1:8080/a/mcp",
            "http://127.0.0.1:8080/.well-known/oauth-protected-resource/a/mcp",
        ),
        ("https://[::1]:1/a/mcp", "https://[::1]:1/.well-known/oauth-protected-resource/a/mcp"),
    ],
)
def test_the_well_known_path_goes_between_host_and_path(resource: str, url: str) -> None:
    """RFC 9728 §3.1."""
    assert metadata_url(resource) == url


def test_the_whole_document_is_this() -> None:
    """RFC 9728 §2: a vector written by hand."""
    assert described() == {
        "resource": RESOURCE,
        "authorization_servers": ["https://issuer.test"],
        "scopes_supported": ["crm:read"],
        "bearer_methods_supported": ["header"],
        "resource_name": "crm",
        "dpop_signing_alg_values_supported": ["ES256"],
    }


def test_what_is_demanded_is_told() -> None:
    """RFC 9728 §2; both are false when left out."""
    document = described(proof_required=True, certificates=True)
    assert document["dpop_bound_access_tokens_required"] is True
    assert document["tls_client_certificate_bound_access_tokens"] is True


def test_a_member_without_a_value_is_left_out() -> None:
    """RFC 9728 §3.2: arrays without elements are omitted."""
    document = described(issuers=[], scopes=[])
    assert not {"authorization_servers", "scopes_supported"} & document.keys()


def test_offline_access_is_never_asked_for() -> None:
    """MCP authorization, Refresh Tokens."""
    assert described(scopes=["a", "offline_access"])["scopes_supported"] == ["a"]
    assert "scopes_supported" not in described(scopes=["offline_access"])
