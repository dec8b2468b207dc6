import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.core.call import Request
from gateway.core.claims import UnverifiedToken
from gateway.core.errors import CredentialRejected, ProofWanted
from gateway.identity.dpop import LEEWAY_SECONDS, DPoPVerifier, normal_url
from gateway.identity.nonces import SLOT_SECONDS
from gateway.identity.steps import Steps
from gateway.settings import DPoP
from tests.fakes_clock import FakeClock
from tests.unit.identity.clocks import SteppedClock
from tests.unit.identity.keys import NOW, P256, RSA, encode, jwk, sign
from tests.unit.identity.proofs import (
    RESOURCE,
    SIGNERS,
    TOKEN,
    ath,
    claims,
    proof,
    public,
    request,
    thumbprint,
)

NONCE_KEY = bytes(32)
JKT = thumbprint(P256)
OTHER = ec.generate_private_key(ec.SECP256R1())
MAX_AGE = 60


def verifier(clock: FakeClock | None = None, **settings: Any) -> DPoPVerifier:
    """Return a verifier at NOW."""
    return DPoPVerifier(DPoP(**settings), clock or FakeClock(NOW * 10**9), NONCE_KEY)


def accept(
    checks: DPoPVerifier,
    presented: UnverifiedToken | None,
    to: Request | None = None,
    token: str = TOKEN,
    jkt: str = JKT,
) -> Steps:
    """Verify a proof and return the steps that were taken."""
    steps = Steps()
    checks.verify(presented, to or request(), token, jkt, steps)
    return steps


def refused(*arguments: Any, **named: Any) -> str:
    """Return the code that a proof is refused with."""
    with pytest.raises(CredentialRejected) as caught:
        accept(*arguments, **named)
    return caught.value.reason_code


@pytest.mark.parametrize("algorithm", SIGNERS)
def test_a_proof_by_the_key_that_the_token_is_bound_to_is_accepted(algorithm: str) -> None:
    """RFC 9449 §4.3."""
    accept(verifier(), proof(algorithm=algorithm), jkt=thumbprint(SIGNERS[algorithm]))


def test_every_step_is_said_in_order() -> None:
    """House: what `bailiwick identity check` shows."""
    checks = verifier(nonce=True)
    steps = accept(checks, proof(claims(nonce=checks.nonce())))
    assert steps.taken == [
        ("a DPoP proof came and is a compact JWS, strictly spelled", ""),
        ("the proof's typ is dpop+jwt", "dpop+jwt"),
        ("the proof's algorithm is an accepted one", "ES256"),
        ("the proof's header is exactly typ, alg and jwk", ""),
        ("the proof's key is a public key of that algorithm", ""),
        ("the token is bound to the proof's key", JKT),
        ("the proof's signature holds", ""),
        ("the proof is for this method", "POST"),
        ("the proof is for this URL", f"{RESOURCE}, expected {RESOURCE}"),
        ("the proof is for this token", ""),
        ("the proof was made just now", f"iat {NOW}, now {NOW}"),
        ("the proof has an id", ""),
        ("the proof holds a nonce of ours", ""),
        ("the proof was not used before", ""),
    ]


def test_a_token_that_is_bound_to_a_key_is_worth_nothing_without_a_proof() -> None:
    """RFC 9449 §7.1, §7.2."""
    with pytest.raises(ProofWanted) as caught:
        accept(verifier(), None)
    assert (caught.value.reason_code, caught.value.nonce) == ("dpop_missing", None)


def resigned(body: bytes) -> UnverifiedToken:
    """Return a proof over exactly this payload."""
    header = json.dumps({"typ": "dpop+jwt", "alg": "ES256", "jwk": public(P256)}).encode()
    return UnverifiedToken(sign(header, body, P256, "ES256"))


