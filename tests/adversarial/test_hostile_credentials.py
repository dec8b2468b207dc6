"""Hostile credentials, one a row: each is refused by its own code, recorded, and reaches nothing.

Each walks the whole line with the real authenticator: two issuers, two trust domains, a terminator,
real keys and signatures. What must work works, or the table would prove nothing.
"""

import hashlib
import hmac
import json
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.core.call import Request
from gateway.core.claims import Credential, ForwardedCertificate, UnverifiedToken
from gateway.identity.authenticator import WorkloadAuthenticator
from gateway.identity.issued import TrustedIssuer
from gateway.identity.jwks import read_key_set
from gateway.identity.kept import Kept
from gateway.identity.svid import TrustedDomain
from gateway.identity.trust_bundle import BundleReader
from gateway.settings import Issuer, System, Terminator, TrustDomain
from tests.fakes_clock import FakeClock
from tests.pipeline.line import Line, request
from tests.unit.identity import proofs
from tests.unit.identity.authenticating import authenticating
from tests.unit.identity.certificates import Authority
from tests.unit.identity.keys import (
    ALL_KEYS,
    AUDIENCE,
    ED25519,
    ISSUER,
    NOW,
    P256,
    P384,
    RSA,
    encode,
    jwk,
    key_set,
    payload,
    sign,
    token,
)
from tests.unit.identity.tokens import chain

RESOURCE = "https://gw.test/crm/mcp"
OTHER = "https://other.test"
TXN = "https://txn.test"
AUTHORITY = Authority("corp.test")
FOREIGN = Authority("partner.test")
Make = Callable[[], Credential]


def bundle(authority: Authority, *keys: dict[str, Any]) -> bytes:
    """Return a trust bundle."""
    der = authority.certificate.public_bytes(Encoding.DER)
    x509 = {"kty": "EC", "use": "x509-svid", "x5c": [b64encode(der).decode()]}
    return key_set(x509, *keys)


BUNDLES = {
    "corp.test": bundle(AUTHORITY, jwk(P256, "td", use="jwt-svid"), jwk(P384, "sig", use="sig")),
    "partner.test": bundle(FOREIGN, jwk(P384, "td", use="jwt-svid")),
}


def world(clock: FakeClock) -> WorkloadAuthenticator:
    """Return the authenticator that all rows are shown to."""

    def kept(name: str, document: bytes, read: Any) -> Any:
        async def fetch() -> bytes:
            return document

        return Kept(name, fetch, read, clock)

    issuers = [
        Issuer(ISSUER, AUDIENCE, "unused", subjects=("spiffe://corp.test/agent/", "agent:")),
        Issuer(OTHER, AUDIENCE, "unused", subjects=("other:",)),
        Issuer(TXN, "corp.test", "unused", profile="transaction"),
    ]
    keys = {OTHER: key_set(jwk(ED25519, "p256"))}
    return authenticating(
        [
            TrustedIssuer(one, kept(one.issuer, keys.get(one.issuer, ALL_KEYS), read_key_set))
            for one in issuers
        ],
        [
            TrustedDomain(
                TrustDomain(name, bundle="unused", subjects=(f"spiffe://{name}/agent/",)),  # type: ignore[arg-type]
                kept(name, document, BundleReader()),
            )
            for name, document in BUNDLES.items()
        ],
        clock=clock,
        terminators=[Terminator("edge", ("corp.test",))],
        systems={
            "crm": System("http://127.0.0.1:9/mcp"),
            "scoped": System("http://127.0.0.1:9/mcp", scopes=("crm:read",)),
            "bound": System("http://127.0.0.1:9/mcp", proof="dpop"),
            "mutual": System("http://127.0.0.1:9/mcp", proof="certificate"),
        },
    )


def bearer(text: str) -> Make:
    """Return how a bearer token comes."""
    return lambda: Credential(UnverifiedToken(text))


def signed(header: dict[str, Any], body: dict[str, Any] | None = None, key: Any = P256) -> Make:
    """Return a token with exactly this header, well signed."""
    written = json.dumps(payload() if body is None else body).encode()
    return bearer(sign(json.dumps(header).encode(), written, key, "ES256"))


def raw(header: str, body: str) -> Make:
    """Return a well signed token with exactly these texts."""
    return bearer(sign(header.encode(), body.encode(), P256, "ES256"))


