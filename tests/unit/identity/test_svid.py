import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.core.canonical import digest
from gateway.core.claims import Claims
from gateway.core.errors import CredentialRejected, IssuerUnavailable
from gateway.identity import jws, svid
from gateway.identity.steps import Steps
from gateway.identity.svid import SVIDVerifier
from tests.fakes_clock import FakeClock
from tests.unit.identity.certificates import DOMAIN, WORKLOAD, Authority
from tests.unit.identity.keys import ED25519, NOW, P256, encode, key_set, sign
from tests.unit.identity.spiffe import (
    ALL_JWT_KEYS,
    authenticated,
    jwt_key,
    jwt_svid,
    rejected,
    svid_claims,
    trusted_domain,
    verified,
    x509_key,
)
from tests.unit.identity.tokens import RESOURCE, Publisher, titles

THUMBPRINT = encode(b"\x01" * 32)
STRANGER = ec.generate_private_key(ec.SECP256R1())
"""A key that is in no bundle."""


def claims(text: str, **members: Any) -> Claims:
    """Return the claims that a good JWT-SVID must give."""
    known: dict[str, Any] = {
        "subject": WORKLOAD,
        "issuer": f"spiffe://{DOMAIN}",
        "audience": RESOURCE,
        "issued_at": NOW - 10,
        "expires_at": NOW + 290,
        "scheme": "jwt-svid",
        "algorithm": "ES256",
        "key_id": "p256",
        "token_id": None,
        "token_digest": digest(text.encode()),
        "key_age_seconds": 0,
    }
    return Claims(**(known | members))


# Good ones.


@pytest.mark.parametrize(
    ("algorithm", "name"),
    [("ES256", "p256"), ("ES384", "p384"), ("RS256", "rsa"), ("PS256", "rsa")],
)
@pytest.mark.parametrize("typ", ["JWT", "JOSE"])
async def test_a_good_svid_gives_its_claims(algorithm: str, name: str, typ: str) -> None:
    """JWT-SVID §2, §4."""
    text = jwt_svid(name=name, algorithm=algorithm, typ=typ)
    assert await authenticated(text) == claims(text, algorithm=algorithm, key_id=name)


@pytest.mark.parametrize("header", [{}, {"kid": "p256"}], ids=["alg", "alg-kid"])
async def test_typ_and_kid_may_be_absent(header: dict[str, str]) -> None:
    """JWT-SVID §2.2, §2.3: optional both."""
    written = json.dumps({"alg": "ES256"} | header).encode()
    text = sign(written, json.dumps(svid_claims()).encode(), P256, "ES256")
    assert await authenticated(text) == claims(text)


async def test_who_says_it_and_for_whom_else_is_not_what_identifies() -> None:
    """JWT-SVID §3: claims beside are for policy; House: `iss` and `scope` name nobody."""
    text = jwt_svid(svid_claims(iss="https://other.test", jti="t-1", nbf=NOW, scope="a b"))
    assert await authenticated(text) == claims(
        text, token_id="t-1", other={"iss": "https://other.test", "scope": "a b"}
    )


async def test_without_iat_the_earliest_time_counts() -> None:
    """JWT-SVID §3.3: only `exp` is needed; House: as if it had the longest life."""
    text = jwt_svid(svid_claims("iat"))
    domain = trusted_domain(max_lifetime_seconds=300)
    assert await authenticated(text, domain) == claims(text, issued_at=NOW - 10)


async def test_a_trust_domain_with_an_audience_of_its_own_has_no_other() -> None:
    """JWT-SVID §3.2."""
    own = trusted_domain(audience="bailiwick")
    text = jwt_svid(svid_claims(aud="bailiwick"))
    assert await authenticated(text, own) == claims(text, audience="bailiwick")
    assert await rejected(jwt_svid(), own) == "svid_audience"


@pytest.mark.parametrize("name", ["jkt", "x5t#S256"])
async def test_a_binding_that_can_be_checked_is_kept(name: str) -> None:
    """RFC 7800 §3.1; RFC 9449 §6.1; RFC 8705 §3.1."""
    text = jwt_svid(svid_claims(cnf={name: THUMBPRINT}))
    assert await authenticated(text) == claims(text, confirmation={name: THUMBPRINT})