GOOD = proof().text
HEAD, BODY, SIGNATURE = GOOD.split(".")
MALFORMED = {
    "empty": "",
    "one-part": HEAD,
    "two-parts": f"{HEAD}.{BODY}",
    "four-parts": f"{GOOD}.{SIGNATURE}",
    "two-proofs": f"{GOOD}, {GOOD}",
    "padded": GOOD + "==",
    "space": " " + GOOD,
    "not-ascii": GOOD + "é",
    "too-long": f"{HEAD}.{BODY}.{'A' * 8192}",
    "name-twice": resigned(b'{"jti":"a",' + json.dumps(claims()).encode()[1:]).text,
    "list": resigned(b"[]").text,
    "header-not-json": f"{encode(b'dpop+jwt')}.{BODY}.{SIGNATURE}",
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED)
def test_a_proof_that_is_not_one_jws_is_refused(text: str) -> None:
    """RFC 9449 §4.3 no. 1, 2."""
    assert refused(verifier(), UnverifiedToken(text)) == "dpop_malformed"


@pytest.mark.parametrize(
    "kind", [None, "JWT", "at+jwt", "DPOP+JWT", "application/dpop+jwt", "dpop", 1, ["dpop+jwt"]]
)
def test_a_jws_that_is_no_proof_is_refused(kind: Any) -> None:
    """RFC 9449 §4.3 no. 4; RFC 8725 §3.11: no other JWT passes for a proof."""
    assert refused(verifier(), proof(typ=kind)) == "dpop_type"


@pytest.mark.parametrize(
    "algorithm", [None, "none", "HS256", "ES512", "ES256K", "RS512", "es256", 1, ["ES256"]]
)
def test_an_algorithm_that_is_not_on_the_list_is_refused(algorithm: Any) -> None:
    """RFC 9449 §4.3 no. 5."""
    assert refused(verifier(), proof(alg=algorithm)) == "dpop_algorithm"


@pytest.mark.parametrize(
    "member",
    [
        {"kid": "a"},
        {"x5c": ["AAAA"]},
        {"jku": "https://issuer.test/jwks"},
        {"crit": ["b64"]},
        {"jwk": None},
    ],
    ids=["kid", "x5c", "jku", "crit", "no-jwk"],
)
def test_a_header_with_more_or_less_than_it_needs_is_refused(member: dict[str, Any]) -> None:
    """RFC 9449 §4.2; House: nothing in a header chooses what is trusted."""
    assert refused(verifier(), proof(**member)) == "dpop_header"


@pytest.mark.parametrize(
    "key",
    [
        "text",
        {name: value for name, value in jwk(P256, "", secret=True).items() if name != "kid"},
        public(RSA),
        public(P256, x5c=["AAAA"]),
    ],
    ids=["no-key", "private", "other-kind", "certificate"],
)
def test_a_key_that_is_not_a_plain_public_one_of_the_algorithm_is_refused(key: Any) -> None:
    """RFC 9449 §4.3 no. 7; the rest is in test_proof_key.py."""
    assert refused(verifier(), proof(jwk=key)) == "dpop_key"


@pytest.mark.parametrize(
    "jkt",
    [thumbprint(OTHER), "", "é", JKT.swapcase(), JKT + "="],
    ids=["other", "empty", "not-ascii", "other-case", "padded"],
)
def test_a_good_proof_by_another_key_is_refused(jkt: str) -> None:
    """RFC 9449 §4.3 no. 12, §6.1."""
    assert refused(verifier(), proof(), jkt=jkt) == "dpop_key_mismatch"


def tampered(part: int) -> UnverifiedToken:
    """Return a good proof with another payload or signature."""
    parts, others = proof().text.split("."), proof(claims(htm="GET")).text.split(".")
    parts[part] = others[part]
    return UnverifiedToken(".".join(parts))


@pytest.mark.parametrize("part", [1, 2], ids=["payload", "signature"])
def test_a_proof_that_its_key_did_not_sign_is_refused(part: int) -> None:
    """RFC 9449 §4.3 no. 6."""
    assert refused(verifier(), tampered(part)) == "dpop_signature"


def test_naming_the_bound_key_is_no_proof_of_holding_it() -> None:
    """RFC 9449 §4.3 no. 6: the public key is in every proof for all to see."""
    assert refused(verifier(), proof(private=OTHER, jwk=public(P256))) == "dpop_signature"