def shared_secret(secret: bytes, algorithm: str) -> Make:
    """Return a token "signed" with what everybody knows."""
    header = encode(json.dumps({"alg": algorithm, "kid": "rsa", "typ": "at+jwt"}).encode())
    text = f"{header}.{encode(json.dumps(payload()).encode())}"
    return bearer(f"{text}.{encode(hmac.digest(secret, text.encode(), hashlib.sha256))}")


def svid(subject: str = "spiffe://corp.test/agent/a", key: Any = P256, **changed: Any) -> Make:
    """Return a JWT-SVID."""
    algorithm = "ES384" if key is P384 else "ES256"
    body = {"sub": subject, "aud": [RESOURCE], "exp": NOW + 300, "iat": NOW, **changed}
    header = {"alg": algorithm, "kid": "td", "typ": "JWT"} | changed.pop("header", {})
    body.pop("header", None)
    written = json.dumps({k: v for k, v in body.items() if v is not None}).encode()
    return bearer(sign(json.dumps(header).encode(), written, key, algorithm))


BOUND = token(payload(cnf={"jkt": proofs.thumbprint(P256)}))


def dpop(body: dict[str, Any] | None = None, text: str = BOUND, **proof: Any) -> Make:
    """Return a bound token with a proof."""

    def make() -> Credential:
        made = proofs.claims(text) if body is None else {**proofs.claims(text), **body}
        written = {name: value for name, value in made.items() if value is not None}
        return Credential(UnverifiedToken(text), "dpop", proofs.proof(written, **proof))

    return make


def xfcc(text: str, terminator: str = "edge") -> Make:
    """Return a forwarded certificate."""
    return lambda: Credential(certificate=ForwardedCertificate(text, terminator))


def txn(**changed: Any) -> Make:
    """Return a good token with a transaction token."""
    body = {"iss": TXN, "aud": "corp.test", "sub": "user-7", "txn": "t-1", "iat": NOW}
    body |= {"exp": NOW + 60, "scope": "refund"} | changed
    header = {"typ": changed.pop("typ", "txntoken+jwt")}
    body.pop("typ", None)
    text = token({k: v for k, v in body.items() if v is not None}, **header)
    return lambda: Credential(UnverifiedToken(token()), transaction=UnverifiedToken(text))


PUBLIC = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
GOOD_HEADER = {"alg": "ES256", "kid": "p256", "typ": "at+jwt"}
LEAF = AUTHORITY.issue("spiffe://corp.test/agent/a")