async def test_the_age_of_the_bundle_is_told() -> None:
    """House: evidence says how old the keys were."""
    clock = FakeClock(NOW * 10**9)
    good = await verified(jwt_svid(), trusted_domain(clock=clock))
    clock.advance(77)
    assert good.current().key_age_seconds == 77


async def test_each_check_is_said_before_it_is_made() -> None:
    """House: the last step said is the one that failed."""
    steps = Steps()
    await verified(jwt_svid(), steps=steps)
    assert titles(steps) == [
        "the header holds alg, kid and typ alone",
        "the subject is a SPIFFE ID",
        "its trust domain is configured",
        "a key of the trust domain's own bundle holds the signature",
        "the audience is this gateway alone",
        "the SVID is within its time",
        "the trust domain may vouch for the workload",
        "it delegates nothing, and a key that it is bound to can be checked",
    ]


# The header.


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256", "HS512", "EdDSA", "ES512"])
async def test_an_algorithm_that_is_not_for_svids_is_refused(algorithm: str) -> None:
    """JWT-SVID §2.1; RFC 8725 §3.1."""
    header = json.dumps({"alg": algorithm, "kid": "p256"}).encode()
    signed = sign(header, json.dumps(svid_claims()).encode(), P256, "ES256")
    assert await rejected(signed) == "svid_alg_refused"
    assert await rejected(signed.rpartition(".")[0] + ".") == "svid_alg_refused"


@pytest.mark.parametrize("algorithm", ["es256", "", None, 1, ["ES256"], {"ES256": 1}], ids=repr)
async def test_an_algorithm_in_another_form_is_refused(algorithm: Any) -> None:
    """RFC 7515 §4.1.1: case-sensitive text."""
    header = json.dumps({"alg": algorithm, "kid": "p256"}).encode()
    text = sign(header, json.dumps(svid_claims()).encode(), P256, "ES256")
    assert await rejected(text) == "svid_alg_refused"


async def test_a_public_key_is_not_a_secret() -> None:
    """RFC 8725 §2.1: whoever knows a key of the bundle cannot sign by it."""
    header = json.dumps({"alg": "HS256", "kid": "p256"}).encode()
    # Not a PEM, which the library would refuse by itself.
    secret = json.dumps(jwt_key()).encode()
    text = sign(header, json.dumps(svid_claims()).encode(), secret, "HS256")
    assert await rejected(text) == "svid_alg_refused"


async def test_an_edwards_key_in_the_bundle_signs_no_svid() -> None:
    """JWT-SVID §2.1: RS, ES and PS alone."""
    text = jwt_svid(name="ed", algorithm="EdDSA", private=ED25519)
    assert await rejected(text) == "svid_alg_refused"


@pytest.mark.parametrize(
    "member",
    [
        {"jwk": {"kty": "EC"}},
        {"jku": "https://evil.test/keys"},
        {"x5u": "https://evil.test/cert"},
        {"x5c": ["AAAA"]},
        {"x5t": "AAAA"},
        {"x5t#S256": THUMBPRINT},
        {"crit": ["b64"]},
        {"b64": True},
        {"cty": "JWT"},
        {"zip": "DEF"},
        {"enc": "A128GCM"},
        {"KID": "p256"},
        {"x": None},
        {"kid": 1},
        {"kid": ["p256"]},
    ],
    ids=repr,
)
async def test_a_header_that_holds_anything_else_is_refused(member: dict[str, Any]) -> None:
    """JWT-SVID §2: no other members."""
    assert await rejected(jwt_svid(**member)) == "svid_header_refused"


@pytest.mark.parametrize(
    "typ", ["at+jwt", "jwt", "JWT-SVID", "dpop+jwt", "txntoken+jwt", "", None, 1, ["JWT"]], ids=repr
)
async def test_another_type_is_no_svid(typ: Any) -> None:
    """JWT-SVID §2.3."""
    assert await rejected(jwt_svid(typ=typ)) == "svid_type_refused"


# The subject and its trust domain.