@pytest.mark.parametrize("method", [None, "GET", "post", "POST ", "", 1, ["POST"]])
def test_a_proof_for_another_method_is_refused(method: Any) -> None:
    """RFC 9449 §4.3 no. 8."""
    assert refused(verifier(), proof(claims(htm=method))) == "dpop_htm"


SAME_URL = [
    RESOURCE,
    RESOURCE + "?query=1",
    RESOURCE + "#fragment",
    RESOURCE + "?query=/other#fragment?",
    "https://gw.test:443/crm/mcp",
    "HTTPS://GW.Test/crm/mcp",
]
OTHER_URL: list[Any] = [
    None,
    1,
    [RESOURCE],
    "",
    "/crm/mcp",
    "//gw.test/crm/mcp",
    "http://gw.test/crm/mcp",
    "https://gw.test:80/crm/mcp",
    "https://gw.test:8443/crm/mcp",
    "https://gw.test:/crm/mcp",
    "https://gw.test./crm/mcp",
    "https://gw.test.evil/crm/mcp",
    "https://evil.test/crm/mcp",
    "https://gw.test@evil.test/crm/mcp",
    "https://user@gw.test/crm/mcp",
    "https://gw.test/CRM/mcp",
    "https://gw.test/crm/mcp/",
    "https://gw.test/crm//mcp",
    "https://gw.test/./crm/mcp",
    "https://gw.test/erp/../crm/mcp",
    "https://gw.test/%63rm/mcp",
    "https://gw.test/erp/mcp",
    "https://gw.test/erp/mcp?https://gw.test/crm/mcp",
    "https://gw.test",
    "https:\\\\gw.test\\crm\\mcp",
    "https:///crm/mcp",
    " " + RESOURCE,
    RESOURCE + " ",
    RESOURCE + "\n",
    RESOURCE + "?a\n",
    RESOURCE + "?é",
    RESOURCE + "?a b",
    "http\u017f://gw.test/crm/mcp",
    "https://gw.te\u017ft/crm/mcp",
    "https://gw.test\t/crm/mcp",
]


@pytest.mark.parametrize("url", SAME_URL)
def test_a_url_may_be_spelled_in_the_ways_that_are_the_same_for_every_reader(url: str) -> None:
    """RFC 9449 §4.3 no. 9; RFC 3986 §6.2.2.1, §6.2.3."""
    accept(verifier(), proof(claims(htu=url)))


@pytest.mark.parametrize("url", OTHER_URL, ids=[ascii(url) for url in OTHER_URL])
def test_a_proof_for_another_url_is_refused(url: Any) -> None:
    """RFC 9449 §4.3 no. 9; House: a path has one spelling."""
    assert refused(verifier(), proof(claims(htu=url))) == "dpop_htu"


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("http://LOCALHOST:80", "http://localhost/"),
        ("http://localhost:443/a", "http://localhost:443/a"),
        ("https://[::1]:443/a", "https://[::1]/a"),
        ("https://[::1]:8443/a", "https://[::1]:8443/a"),
        ("https://[FE80::A]/a", "https://[fe80::a]/a"),
        ("https://[gw]/a", None),
        ("ftp://gw.test/a", None),
        ("", None),
    ],
)
def test_a_url_has_one_normal_form(url: str, normal: str | None) -> None:
    """RFC 3986 §6.2.3."""
    assert normal_url(url) == normal


def test_no_proof_is_for_a_request_without_a_url() -> None:
    """House: two that are no URLs are not the same URL."""
    assert refused(verifier(), proof(claims(htu="")), request(resource="")) == "dpop_htu"


@pytest.mark.parametrize(
    "digest", [None, ath("another.token.text"), ath(TOKEN) + "=", "", TOKEN, 1, "é"]
)
def test_a_proof_for_another_token_is_refused(digest: Any) -> None:
    """RFC 9449 §4.3 no. 12, §7.1."""
    assert refused(verifier(), proof(claims(ath=digest))) == "dpop_ath"