HOSTILE: dict[str, tuple[Make, str]] = {
    # No signature, or one by what everybody knows.
    "nothing": (Credential, "credential_missing"),
    "alg none": (bearer(token(alg="none")), "token_alg_refused"),
    "alg none, no signature": (
        bearer(token(alg="none").rpartition(".")[0] + "."),
        "token_alg_refused",
    ),
    "alg None in capitals": (bearer(token(alg="NONE")), "token_alg_refused"),
    "alg empty": (bearer(token(alg="")), "token_alg_refused"),
    "alg list": (signed({**GOOD_HEADER, "alg": ["ES256"]}), "token_header_refused"),
    "HS256 with the public key": (shared_secret(PUBLIC, "HS256"), "token_alg_refused"),
    "HS256 with the key set": (shared_secret(ALL_KEYS, "HS256"), "token_alg_refused"),
    "HS256 with nothing": (shared_secret(b"", "HS256"), "token_alg_refused"),
    "another algorithm of the key": (
        bearer(token(kid="rsa", algorithm="PS256")),
        "token_alg_refused",
    ),
    "an algorithm of another key": (bearer(token(alg="EdDSA")), "token_key_mismatch"),
    "psychic signature": (
        bearer(token().rpartition(".")[0] + "." + encode(bytes(64))),
        "token_signature",
    ),
    "no signature": (bearer(token().rpartition(".")[0] + "."), "token_signature"),
    "changed payload": (
        bearer(
            ".".join(
                [
                    token().split(".")[0],
                    encode(json.dumps(payload(sub="agent:root")).encode()),
                    token().split(".")[2],
                ]
            )
        ),
        "token_signature",
    ),
    "signed by another key": (bearer(token(private=Authority("x").private)), "token_signature"),
    # Which key.
    "unknown kid": (bearer(token(kid="absent", private=P256)), "token_key_unknown"),
    "kid is a path": (bearer(token(kid="../../dev/null", private=P256)), "token_key_unknown"),
    "kid is SQL": (bearer(token(kid="' OR 1=1 --", private=P256)), "token_key_unknown"),
    "kid is a URL": (bearer(token(kid="https://evil.test/key", private=P256)), "token_key_unknown"),
    "kid is a number": (signed({**GOOD_HEADER, "kid": 1}), "token_header_refused"),
    "no kid": (signed({"alg": "ES256", "typ": "at+jwt"}), "token_header_refused"),
    "jku": (bearer(token(jku="https://evil.test/jwks")), "token_header_refused"),
    "x5u": (bearer(token(x5u="https://evil.test/cert")), "token_header_refused"),
    "x5c": (bearer(token(x5c=["AAAA"])), "token_header_refused"),
    "jwk": (bearer(token(jwk=jwk(P256, "p256"))), "token_header_refused"),
    "crit": (bearer(token(crit=["exp"])), "token_header_refused"),
    "b64 false": (bearer(token(b64=False)), "token_header_refused"),
    # Spelling.
    "no JWS": (bearer("hello"), "token_malformed"),
    "four parts": (bearer(token() + ".x"), "token_malformed"),
    "padded base64": (bearer(token() + "="), "token_malformed"),
    "another spelling of the header": (bearer(token().replace(".", "A.", 1)), "token_malformed"),
    "too long": (bearer(token(payload(junk="x" * 9000))), "token_malformed"),
    "sub twice": (
        raw(json.dumps(GOOD_HEADER), json.dumps(payload())[:-1] + ', "sub": "agent:root"}'),
        "token_malformed",
    ),
    "alg twice": (
        raw('{"alg":"none",' + json.dumps(GOOD_HEADER)[1:], json.dumps(payload())),
        "token_malformed",
    ),
    "payload is a list": (raw(json.dumps(GOOD_HEADER), "[]"), "token_malformed"),
    "NaN for exp": (
        raw(json.dumps(GOOD_HEADER), json.dumps(payload(exp=float("nan")))),
        "token_malformed",
    ),
    # Claims.
    "no exp": (bearer(token(payload("exp"))), "token_exp_missing"),
    "no iat": (bearer(token(payload("iat"))), "token_iat_missing"),
    "no aud": (bearer(token(payload("aud"))), "token_aud_missing"),
    "no iss": (bearer(token(payload("iss", sub="agent:a"))), "token_iss_missing"),
    "no sub": (bearer(token(payload("sub"))), "token_sub_missing"),
    "exp is text": (bearer(token(payload(exp=str(NOW + 60)))), "token_time_malformed"),
    "exp is a fraction": (bearer(token(payload(exp=NOW + 60.5))), "token_time_malformed"),
    "exp is true": (bearer(token(payload(exp=True))), "token_time_malformed"),
    "exp in the year 3 million": (bearer(token(payload(exp=99_999_999_999_999))), "token_lifetime"),
    "lives for a day": (bearer(token(payload(exp=NOW + 86400))), "token_lifetime"),
    "expired": (bearer(token(payload(iat=NOW - 900, exp=NOW - 60))), "token_expired"),
    "from the future": (bearer(token(payload(iat=NOW + 300))), "token_not_yet_valid"),
    "not before later": (bearer(token(payload(nbf=NOW + 300))), "token_not_yet_valid"),
    "another audience": (bearer(token(payload(aud="https://elsewhere.test"))), "token_audience"),
    "two audiences": (bearer(token(payload(aud=[AUDIENCE, "x"]))), "token_audience"),
    "audience as a prefix": (bearer(token(payload(aud=AUDIENCE + "/x"))), "token_audience"),
    "issuer with a slash": (
        bearer(token(payload(iss=ISSUER + "/", sub="agent:a"))),
        "token_issuer_unknown",
    ),
    "issuer unknown": (
        bearer(token(payload(iss="https://evil.test", sub="agent:a"))),
        "token_issuer_unknown",
    ),
    "issuer is a list": (
        bearer(token(payload(iss=[ISSUER], sub="agent:a"))),
        "token_issuer_unknown",
    ),
    "id token": (bearer(token(typ="id+jwt")), "token_type_refused"),
    "transaction token as a bearer": (bearer(token(typ="txntoken+jwt")), "token_type_refused"),
    "DPoP proof as a bearer": (bearer(token(typ="dpop+jwt")), "token_type_refused"),
    "no typ": (signed({"alg": "ES256", "kid": "p256"}), "token_header_refused"),
    "other tenant's key": (bearer(token(payload(iss=OTHER, sub="other:a"))), "token_key_mismatch"),
    "other issuer's subject": (
        bearer(token(payload(iss=OTHER), "EdDSA", "p256", ED25519)),
        "token_subject_refused",
    ),
    "sub is empty": (bearer(token(payload(sub=""))), "token_claim_malformed"),
    "sub is a number": (bearer(token(payload(sub=7))), "token_claim_malformed"),
    "act without sub": (bearer(token(payload(act={}))), "token_act_malformed"),
    "act too deep": (bearer(token(payload(act=chain(*"12345")))), "token_act_too_deep"),
    "actor of another issuer": (
        bearer(token(payload(act={"sub": "agent:a", "iss": "https://evil.test"}))),
        "token_actor_foreign",
    ),
    "actor may not act": (bearer(token(payload(act={"sub": "root"}))), "token_subject_refused"),
    "cnf that cannot be checked": (
        bearer(token(payload(cnf={"jwk": {}}))),
        "token_confirmation_refused",
    ),
    # SPIFFE.
    "SVID expired": (svid(exp=NOW - 60, iat=NOW - 300), "svid_expired"),
    "SVID for a day": (svid(exp=NOW + 86400), "svid_lifetime"),
    "SVID of a foreign trust domain": (
        svid("spiffe://evil.test/agent/a"),
        "svid_trust_domain_unknown",
    ),
    "SVID by a federated key": (svid(key=P384, header={"kid": "td"}), "svid_key_mismatch"),
    "SVID by a key for other uses": (svid(key=P384, header={"kid": "sig"}), "svid_key_unknown"),
    "SVID for two": (svid(aud=[RESOURCE, "x"]), "svid_audience"),
    "SVID for nobody": (svid(aud=None), "svid_aud_missing"),
    "SVID without exp": (svid(exp=None), "svid_exp_missing"),
    "SVID alg none": (svid(header={"alg": "none"}), "svid_alg_refused"),
    "SVID with jku": (svid(header={"jku": "https://evil.test"}), "svid_header_refused"),
    "SVID of another kind": (svid(header={"typ": "at+jwt"}), "svid_type_refused"),
    "SVID that delegates": (svid(act={"sub": "x"}), "svid_delegation_refused"),
    "SVID of no agent": (svid("spiffe://corp.test/web"), "svid_subject_refused"),
    "SPIFFE:// in capitals": (svid("SPIFFE://corp.test/agent/a"), "spiffe_id_scheme"),
    "spiffe:/ with one slash": (svid("spiffe:/corp.test/agent/a"), "spiffe_id_scheme"),
    "trust domain in capitals": (svid("spiffe://CORP.test/agent/a"), "spiffe_id_trust_domain"),
    "trust domain with a port": (svid("spiffe://corp.test:80/agent/a"), "spiffe_id_trust_domain"),
    "trust domain with a user": (svid("spiffe://x@corp.test/agent/a"), "spiffe_id_trust_domain"),
    "dots in the path": (svid("spiffe://corp.test/agent/../admin"), "spiffe_id_path"),
    "encoded path": (svid("spiffe://corp.test/agent/%61"), "spiffe_id_path"),
    "empty segment": (svid("spiffe://corp.test/agent//a"), "spiffe_id_path"),
    "slash at the end": (svid("spiffe://corp.test/agent/"), "spiffe_id_path"),
    "query in the path": (svid("spiffe://corp.test/agent/a?x"), "spiffe_id_path"),
    "no path": (svid("spiffe://corp.test"), "spiffe_id_path"),
    # Proof of possession.
    "bound token as a bearer": (bearer(BOUND), "dpop_missing"),
    "bound token without a proof": (
        lambda: Credential(UnverifiedToken(BOUND), "dpop"),
        "dpop_missing",
    ),
    "proof without a token": (lambda: Credential(proof=proofs.proof()), "dpop_unasked"),
    "proof for an unbound token": (dpop(text=token()), "dpop_unbound"),
    "proof for another method": (dpop({"htm": "GET"}), "dpop_htm"),
    "proof for another URL": (dpop({"htu": "https://gw.test/hr/mcp"}), "dpop_htu"),
    "proof for another token": (dpop({"ath": proofs.ath("x")}), "dpop_ath"),
    "proof without ath": (dpop({"ath": None}), "dpop_ath"),
    "old proof": (dpop({"iat": NOW - 300}), "dpop_iat"),
    "proof of the future": (dpop({"iat": NOW + 300}), "dpop_iat"),
    "proof without jti": (dpop({"jti": None}), "dpop_jti"),
    "proof by another key": (dpop(algorithm="ES384"), "dpop_key_mismatch"),
    "proof not signed by its key": (
        dpop(private=Authority("y").private, jwk=proofs.public(P256)),
        "dpop_signature",
    ),
    "proof alg none": (dpop(alg="none"), "dpop_algorithm"),
    "proof of another kind": (dpop(typ="at+jwt"), "dpop_type"),
    "proof with a private key": (dpop(jwk=jwk(P256, "k", secret=True)), "dpop_key"),
    "token bound to a certificate": (
        bearer(token(payload(cnf={"x5t#S256": encode(bytes(32))}))),
        "certificate_required",
    ),
    "token bound to another certificate": (
        lambda: Credential(
            UnverifiedToken(token(payload(cnf={"x5t#S256": encode(bytes(32))}))),
            certificate=ForwardedCertificate(LEAF.text(None), "edge"),
        ),
        "certificate_mismatch",
    ),
    # Certificates.
    "two elements": (xfcc(f"{LEAF.text()},{LEAF.text()}"), "xfcc_several_elements"),
    "no XFCC": (xfcc("hello"), "xfcc_malformed"),
    "hash of another": (xfcc(LEAF.text(Hash="0" * 64)), "xfcc_hash_mismatch"),
    "URI of another": (xfcc(LEAF.text("spiffe://corp.test/agent/b")), "certificate_uri_mismatch"),
    "certificate of a federated authority": (
        xfcc(FOREIGN.issue("spiffe://corp.test/agent/a").text()),
        "certificate_untrusted",
    ),
    "trust domain that the terminator may not vouch for": (
        xfcc(FOREIGN.issue("spiffe://partner.test/agent/a").text("spiffe://partner.test/agent/a")),
        "certificate_terminator_refused",
    ),
    "certificate expired": (
        xfcc(AUTHORITY.issue("spiffe://corp.test/agent/a", begins=NOW - 60, ends=NOW - 1).text()),
        "certificate_expired",
    ),
    "authority as a workload": (
        xfcc(AUTHORITY.issue("spiffe://corp.test/agent/a", ca=True).text()),
        "certificate_is_authority",
    ),
    # Transactions.
    "transaction of nobody known": (txn(iss=ISSUER), "transaction_issuer_unknown"),
    "transaction of another trust domain": (txn(aud="elsewhere"), "transaction_audience"),
    "transaction expired": (txn(iat=NOW - 300, exp=NOW - 100), "transaction_expired"),
    "access token as a transaction": (txn(typ="at+jwt"), "transaction_type_refused"),
}


