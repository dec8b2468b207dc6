"""The `Authenticator` port: one credential in, one workload out, or a refusal that names its step.

1. What came: a token (bearer or DPoP), a forwarded certificate, both, or nothing.
2. The identity: the token's if there is one, else the certificate's. Nothing else names a caller:
   no header of its own making, no argument, no session.
3. Possession: a token that is bound to a key is worth nothing without it, and a proof that nothing
   asks for is refused, not ignored.
4. What the system demands: proof of possession, scopes.
5. The transaction token, which adds context and never an identity.
6. What looks wrong: seen from many places, or like a person.

Verified tokens are remembered (`remembered.py`); possession, demands and appearance are checked on
each request. Does not authorize and does not revoke: that is asked after this, on every call.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from gateway.core.call import Request
from gateway.core.claims import Certificate, Claims, Credential, Proof
from gateway.core.errors import (
    CredentialMissing,
    CredentialRejected,
    IdentityError,
    InsufficientScope,
    ProofWanted,
)
from gateway.identity import jws
from gateway.identity.access_token import AccessTokenVerifier
from gateway.identity.binding import bound_to_certificate, presented
from gateway.identity.dpop import DPoPVerifier
from gateway.identity.remembered import Remembered
from gateway.identity.sightings import Sightings
from gateway.identity.steps import Steps
from gateway.identity.svid import SVIDVerifier
from gateway.identity.transaction import TransactionVerifier
from gateway.identity.verified import Verified
from gateway.identity.x509_svid import X509Verifier
from gateway.ports import Clock
from gateway.settings import System

_NO_SYSTEM: Final = System(url="")


@dataclass(frozen=True, slots=True)
class Verifiers:
    """What checks each kind of credential."""

    access_tokens: AccessTokenVerifier
    svids: SVIDVerifier
    certificates: X509Verifier
    proofs: DPoPVerifier
    transactions: TransactionVerifier


class WorkloadAuthenticator:
    """The `Authenticator` port over all kinds of credentials."""

    def __init__(
        self,
        verifiers: Verifiers,
        systems: Mapping[str, System],
        remembered: Remembered,
        sightings: Sightings,
        clock: Clock,
    ) -> None:
        self._verifiers = verifiers
        self._systems = systems
        self._remembered = remembered
        self._sightings = sightings
        self._clock = clock

    async def authenticate(self, request: Request) -> Claims:
        """Verify a request's credential; see the module's steps."""
        return await self.explained(request, Steps())

    async def explained(self, request: Request, steps: Steps) -> Claims:
        """Verify as `authenticate`, and note each step; the last one noted is the one that failed.

        Raises:
            IdentityError, IssuerUnavailable: as the port says.
        """
        system = self._systems.get(request.system, _NO_SYSTEM)
        try:
            claims = await self._identified(request, steps)
            self._meet(system, claims, steps)
            claims = await self._within_transaction(request.credential, claims, steps)
        except IdentityError as refused:
            refused.scopes = refused.scopes or system.scopes
            raise
        flags = self._sightings.seen(claims, request.source)
        return replace(claims, flags=(*claims.flags, *flags)) if flags else claims

    async def _identified(self, request: Request, steps: Steps) -> Claims:
        credential = request.credential
        steps.at("a credential came", _kinds(credential))
        if credential.token is not None:
            return await self._by_token(request, credential.token.text, steps)
        if credential.proof is not None:
            raise CredentialRejected("a DPoP proof came without its token", code="dpop_unasked")
        if credential.certificate is not None:
            verified = await self._verifiers.certificates.verify(credential.certificate, steps)
            return verified.current()
        raise CredentialMissing("no bearer token and no client certificate came with the request")

    async def _by_token(self, request: Request, token: str, steps: Steps) -> Claims:
        claims = (await self._verified(token, request.resource, steps)).current()
        credential = request.credential
        certificate = None
        if credential.certificate is not None:
            certificate = presented(credential.certificate, self._clock, steps)
        return self._possessed(request, token, claims, certificate, steps)

    async def _verified(self, token: str, resource: str, steps: Steps) -> Verified:
        if known := self._remembered.get(token, resource):
            steps.at("the token was verified before")
            return known
        steps.at("the token is a compact JWS, strictly spelled")
        unverified = jws.read(token)
        verifiers = self._verifiers
        if not verifiers.access_tokens.knows(unverified) and verifiers.svids.knows(unverified):
            verified = await verifiers.svids.verify(unverified, resource, steps)
        else:
            verified = await verifiers.access_tokens.verify(unverified, resource, steps)
        self._remembered.put(token, resource, verified)
        return verified

    def _possessed(
        self,
        request: Request,
        token: str,
        claims: Claims,
        certificate: Certificate | None,
        steps: Steps,
    ) -> Claims:
        """Check that whoever presents the token holds the key it is bound to, if it is to one."""
        credential, confirmation = request.credential, claims.confirmation or {}
        jkt = confirmation.get("jkt")
        proof: Proof = "bearer"
        if jkt is not None:
            if credential.scheme != "dpop":
                # Taken as a bearer token it would be worth as much to a thief (RFC 9449 §7.2).
                raise ProofWanted(
                    "the token is bound to a DPoP key",
                    code="dpop_missing",
                    nonce=self._verifiers.proofs.nonce(),
                )
            self._verifiers.proofs.verify(credential.proof, request, token, jkt, steps)
            proof = "dpop"
        elif credential.scheme == "dpop" or credential.proof is not None:
            raise CredentialRejected("the token is not bound to a DPoP key", code="dpop_unbound")
        if "x5t#S256" in confirmation:
            bound_to_certificate(claims, certificate, steps)
            proof = "certificate"
        if proof == "bearer" and certificate is None:
            return claims
        return replace(claims, proof=proof, certificate=certificate)

    async def _within_transaction(
        self, credential: Credential, claims: Claims, steps: Steps
    ) -> Claims:
        if credential.transaction is None:
            return claims
        steps.at("the transaction token is a compact JWS, strictly spelled")
        unverified = jws.read(credential.transaction.text, "transaction_malformed")
        transaction = await self._verifiers.transactions.verify(unverified, steps)
        return replace(claims, transaction=transaction)

    def _meet(self, system: System, claims: Claims, steps: Steps) -> None:
        """Check what the system demands of every caller."""
        if system.proof is not None:
            steps.at("the caller proved possession as the system demands", claims.proof)
            proofs = {
                "dpop": {"dpop"},
                "certificate": {"certificate", "x509-svid"},
                "any": {"dpop", "certificate", "x509-svid"},
            }[system.proof]
            if claims.proof not in proofs:
                if system.proof == "certificate":
                    raise CredentialRejected(
                        "the system demands a client certificate", code="certificate_required"
                    )
                raise ProofWanted(
                    "the system demands proof of possession",
                    code="proof_required",
                    nonce=self._verifiers.proofs.nonce(),
                )
        if system.scopes:
            steps.at("the token has the scopes that the system asks for", " ".join(claims.scopes))
            if not set(system.scopes) <= set(claims.scopes):
                raise InsufficientScope("the token lacks a scope that the system asks for")


def _kinds(credential: Credential) -> str:
    kinds = {
        f"{credential.scheme} token": credential.token,
        "DPoP proof": credential.proof,
        "client certificate": credential.certificate,
        "transaction token": credential.transaction,
    }
    return ", ".join(kind for kind, came in kinds.items() if came is not None) or "none"