@pytest.mark.parametrize(
    ("subject", "part"),
    [
        (f"SPIFFE://{DOMAIN}/agent/a", "scheme"),
        (f"Spiffe://{DOMAIN}/agent/a", "scheme"),
        (f"spiffe:/{DOMAIN}/agent/a", "scheme"),
        (f"spiffe:{DOMAIN}", "scheme"),
        ("spiffe:", "scheme"),
        ("spiffe:///agent/a", "trust_domain"),
        ("spiffe://CORP.test/agent/a", "trust_domain"),
        (f"spiffe://{DOMAIN}:443/agent/a", "trust_domain"),
        (f"spiffe://x@{DOMAIN}/agent/a", "trust_domain"),
        (f"spiffe://{DOMAIN}%2F/agent/a", "trust_domain"),
        (f"spiffe://{DOMAIN}\\@evil.test/agent/a", "trust_domain"),
        (f"spiffe://{DOMAIN}", "path"),
        (f"spiffe://{DOMAIN}/", "path"),
        (f"spiffe://{DOMAIN}/agent/../admin", "path"),
        (f"spiffe://{DOMAIN}/agent/./a", "path"),
        (f"spiffe://{DOMAIN}/agent/%2e%2e/admin", "path"),
        (f"spiffe://{DOMAIN}//agent/a", "path"),
        (f"spiffe://{DOMAIN}/agent/a/", "path"),
        (f"spiffe://{DOMAIN}/agent/a?x", "path"),
        (f"spiffe://{DOMAIN}/agent/a#x", "path"),
        (f"spiffe://{DOMAIN}/agent/a\n", "path"),
        (f"spiffe://{DOMAIN}/agent/\u0430", "length"),
        (f"spiffe://{DOMAIN}/" + "a" * 2048, "length"),
    ],
    ids=str,
)
async def test_a_subject_in_any_other_spelling_is_ours_to_refuse(subject: str, part: str) -> None:
    """SPIFFE-ID §2; House: no issuer may speak for what only looks like a SPIFFE ID."""
    text = jwt_svid(svid_claims(sub=subject))
    assert SVIDVerifier((), FakeClock()).knows(jws.read(text))
    assert await rejected(text) == f"spiffe_id_{part}"


@pytest.mark.parametrize("subject", ["agent", "https://corp.test/a", " spiffe://a/b", "", 1, None])
def test_any_other_subject_is_somebody_elses(subject: Any) -> None:
    """House: tokens of issuers are told from SVIDs by their subject."""
    verifier = SVIDVerifier((), FakeClock())
    assert not verifier.knows(jws.read(jwt_svid(svid_claims(sub=subject))))
    assert not verifier.knows(jws.read(jwt_svid(svid_claims("sub"))))


@pytest.mark.parametrize("subject", ["", 1, None, [WORKLOAD], {"sub": WORKLOAD}], ids=repr)
async def test_a_subject_that_is_not_text_is_refused(subject: Any) -> None:
    """JWT-SVID §3.1."""
    assert await rejected(jwt_svid(svid_claims(sub=subject))) == "svid_claim_malformed"
    assert await rejected(jwt_svid(svid_claims("sub"))) == "svid_claim_malformed"


@pytest.mark.parametrize("name", ["evil.test", "a.corp.test", "corp.tes", "corp.test.", "test"])
async def test_a_trust_domain_that_is_not_configured_is_refused(name: str) -> None:
    """JWT-SVID §4; House: without asking anybody, and whatever key it shows."""
    publisher = Publisher(ALL_JWT_KEYS)
    text = jwt_svid(svid_claims(sub=f"spiffe://{name}/agent/a"))
    assert await rejected(text, trusted_domain(publisher)) == "svid_trust_domain_unknown"
    assert publisher.asked == 0


@pytest.mark.parametrize(("kid", "code"), [("p384", "key_unknown"), (None, "signature")])
async def test_a_trust_domain_cannot_vouch_for_anothers_workload(
    kid: str | None, code: str
) -> None:
    """SPIFFE Federation §7.1; House: no pool, each trust domain has its own keys."""
    ours = trusted_domain(key_set(jwt_key("p256")))
    theirs = trusted_domain(key_set(jwt_key("p384")), "partner.test")
    member = svid_claims(sub="spiffe://partner.test/agent/a")
    good = jwt_svid(member, "p384", "ES384", kid=kid)
    assert (await authenticated(good, ours, theirs)).issuer == "spiffe://partner.test"
    assert await rejected(jwt_svid(None, "p384", "ES384", kid=kid), ours, theirs) == f"svid_{code}"


