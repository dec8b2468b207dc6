"""Transaction tokens (`Txn-Token`), draft-ietf-oauth-transaction-tokens-10, July 2026.

They say what goes on (transaction, principal, purpose, immutable context) within one trust domain,
and are never an authentication: an identity comes from another credential. Verified as access
tokens are (`issued.py`, `times.py`), with the trust domain that settings name as the one audience
(§ Txn-Token Validation). Stricter than the draft: `iss` is required, since it chooses the keys.
More lenient: `scope` and `req_wl` may be absent, as in the drafts until -04, which had `purp`;
settings may `require` them. Codes begin with `transaction_`.

Does not store `txn` against replays, and does not forward or log the token.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from gateway.core.canonical import digest
from gateway.core.claims import Transaction
from gateway.core.errors import CredentialRejected, SettingsError
from gateway.identity import claimed
from gateway.identity.issued import Issuers, TrustedIssuer
from gateway.identity.jws import Unverified
from gateway.identity.steps import Steps
from gateway.identity.times import check_times
from gateway.ports import Clock

TYPE: Final = "txntoken+jwt"
_PREFIX: Final = "transaction"


class TransactionVerifier:
    """Verifies transaction tokens. Used concurrently.

    Args:
        issuers: with their keys; those of other tokens are left out.
        clock: the time.

    Raises:
        SettingsError: an issuer has no audience: no trust domain would be meant.
    """

    def __init__(self, issuers: Sequence[TrustedIssuer], clock: Clock) -> None:
        own = [issuer for issuer in issuers if issuer.limits.profile == "transaction"]
        for issuer in own:
            if not issuer.limits.audience:
                raise SettingsError(
                    f"issuers: {issuer.limits.issuer}: transaction tokens need an audience"
                )
        self._issuers = Issuers(own, lambda _: frozenset({TYPE}), _PREFIX)
        self._required = {
            issuer.limits.issuer: [(name, claimed.reader(name)) for name in issuer.limits.require]
            for issuer in own
        }
        self._clock = clock

    async def verify(self, unverified: Unverified, steps: Steps) -> Transaction:
        """Verify a transaction token.

        Raises:
            CredentialRejected: the code names the step that failed.
            IssuerUnavailable: the issuer's keys cannot be had.
        """
        signed = await self._issuers.signed(unverified, steps)
        limits, payload = signed.issuer.limits, unverified.payload
        steps.at("the audience is the trust domain alone", limits.audience or "")
        claimed.check_audience(payload, limits.audience or "", _PREFIX)
        steps.at("the transaction token is within its time")
        check_times(payload, limits, self._clock.wall_ns() // 1_000_000_000, prefix=_PREFIX)
        for name, read in self._required[limits.issuer]:
            steps.at("what settings require is there", name)
            if read(payload) is None:
                raise CredentialRejected(f"there is no {name}", code="transaction_claim_missing")
        steps.at("the transaction's claims are of their kinds")
        transaction = Transaction(
            id=_needed(payload, "txn"),
            issuer=limits.issuer,
            subject=_needed(payload, "sub"),
            token_digest=digest(unverified.text.encode("ascii")),
            scope=claimed.optional_text(payload.get("scope"), "scope", _PREFIX),
            context=_object(payload, "tctx"),
        )
        for name in ("purp", "req_wl"):
            claimed.optional_text(payload.get(name), name, _PREFIX)
        _object(payload, "rctx")
        steps.at("the issuer may vouch for the principal", transaction.subject)
        if limits.subjects and not transaction.subject.startswith(limits.subjects):
            raise CredentialRejected(
                "the issuer may not vouch for this subject", code="transaction_subject_refused"
            )
        return transaction


def _needed(payload: Mapping[str, Any], name: str) -> str:
    if payload.get(name) is None:
        raise CredentialRejected(f"there is no {name}", code=f"{_PREFIX}_{name}_missing")
    return claimed.text(payload[name], name, _PREFIX)


def _object(payload: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = payload.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise CredentialRejected(f"{name} is not an object", code=f"{_PREFIX}_claim_malformed")
    return value