SYSTEMS: dict[str, tuple[str, str]] = {
    "a scope is missing": ("scoped", "insufficient_scope"),
    "a bearer where DPoP is demanded": ("bound", "proof_required"),
    "a bearer where a certificate is demanded": ("mutual", "certificate_required"),
}


def line() -> Line:
    """Return a line that knows the world's callers by the real authenticator."""
    made = Line()
    made.clock = FakeClock(NOW * 10**9)
    made.authenticator = world(made.clock)  # type: ignore[assignment]
    return made


def asked(credential: Credential, system: str = "crm") -> Request:
    """Return a call of a tool, without a session."""
    return request(
        credential=credential,
        system=system,
        target=f"/{system}/mcp",
        resource=RESOURCE,
        headers={"content-type": "application/json"},
    )


def refused(made: Line) -> str:
    """Return the code of the one refusal that is recorded; the upstream must know nothing."""
    (fields,) = made.evidence.of("refusal")
    assert made.kinds() == ["refusal"]
    assert made.upstream.calls == []
    assert made.decision_point.documents == []
    assert fields["identity"] is None
    assert made.answer()["error"]["code"] == fields["decision"]["reasons"][0]["code"]
    return str(fields["decision"]["reasons"][0]["code"])


def test_the_table_is_long_enough() -> None:
    """Issue: at least 60 hostile tokens."""
    assert len(HOSTILE) >= 60