async def test_the_same_kid_in_another_trust_domain_is_another_key() -> None:
    """SPIFFE Federation §7.1."""
    ours = trusted_domain(key_set(jwt_key("p256", "a")))
    theirs = trusted_domain(key_set(jwt_key(kid="a", **_point(STRANGER))), "partner.test")
    member = svid_claims(sub="spiffe://partner.test/agent/a")
    good = await authenticated(jwt_svid(member, private=STRANGER, kid="a"), ours, theirs)
    assert good.subject == "spiffe://partner.test/agent/a"
    assert await rejected(jwt_svid(private=STRANGER, kid="a"), ours, theirs) == "svid_signature"
    assert await rejected(jwt_svid(member, kid="a"), ours, theirs) == "svid_signature"


# The key and the signature.


async def test_a_signature_by_another_key_does_not_hold() -> None:
    """RFC 7515 §5.2."""
    assert await rejected(jwt_svid(private=STRANGER)) == "svid_signature"
    assert await rejected(jwt_svid(private=STRANGER, kid=None)) == "svid_signature"


@pytest.mark.parametrize("part", [0, 1, 2])
async def test_a_part_of_another_svid_does_not_fit(part: int) -> None:
    """RFC 7515 §5.2."""
    parts = jwt_svid().split(".")
    parts[part] = jwt_svid(svid_claims(jti="other"), typ="JOSE").split(".")[part]
    assert await rejected(".".join(parts)) == "svid_signature"


async def test_without_a_signature_nothing_holds() -> None:
    """RFC 8725 §3.2."""
    assert await rejected(jwt_svid().rpartition(".")[0] + ".") == "svid_signature"


@pytest.mark.parametrize(
    ("name", "algorithm", "kid"),
    [("p256", "ES256", "rsa"), ("p256", "ES256", "p384"), ("p384", "ES384", "p256")],
)
async def test_a_key_is_used_for_its_own_algorithm_alone(
    name: str, algorithm: str, kid: str
) -> None:
    """RFC 7518 §3.1; RFC 8725 §3.1."""
    assert await rejected(jwt_svid(None, name, algorithm, kid=kid)) == "svid_key_mismatch"


@pytest.mark.parametrize("kid", ["", "P256", "p256 ", "../p256", "a" * 1000])
async def test_a_key_id_that_is_not_in_the_bundle_is_unknown(kid: str) -> None:
    """JWT-SVID §4.1: to the letter."""
    assert await rejected(jwt_svid(kid=kid)) == "svid_key_unknown"


@pytest.mark.parametrize("use", ["sig", "x509-svid", "wit-svid"])
async def test_a_key_for_something_else_signs_no_svid(use: str) -> None:
    """SPIFFE Trust Domain and Bundle §4.2.2."""
    domain = trusted_domain(key_set(jwt_key("rsa"), jwt_key(use=use)))
    assert await rejected(jwt_svid(), domain) == "svid_key_unknown"
    assert await rejected(jwt_svid(kid=None), domain) == "svid_signature"


async def test_a_bundle_of_authorities_alone_verifies_no_jwt_svid() -> None:
    """JWT-SVID §6.2."""
    domain = trusted_domain(key_set(x509_key(Authority(private=P256).certificate)))
    assert await rejected(jwt_svid(), domain) == "svid_key_unknown"


async def test_without_a_kid_each_key_that_fits_is_tried() -> None:
    """JWT-SVID §2.2; House: evidence names the one that held all the same."""
    bundle = key_set(
        jwt_key("rsa"),
        jwt_key("p384"),
        jwt_key(kid="theirs", **_point(STRANGER)),
        jwt_key("p256", "ours"),
    )
    text = jwt_svid(kid=None)
    assert await authenticated(text, trusted_domain(bundle)) == claims(text, key_id="ours")


async def test_without_a_kid_only_so_many_keys_are_tried() -> None:
    """House: a forged token must not cost 64 signature checks on the event loop."""
    others = [jwt_key(kid=f"theirs-{n}", **_point(STRANGER)) for n in range(svid.MAX_TRIED)]
    text = jwt_svid(kid=None)
    tried = key_set(*others[1:], jwt_key("p256", "ours"))
    assert (await authenticated(text, trusted_domain(tried))).key_id == "ours"
    beyond = key_set(*others, jwt_key("p256", "ours"))
    assert await rejected(text, trusted_domain(beyond)) == "svid_signature"


