from typing import Any

import anyio
import msgspec
import pytest

from gateway.core.canonical import digest
from gateway.core.claims import Transaction
from gateway.core.errors import CredentialRejected, IssuerUnavailable, SettingsError
from gateway.identity import jws
from gateway.identity.issued import TrustedIssuer
from gateway.identity.jwks import read_key_set
from gateway.identity.kept import Kept
from gateway.identity.steps import Steps
from gateway.identity.transaction import TransactionVerifier
from gateway.settings import Issuer
from tests.fakes_clock import FakeClock
from tests.unit.identity.keys import ISSUER, NOW, P256, encode, payload, token
from tests.unit.identity.tokens import titles, trusted

DOMAIN = "trust-domain.test"
LIMITS = Issuer(ISSUER, DOMAIN, "unused", profile="transaction", max_lifetime_seconds=300)


def written(*without: str, header: dict[str, Any] | None = None, **members: Any) -> str:
    """Return a good transaction token with members left out or replaced."""
    good = {"aud": DOMAIN, "txn": "t-1", "sub": "user-7", "exp": NOW + 60}
    return token(
        payload(*without, **(good | members)), **({"typ": "txntoken+jwt"} | (header or {}))
    )


async def verified(text: str, *issuers: TrustedIssuer, steps: Steps | None = None) -> Transaction:
    """Verify at NOW."""
    verifier = TransactionVerifier(issuers or [trusted(LIMITS)], FakeClock(NOW * 10**9))
    with anyio.fail_after(5):
        return await verifier.verify(jws.read(text), steps or Steps())


async def rejected(text: str, *issuers: TrustedIssuer) -> str:
    """Return the code of the rejection."""
    with pytest.raises(CredentialRejected) as caught:
        await verified(text, *issuers)
    return caught.value.reason_code


async def test_a_transaction_token_gives_its_transaction() -> None:
    """draft-ietf-oauth-transaction-tokens, Txn-Token Format."""
    context = {"action": "BUY", "customer": {"geo": "US"}}
    text = written(
        scope="trade.stocks", req_wl="gw.test", rctx={"req_ip": "192.0.2.1"}, tctx=context
    )
    assert await verified(text) == Transaction(
        "t-1", ISSUER, "user-7", digest(text.encode()), "trade.stocks", context
    )


async def test_what_is_optional_may_be_absent() -> None:
    """Drafts until -04 have `purp`, and no `scope`."""
    for text in (written(), written(purp="trade", aud=[DOMAIN]), written(tctx=None, scope=None)):
        assert await verified(text) == Transaction("t-1", ISSUER, "user-7", digest(text.encode()))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (written(header={"alg": "none"}), "alg_refused"),
        (written(header={"alg": "HS256"}), "alg_refused"),
        (written(header={"alg": "PS256"}), "alg_refused"),
        (written(header={"alg": "EdDSA"}), "key_mismatch"),
        (written(header={"jku": "https://evil.test"}), "header_refused"),
        (written(header={"typ": None}), "header_refused"),
        (written(header={"typ": "at+jwt"}), "type_refused"),
        (written(header={"typ": "JWT"}), "type_refused"),
        (written(header={"typ": "txn_token"}), "type_refused"),
        (written(header={"kid": "x", "private": P256}), "key_unknown"),
        (written("iss"), "iss_missing"),
        (written(iss="https://other.test"), "issuer_unknown"),
        (written("aud"), "aud_missing"),
        (written(aud="other.test"), "audience"),
        (written(aud=[DOMAIN, "other.test"]), "audience"),
        (written("exp"), "exp_missing"),
        (written("iat"), "iat_missing"),
        (written(exp=str(NOW + 60)), "time_malformed"),
        (written(exp=NOW - 30), "expired"),
        (written(iat=NOW + 31), "not_yet_valid"),
        (written(exp=NOW + 600), "lifetime"),
        (written("txn"), "txn_missing"),
        (written(txn=None), "txn_missing"),
        (written(txn=""), "claim_malformed"),
        (written(txn=1), "claim_malformed"),
        (written("sub"), "sub_missing"),
        (written(sub=["user-7"]), "claim_malformed"),
        (written(scope=["a"]), "claim_malformed"),
        (written(purp=1), "claim_malformed"),
        (written(req_wl=["a", "b"]), "claim_malformed"),
        (written(tctx="x"), "claim_malformed"),
        (written(tctx=[]), "claim_malformed"),
        (written(rctx=1), "claim_malformed"),
    ],
    ids=lambda value: None if value.count(".") == 2 else value,
)
async def test_a_bad_transaction_token_is_refused_with_a_code_of_its_own(
    text: str, code: str
) -> None:
    """draft-ietf-oauth-transaction-tokens, Txn-Token Validation."""
    assert await rejected(text) == f"transaction_{code}"


async def test_nothing_is_said_about_its_claims_before_the_signature_holds() -> None:
    """House."""
    head, _, signature = written().split(".")
    body = encode(b'{"iss":"https://issuer.test","aud":"x","exp":1}')
    assert await rejected(f"{head}.{body}.{signature}") == "transaction_signature"


async def test_only_an_issuer_of_transaction_tokens_issues_them() -> None:
    """House: settings, `profile`."""
    access = msgspec.structs.replace(LIMITS, profile="access-token")
    assert await rejected(written(), trusted(access)) == "transaction_issuer_unknown"


async def test_what_settings_require_must_be_there() -> None:
    """House: settings; the draft wants `scope` and `req_wl`."""
    demanding = trusted(msgspec.structs.replace(LIMITS, require=("scope", "/tctx/action")))
    action = {"action": "BUY"}
    assert await rejected(written(tctx=action), demanding) == "transaction_claim_missing"
    assert await rejected(written(scope="a", tctx={}), demanding) == "transaction_claim_missing"
    assert (await verified(written(scope="a", tctx=action), demanding)).scope == "a"


async def test_its_issuer_vouches_for_its_own_principals_only() -> None:
    """House: settings, `subjects`."""
    limited = trusted(msgspec.structs.replace(LIMITS, subjects=("user-",)))
    assert (await verified(written(), limited)).subject == "user-7"
    assert await rejected(written(sub="x"), limited) == "transaction_subject_refused"


async def test_without_keys_nothing_is_known_of_a_transaction() -> None:
    """House: design §1.1."""

    async def fetch() -> bytes:
        raise IssuerUnavailable("down")

    clock = FakeClock(NOW * 10**9)
    with pytest.raises(IssuerUnavailable):
        await verified(written(), TrustedIssuer(LIMITS, Kept("x", fetch, read_key_set, clock)))


@pytest.mark.parametrize("audience", [None, ""])
def test_transaction_tokens_need_a_trust_domain(audience: str | None) -> None:
    """draft-ietf-oauth-transaction-tokens: `aud` is the trust domain."""
    with pytest.raises(SettingsError):
        TransactionVerifier(
            [trusted(msgspec.structs.replace(LIMITS, audience=audience))], FakeClock()
        )


async def test_the_last_step_noted_is_the_one_that_failed() -> None:
    """House: `bailiwick identity check`."""
    for text, title in (
        (written(aud="x"), "the audience is the trust domain alone"),
        (written("exp"), "the transaction token is within its time"),
        (written("txn"), "the transaction's claims are of their kinds"),
    ):
        steps = Steps()
        with pytest.raises(CredentialRejected):
            await verified(text, steps=steps)
        assert titles(steps)[-1] == title