@pytest.mark.parametrize("offset", [-MAX_AGE, 0, LEEWAY_SECONDS])
def test_a_proof_from_the_edge_of_the_time_allowed_is_accepted(offset: int) -> None:
    """RFC 9449 §4.3 no. 11."""
    accept(verifier(), proof(claims(iat=NOW + offset)))


@pytest.mark.parametrize("offset", [-MAX_AGE - 1, LEEWAY_SECONDS + 1, -NOW, 10**9])
def test_a_proof_that_is_old_or_from_the_future_is_refused(offset: int) -> None:
    """RFC 9449 §4.3 no. 11, §11.1."""
    assert refused(verifier(), proof(claims(iat=NOW + offset))) == "dpop_iat"


def test_settings_say_how_old_a_proof_may_be() -> None:
    """House."""
    checks = verifier(max_age_seconds=5)
    accept(checks, proof(claims(iat=NOW - 5)))
    assert refused(checks, proof(claims(iat=NOW - 6))) == "dpop_iat"


@pytest.mark.parametrize("issued", [None, str(NOW), float(NOW), True, [NOW]], ids=repr)
def test_a_time_that_is_no_whole_number_is_refused(issued: Any) -> None:
    """RFC 9449 §4.2; House: one form of time."""
    assert refused(verifier(), proof(claims(iat=issued))) == "dpop_iat"


@pytest.mark.parametrize("jti", ["a", "a" * 256, "é" * 256], ids=["1", "256", "256-not-ascii"])
def test_an_id_may_be_any_short_text(jti: str) -> None:
    """RFC 9449 §4.2."""
    accept(verifier(), proof(claims(jti=jti)))


@pytest.mark.parametrize("jti", [None, "", "a" * 257, 1, ["a"]], ids=["no", "0", "257", "1", "[]"])
def test_a_proof_without_a_usable_id_is_refused(jti: Any) -> None:
    """RFC 9449 §4.3 no. 3."""
    assert refused(verifier(), proof(claims(jti=jti))) == "dpop_jti"


@pytest.mark.parametrize("missing", ["jti", "htm", "htu", "iat", "ath"])
def test_every_claim_has_to_be_there(missing: str) -> None:
    """RFC 9449 §4.3 no. 3."""
    assert refused(verifier(), proof(claims(TOKEN, missing))) == f"dpop_{missing}"


def test_claims_that_nobody_asks_for_are_ignored() -> None:
    """RFC 7519 §4: a nonce too, as clients send one that another server gave."""
    accept(verifier(), proof(claims(nonce="other", more=1)))


# Replay.


def test_a_proof_is_worth_one_request() -> None:
    """RFC 9449 §11.1."""
    checks, once = verifier(), proof()
    accept(checks, once)
    assert refused(checks, once) == "dpop_replay"
    accept(checks, proof())


def test_an_id_is_spent_whatever_else_the_next_proof_says() -> None:
    """RFC 9449 §11.1."""
    checks = verifier()
    accept(checks, proof(claims(jti="a")))
    get = request(method="GET")
    assert refused(checks, proof(claims(jti="a", htm="GET")), get) == "dpop_replay"