@pytest.mark.parametrize(("make", "code"), HOSTILE.values(), ids=HOSTILE)
async def test_a_hostile_credential_is_refused_by_its_code_and_recorded(
    make: Make, code: str
) -> None:
    """Issue: each refused with its own code, recorded, upstream untouched."""
    made = line()
    await made.walk(asked(make()))
    assert refused(made) == code
    assert made.caller.status == 401


@pytest.mark.parametrize(("system", "code"), SYSTEMS.values(), ids=SYSTEMS)
async def test_what_a_system_demands_is_not_waived(system: str, code: str) -> None:
    """Issue: a system can require proof of possession, and scopes."""
    made = line()
    await made.walk(asked(bearer(token())(), system))
    assert refused(made) == code
    assert made.caller.status == (403 if code == "insufficient_scope" else 401)


GOOD: dict[str, tuple[Make, str, str]] = {
    "access token": (bearer(token()), "spiffe://corp.test/agent/a", "bearer"),
    "JWT-SVID": (svid(), "spiffe://corp.test/agent/a", "bearer"),
    "federated JWT-SVID": (
        svid("spiffe://partner.test/agent/p", P384),
        "spiffe://partner.test/agent/p",
        "bearer",
    ),
    "X.509-SVID": (xfcc(LEAF.text()), "spiffe://corp.test/agent/a", "x509-svid"),
    "DPoP": (dpop(), "spiffe://corp.test/agent/a", "dpop"),
    "certificate-bound": (
        lambda: Credential(
            UnverifiedToken(token(payload(cnf={"x5t#S256": encode(bytes.fromhex(LEAF.hash))}))),
            certificate=ForwardedCertificate(LEAF.text(None), "edge"),
        ),
        "spiffe://corp.test/agent/a",
        "certificate",
    ),
    "delegated": (
        bearer(token(payload(sub="user-7", act={"sub": "agent:a"}))),
        "agent:a",
        "bearer",
    ),
    "transaction": (txn(), "spiffe://corp.test/agent/a", "bearer"),
}