def _point(private: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    """Return the coordinates of a P-256 key."""
    numbers = private.public_key().public_numbers()
    return {"x": encode(numbers.x.to_bytes(32)), "y": encode(numbers.y.to_bytes(32))}


async def test_a_bundle_that_cannot_be_had_is_an_outage_and_no_refusal() -> None:
    """House: the caller may be good; fails closed all the same."""
    with pytest.raises(IssuerUnavailable):
        await verified(jwt_svid(), trusted_domain(b"{}"))


# The audience.


@pytest.mark.parametrize("without", ["absent", "null"])
async def test_an_svid_without_an_audience_is_refused(without: str) -> None:
    """JWT-SVID §3.2: at least one."""
    absent = svid_claims("aud") if without == "absent" else svid_claims(aud=None)
    assert await rejected(jwt_svid(absent)) == "svid_aud_missing"


@pytest.mark.parametrize(
    "audience",
    [
        "https://gw.test",
        RESOURCE + "/",
        RESOURCE.upper(),
        "https://gw.test/hr/mcp",
        [RESOURCE, "https://gw.test/hr/mcp"],
        ["other", RESOURCE],
        [RESOURCE, RESOURCE],
        [[RESOURCE]],
        [],
        [""],
        "",
        1,
        True,
        {RESOURCE: 1},
    ],
    ids=repr,
)
async def test_an_svid_for_anyone_else_too_is_refused(audience: Any) -> None:
    """JWT-SVID §3.2, §7.2; House: one audience, or either could replay it to the other."""
    assert await rejected(jwt_svid(svid_claims(aud=audience))) == "svid_audience"


async def test_a_list_of_one_audience_is_that_audience() -> None:
    """RFC 7519 §4.1.3."""
    for audience in (RESOURCE, [RESOURCE]):
        text = jwt_svid(svid_claims(aud=audience))
        assert await authenticated(text) == claims(text)


async def test_a_route_without_a_name_is_nobodys_audience() -> None:
    """House: nothing is meant for what has no name."""
    with pytest.raises(CredentialRejected) as caught:
        await verified(jwt_svid(svid_claims(aud="")), resource="")
    assert caught.value.reason_code == "svid_audience"


# Times; `test_times.py` has the rest.

LATE: dict[str, tuple[dict[str, Any], str]] = {
    "no-exp": ({"exp": None}, "exp_missing"),
    "iat-null": ({"iat": None}, "iat_missing"),
    "exp-text": ({"exp": str(NOW + 60)}, "time_malformed"),
    "exp-fraction": ({"exp": NOW + 60.5}, "time_malformed"),
    "iat-true": ({"iat": True}, "time_malformed"),
    "nbf-text": ({"nbf": "0"}, "time_malformed"),
    "exp-negative": ({"exp": -1}, "time_malformed"),
    "expired": ({"iat": NOW - 300, "exp": NOW - 30}, "expired"),
    "expired-at-once": ({"iat": NOW - 300, "exp": 0}, "expired"),
    "issued-later": ({"iat": NOW + 31}, "not_yet_valid"),
    "begins-later": ({"nbf": NOW + 31}, "not_yet_valid"),
    "lives-too-long": ({"iat": NOW - 11}, "lifetime"),
    "ends-before-it-begins": ({"iat": NOW + 20, "exp": NOW + 10}, "lifetime"),
    "lives-not-at-all": ({"iat": NOW, "exp": NOW}, "lifetime"),
}


@pytest.mark.parametrize("name", LATE)
async def test_an_svid_that_is_not_within_its_time_is_refused(name: str) -> None:
    """JWT-SVID §3.3, §4; RFC 7519 §4.1.4 to §4.1.6."""
    members, code = LATE[name]
    text = jwt_svid(svid_claims(**members))
    assert await rejected(text, trusted_domain(max_lifetime_seconds=300)) == f"svid_{code}"


async def test_without_exp_an_svid_would_hold_for_ever() -> None:
    """JWT-SVID §3.3: MUST be set."""
    assert await rejected(jwt_svid(svid_claims("exp"))) == "svid_exp_missing"


async def test_clocks_may_differ_by_the_leeway() -> None:
    """JWT-SVID §3.3."""
    for members in ({"iat": NOW - 99, "exp": NOW - 29}, {"iat": NOW + 30}, {"nbf": NOW + 30}):
        await verified(jwt_svid(svid_claims(**members)))


async def test_without_iat_the_time_that_is_left_is_within_the_cap() -> None:
    """House: a life that nobody told is not a longer one."""
    domain = trusted_domain(max_lifetime_seconds=300)
    for left, good in ((330, True), (331, False), (10**9, False)):
        text = jwt_svid(svid_claims("iat", exp=NOW + left))
        if good:
            assert (await authenticated(text, domain)).issued_at == NOW + 30
        else:
            assert await rejected(text, domain) == "svid_lifetime"


# What it may say.


@pytest.mark.parametrize("act", [{"sub": "agent"}, {}, None, "agent", False], ids=repr)
async def test_an_svid_that_delegates_is_refused(act: Any) -> None:
    """House: a SPIFFE ID is a workload and acts for itself; RFC 8693 §4.1 is for issuers."""
    assert await rejected(jwt_svid(svid_claims(act=act))) == "svid_delegation_refused"


@pytest.mark.parametrize(
    "bound",
    [
        {},
        None,
        "jkt",
        {"jwk": {}},
        {"jkt": "AAAA"},
        {"jkt": 1},
        {"jkt": THUMBPRINT + "="},
        {"x5t": THUMBPRINT},
        {"jkt": THUMBPRINT, "x5t#S256": THUMBPRINT},
    ],
    ids=repr,
)
async def test_a_binding_that_cannot_be_checked_is_not_ignored(bound: Any) -> None:
    """RFC 7800 §3.1."""
    assert await rejected(jwt_svid(svid_claims(cnf=bound))) == "token_confirmation_refused"


@pytest.mark.parametrize("jti", ["", 1, ["t-1"], {}, False], ids=repr)
async def test_a_token_id_that_is_not_text_is_refused(jti: Any) -> None:
    """RFC 7519 §4.1.7."""
    assert await rejected(jwt_svid(svid_claims(jti=jti))) == "svid_claim_malformed"


@pytest.mark.parametrize(
    ("path", "good"),
    [
        ("/agent/a", True),
        ("/agent/b/c", True),
        ("/crm", True),
        ("/agents/a", False),
        ("/agent", False),
        ("/admin", False),
        ("/Agent/a", False),
        ("/x/agent/a", False),
    ],
)
async def test_a_trust_domain_vouches_only_for_what_it_may(path: str, good: bool) -> None:
    """House: a federated trust domain need not be believed for all of its names."""
    subjects = (f"spiffe://{DOMAIN}/agent/", f"spiffe://{DOMAIN}/crm")
    domain = trusted_domain(subjects=subjects)
    text = jwt_svid(svid_claims(sub=f"spiffe://{DOMAIN}{path}"))
    if good:
        assert (await authenticated(text, domain)).subject == f"spiffe://{DOMAIN}{path}"
    else:
        assert await rejected(text, domain) == "svid_subject_refused"


# What a refusal says.


@pytest.mark.parametrize(
    "text",
    [
        jwt_svid(private=STRANGER),
        jwt_svid(svid_claims(aud="secret")),
        jwt_svid(svid_claims(sub="spiffe://secret.test/a")),
        jwt_svid(svid_claims(act={"sub": "secret"})),
        jwt_svid(kid="secret"),
        jwt_svid(secret="secret"),
        jwt_svid(typ="secret"),
    ],
    ids=["signature", "audience", "domain", "act", "kid", "header", "typ"],
)
async def test_a_refusal_repeats_nothing_of_the_token(text: str) -> None:
    """House: messages reach the caller, and logs."""
    with pytest.raises(CredentialRejected) as caught:
        await verified(text)
    assert "secret" not in caught.value.message
    assert not any(part in caught.value.message for part in text.split("."))


async def test_nothing_of_the_claims_is_believed_before_the_signature_holds() -> None:
    """House: a forger learns nothing of what would have been refused next."""
    wrong = svid_claims(aud="other", exp=0, act={}, cnf={}, jti=1)
    assert await rejected(jwt_svid(wrong, private=STRANGER)) == "svid_signature"