WRONG: dict[str, dict[str, Any]] = {
    "htm": {"htm": "GET"},
    "htu": {"htu": "https://gw.test/erp/mcp"},
    "ath": {"ath": ath("other")},
    "iat": {"iat": NOW - MAX_AGE - 1},
    "nonce": {"nonce": "old"},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_proof_that_is_refused_uses_up_nothing(wrong: dict[str, Any]) -> None:
    """House: the retry with the nonce given, or a corrected one, may keep its id."""
    checks = verifier(nonce=True)
    good = claims(jti="a", nonce=checks.nonce())
    refused(checks, proof(good | wrong))
    accept(checks, proof(good))


def test_a_forger_cannot_use_up_the_ids_of_the_key_holder() -> None:
    """House: nothing is spent before the signature holds."""
    checks, once = verifier(), claims(jti="a")
    assert refused(checks, proof(once, private=OTHER, jwk=public(P256))) == "dpop_signature"
    accept(checks, proof(once))


@pytest.mark.parametrize("max_age", [1, MAX_AGE, 300])
def test_a_proof_is_remembered_until_it_is_too_old_by_its_last_nanosecond(max_age: int) -> None:
    """RFC 9449 §11.1: first used as early as can be, then as late as can be."""
    clock = FakeClock(NOW * 10**9)
    checks = verifier(clock, max_age_seconds=max_age)
    early = proof(claims(iat=NOW + LEEWAY_SECONDS))
    accept(checks, early)
    clock.advance(LEEWAY_SECONDS + max_age + 1 - 1e-9)
    assert refused(checks, early) == "dpop_replay"
    clock.advance(1e-9)
    assert refused(checks, early) == "dpop_iat"


def test_setting_the_clock_back_does_not_make_a_used_proof_good_again() -> None:
    """House."""
    clock = SteppedClock(NOW * 10**9)
    checks, once = verifier(clock), proof()
    accept(checks, once)
    clock.advance(3600)
    accept(checks, proof(claims(iat=NOW + 3600)))
    clock.step(-3600)
    assert refused(checks, once) == "dpop_clock_set_back"


# Nonces.


@pytest.mark.parametrize("nonce", [None, "", "other", 1, ["a"], "é"])
def test_a_proof_without_the_nonce_is_refused_and_told_it(nonce: Any) -> None:
    """RFC 9449 §9."""
    checks = verifier(nonce=True)
    with pytest.raises(ProofWanted) as caught:
        accept(checks, proof(claims(nonce=nonce)))
    assert caught.value.reason_code == "use_dpop_nonce"
    assert caught.value.nonce == checks.nonce()
    accept(checks, proof(claims(nonce=caught.value.nonce)))


def test_a_nonce_gets_old() -> None:
    """RFC 9449 §8.2, §11.3."""
    clock = FakeClock(NOW * 10**9)
    checks = verifier(clock, nonce=True, max_age_seconds=300)
    nonce = checks.nonce()
    clock.advance(SLOT_SECONDS)
    accept(checks, proof(claims(nonce=nonce)))
    clock.advance(SLOT_SECONDS)
    assert refused(checks, proof(claims(nonce=nonce))) == "use_dpop_nonce"


def test_who_sends_no_proof_is_told_the_nonce_at_once() -> None:
    """RFC 9449 §9: one round trip less."""
    checks = verifier(nonce=True)
    with pytest.raises(ProofWanted) as caught:
        accept(checks, None)
    assert caught.value.nonce == checks.nonce()


def test_without_nonces_none_is_given() -> None:
    """House."""
    assert verifier().nonce() is None


# What is shown.


@pytest.mark.parametrize(
    "value",
    ["\x1b[31mred", "\u202eleft", "a" * 500, "http://gw.test/" + "a" * 500, 10**15, ["a"]],
    ids=["escape", "bidi", "long", "long-url", "number", "list"],
)
def test_what_a_caller_wrote_is_shown_short_and_without_control_characters(value: Any) -> None:
    """House: findings are printed on terminals."""
    for wrong in (
        proof(typ=value),
        proof(alg=value),
        proof(claims(htm=value)),
        proof(claims(htu=value)),
        proof(claims(iat=value)),
    ):
        steps = Steps()
        with pytest.raises(CredentialRejected):
            verifier().verify(wrong, request(), TOKEN, JKT, steps)
        finding = steps.taken[-1][1]
        assert finding.isprintable()
        assert len(finding) < 300


def test_neither_findings_nor_errors_hold_the_proof_or_the_token() -> None:
    """House."""
    checks = verifier()
    good = proof()
    accept(checks, good)
    wrongs = [good, *(proof(claims(**wrong)) for wrong in WRONG.values()), tampered(2)]
    for wrong in wrongs:
        steps = Steps()
        try:
            checks.verify(wrong, request(), TOKEN, JKT, steps)
        except CredentialRejected as caught:
            told = f"{caught!r} {caught.__cause__!r} {steps.taken!r}"
            assert not any(part in told for part in (*wrong.text.split("."), TOKEN))