@pytest.mark.parametrize(("make", "subject", "proof"), GOOD.values(), ids=GOOD)
async def test_a_good_credential_of_each_kind_is_accepted(
    make: Make, subject: str, proof: str
) -> None:
    """House: a table of refusals proves nothing where everything is refused."""
    made = line()
    await made.walk(asked(make()))
    assert made.kinds() == ["intent", "outcome"]
    (intent,) = made.evidence.of("intent")
    assert (intent["identity"]["sub"], intent["identity"]["proof"]) == (subject, proof)
    assert (intent["input"]["subject"]["id"], intent["input"]["subject"]["proof"]) == (
        subject,
        proof,
    )


async def test_the_person_and_the_agent_are_both_in_the_input_and_in_evidence() -> None:
    """Issue: only the outermost actor authorises; both are seen."""
    made = line()
    await made.walk(asked(GOOD["delegated"][0]()))
    (intent,) = made.evidence.of("intent")
    for place in (intent["identity"], intent["input"]["subject"]):
        assert place["on_behalf_of"] == "user-7"
    assert intent["identity"]["act"] == intent["input"]["subject"]["actors"] == ["agent:a"]


async def test_a_transaction_is_context_and_its_token_is_in_no_record() -> None:
    """Reference §4: not an authentication credential; not verbatim anywhere."""
    made, credential = line(), GOOD["transaction"][0]()
    await made.walk(asked(credential))
    (intent,) = made.evidence.of("intent")
    assert intent["input"]["context"]["transaction"]["id"] == "t-1"
    assert intent["identity"]["transaction"]["id"] == "t-1"
    assert credential.transaction is not None
    assert credential.transaction.text not in json.dumps(made.evidence.records)


async def test_a_proof_is_worth_one_request() -> None:
    """RFC 9449 §11.1: the same proof twice is a replay."""
    made, credential = line(), dpop()()
    await made.walk(asked(credential))
    await made.walk(asked(credential))
    assert made.kinds() == ["intent", "outcome", "refusal"]
    (refusal,) = made.evidence.of("refusal")
    assert refusal["decision"]["reasons"][0]["code"] == "dpop_replay"
    assert len(made.upstream.calls) == 1


async def test_flags_are_in_the_input_and_in_evidence() -> None:
    """Issue: NHI9 and NHI10 are seen by policy and kept."""
    made = line()
    credential = bearer(token(payload(sub="agent:person")))()
    for source in ("192.0.2.1", "198.51.100.1"):
        await made.walk(replace(asked(credential), source=source))
    seen = [fields["identity"]["flags"] for fields in made.evidence.of("intent")]
    assert seen == [["human_looking"], ["human_looking", "two_networks"]]
    assert made.evidence.of("intent")[1]["input"]["subject"]["flags"] == seen[1]
