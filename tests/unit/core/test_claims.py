import dataclasses
from typing import Any

import pytest

from gateway.core.claims import Certificate, Claims, Transaction, UnverifiedToken

FULL = Claims(
    subject="spiffe://corp.test/agent/invoices",
    issuer="https://issuer.test",
    audience="bailiwick",
    issued_at=1_000,
    expires_at=1_600,
    scheme="at+jwt",
    algorithm="ES256",
    key_id="k-1",
    token_id="t-1",
    token_digest="sha256:00",
    tenant="acme",
    on_behalf_of="user-7",
    actors=("outer", "inner"),
    instance="pod-1",
    scopes=("crm:read",),
    confirmation={"jkt": "thumbprint"},
    proof="dpop",
    certificate=Certificate("sha256:22", "edge", 2_000),
    key_age_seconds=3,
    flags=("two_networks",),
    transaction=Transaction(
        "txn-1", "https://txn.test", "user-7", "sha256:33", "refund", {"amount": 3}
    ),
    other={"team": "finance"},
)
BARE = Claims(
    subject="s",
    issuer="i",
    audience="a",
    issued_at=0,
    expires_at=10,
    scheme="jwt",
    algorithm="EdDSA",
    key_id=None,
    token_id=None,
    token_digest="sha256:11",
)


def test_the_subject_of_the_decision_input_holds_exactly_the_designs_members() -> None:
    """House: design §5."""
    assert FULL.as_subject(1_100) == {
        "id": "spiffe://corp.test/agent/invoices",
        "type": "workload",
        "issuer": "https://issuer.test",
        "tenant": "acme",
        "instance": "pod-1",
        "on_behalf_of": "user-7",
        "actors": ["outer", "inner"],
        "scopes": ["crm:read"],
        "proof": "dpop",
        "flags": ["two_networks"],
        "lifetime_seconds": 500,
        "claims": {"team": "finance"},
    }


def test_what_a_credential_does_not_say_is_null_or_empty_and_never_absent() -> None:
    """House: an absent member would be undefined in Rego and could skip a rule."""
    assert BARE.as_subject(0) == {
        "id": "s",
        "type": "workload",
        "issuer": "i",
        "tenant": None,
        "instance": None,
        "on_behalf_of": None,
        "actors": [],
        "scopes": [],
        "proof": "bearer",
        "flags": [],
        "lifetime_seconds": 10,
        "claims": {},
    }


@pytest.mark.parametrize(
    ("now", "left"),
    [(0, 1_600), (1_599, 1), (1_600, 0), (1_601, 0), (10**12, 0)],
    ids=["early", "one-second", "at-expiry", "after", "long-after"],
)
def test_the_lifetime_left_is_never_negative(now: int, left: int) -> None:
    """House: within the leeway a token may be just past its end."""
    assert FULL.as_subject(now)["lifetime_seconds"] == left


def test_evidence_holds_every_identity_fact_and_not_the_token() -> None:
    """House: evidence §6, the digest stands for the token."""
    assert FULL.as_evidence() == {
        "scheme": "at+jwt",
        "iss": "https://issuer.test",
        "sub": "spiffe://corp.test/agent/invoices",
        "aud": "bailiwick",
        "jti": "t-1",
        "kid": "k-1",
        "alg": "ES256",
        "iat": 1_000,
        "exp": 1_600,
        "act": ["outer", "inner"],
        "token_digest": "sha256:00",
        "tenant": "acme",
        "instance": "pod-1",
        "on_behalf_of": "user-7",
        "scopes": ["crm:read"],
        "cnf": {"jkt": "thumbprint"},
        "proof": "dpop",
        "certificate": {"digest": "sha256:22", "terminator": "edge", "not_after": 2_000},
        "key_age_seconds": 3,
        "flags": ["two_networks"],
        "transaction": {"id": "txn-1", "token_digest": "sha256:33"},
        "revocation": None,
    }


def test_what_a_credential_lacks_is_null_in_evidence_and_never_absent() -> None:
    """House: evidence §6, a refusal and an intent have the same members."""
    bare = BARE.as_evidence()
    assert bare.keys() == FULL.as_evidence().keys()
    assert [bare[name] for name in ("cnf", "certificate", "transaction", "instance")] == [None] * 4


def test_a_transaction_is_context_without_its_token() -> None:
    """House: design §5; a transaction token is not to be found verbatim anywhere."""
    assert FULL.transaction is not None
    assert FULL.transaction.as_context() == {
        "id": "txn-1",
        "issuer": "https://txn.test",
        "subject": "user-7",
        "scope": "refund",
        "context": {"amount": 3},
    }


@pytest.mark.parametrize(
    "text",
    [
        f"{UnverifiedToken('canary')!r}",
        str(UnverifiedToken("canary")),
        f"{UnverifiedToken('canary')}",
    ],
    ids=["repr", "str", "format"],
)
def test_a_token_never_shows_its_text(text: str) -> None:
    """House: threats §4, secrets in evidence or errors."""
    assert "canary" not in text


def test_changing_a_document_does_not_change_the_claims() -> None:
    """House: the input of one call must not reach the next."""
    subject: dict[str, Any] = FULL.as_subject(0)
    subject["claims"]["team"] = "other"
    subject["actors"].append("forged")
    evidence: dict[str, Any] = FULL.as_evidence()
    evidence["act"].append("forged")
    assert (FULL.other, FULL.actors) == ({"team": "finance"}, ("outer", "inner"))


@pytest.mark.parametrize("value", [FULL, UnverifiedToken("x")], ids=["claims", "token"])
def test_claims_and_tokens_cannot_be_changed(value: Any) -> None:
    """House: what was verified is what is decided on."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, dataclasses.fields(value)[0].name, "other")


def test_two_bare_claims_do_not_share_their_other_members() -> None:
    """House: no mutable default."""
    first, second = (dataclasses.replace(BARE, other={}) for _ in range(2))
    assert first.other is not second.other
