import re

import pytest

from gateway.core.errors import (
    CredentialMissing,
    CredentialRejected,
    IdentityError,
    InsufficientScope,
    ProofWanted,
)
from gateway.identity import proof_key
from gateway.wire.challenge import PROOF_ALGORITHMS, Scheme, headers, status

RESOURCE = "https://gw.test/crm/mcp"
METADATA = 'resource_metadata="https://gw.test/.well-known/oauth-protected-resource/crm/mcp"'
ALGS = 'algs="ES256 ES384 EdDSA PS256 RS256"'


def challenge(failure: IdentityError, *scopes: str, scheme: Scheme = "bearer") -> str:
    """Return the challenge to a failure at a system with these scopes."""
    failure.scopes = scopes
    return headers(failure, RESOURCE, scheme)["www-authenticate"]


def test_who_brought_nothing_is_told_where_to_begin_and_made_no_error() -> None:
    """MCP authorization, Scope Selection Strategy; RFC 6750 §3.1."""
    failure = CredentialMissing("x")
    assert status(failure) == 401
    assert challenge(failure) == f"Bearer {METADATA}"
    assert challenge(failure, "a", "b") == f'Bearer scope="a b", {METADATA}'


def test_a_bad_token_is_invalid_and_the_answer_does_not_say_why() -> None:
    """RFC 6750 §3.1."""
    failure = CredentialRejected("secret", code="token_expired")
    assert status(failure) == 401
    assert challenge(failure) == f'Bearer error="invalid_token", {METADATA}'
    assert challenge(failure, "a") == f'Bearer error="invalid_token", scope="a", {METADATA}'


def test_a_missing_scope_is_told_with_all_that_the_operation_needs() -> None:
    """MCP authorization, Runtime Insufficient Scope Errors."""
    failure = InsufficientScope("x")
    assert status(failure) == 403
    expected = f'Bearer error="insufficient_scope", scope="a b", {METADATA}'
    assert challenge(failure, "a", "b") == expected
    assert challenge(failure, "a", "b", scheme="dpop") == expected


@pytest.mark.parametrize(
    ("code", "scheme", "error"),
    [
        ("dpop_malformed", "dpop", "invalid_dpop_proof"),
        ("dpop_replay", "dpop", "invalid_dpop_proof"),
        ("dpop_missing", "dpop", "invalid_dpop_proof"),
        ("dpop_missing", "bearer", "invalid_token"),
        ("dpop_key_mismatch", "dpop", "invalid_token"),
        ("dpop_unbound", "dpop", "invalid_token"),
        ("dpop_unasked", "bearer", "invalid_token"),
        ("proof_required", "bearer", "invalid_token"),
        ("token_expired", "dpop", "invalid_token"),
        ("use_dpop_nonce", "dpop", "use_dpop_nonce"),
    ],
)
def test_what_has_to_do_with_dpop_is_challenged_as_dpop(
    code: str, scheme: Scheme, error: str
) -> None:
    """RFC 9449 §7.1, §9."""
    failure = CredentialRejected("x", code=code)
    assert status(failure) == 401
    assert challenge(failure, scheme=scheme) == f'DPoP error="{error}", {ALGS}, {METADATA}'


def test_a_nonce_is_given_whenever_a_proof_is_wanted_and_nonces_are_in_use() -> None:
    """RFC 9449 §9."""
    wanted = ProofWanted("x", code="use_dpop_nonce", nonce="n-1")
    assert headers(wanted, RESOURCE)["dpop-nonce"] == "n-1"
    assert "dpop-nonce" not in headers(ProofWanted("x", code="proof_required"), RESOURCE)
    assert "dpop-nonce" not in headers(CredentialRejected("x"), RESOURCE)


def test_a_value_is_quoted_so_that_it_cannot_add_a_parameter() -> None:
    """RFC 9110 §5.6.4."""
    written = challenge(CredentialMissing("x"), 'a"b\\c', "d\r\ne")
    assert written == f'Bearer scope="a\\"b\\\\c de", {METADATA}'


def test_offline_access_is_never_asked_for() -> None:
    """MCP authorization, Refresh Tokens."""
    assert "scope" not in challenge(CredentialMissing("x"), "offline_access")
    assert 'scope="a"' in challenge(InsufficientScope("x"), "a", "offline_access")


def test_without_a_resource_there_is_no_metadata_to_point_to() -> None:
    """House: a request that was not admitted addresses nothing."""
    assert headers(CredentialMissing("x"), "") == {"www-authenticate": "Bearer"}


@pytest.mark.parametrize("scheme", ["bearer", "dpop"])
@pytest.mark.parametrize(
    "failure",
    [CredentialMissing("x"), CredentialRejected("x"), InsufficientScope("x")],
    ids=lambda failure: failure.code,
)
def test_there_is_one_challenge_an_answer(failure: IdentityError, scheme: Scheme) -> None:
    """House: clients read the first and forget the rest."""
    assert len(re.findall(r"\b(Bearer|DPoP)\b", challenge(failure, scheme=scheme))) == 1


def test_the_algorithms_told_are_those_that_are_taken() -> None:
    """RFC 9449 §7.1: `algs`."""
    assert set(PROOF_ALGORITHMS) == proof_key.ALGORITHMS
