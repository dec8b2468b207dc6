import hashlib
from typing import Any

import msgspec
import pytest

from gateway.core.errors import CredentialRejected, SettingsError
from gateway.identity import jws
from gateway.identity.access_token import AccessTokenVerifier
from gateway.settings import Claimed, Issuer
from tests.fakes_clock import FakeClock
from tests.unit.identity.keys import AUDIENCE, ISSUER, NOW, payload, token
from tests.unit.identity.tokens import (
    LIMITS,
    RESOURCE,
    authenticated,
    chain,
    claims,
    rejected,
    trusted,
    verified,
)

# Good tokens.


@pytest.mark.parametrize(
    ("algorithm", "kid"), [("ES256", "p256"), ("EdDSA", "ed"), ("RS256", "rsa")]
)
@pytest.mark.parametrize("typ", ["at+jwt", "JWT"])
async def test_a_good_token_gives_its_claims(algorithm: str, kid: str, typ: str) -> None:
    """RFC 7519 §7.2; RFC 9068 §4."""
    text = token(algorithm=algorithm, kid=kid, typ=typ)
    expected = claims(text, algorithm=algorithm, key_id=kid, scheme=typ.lower())
    assert await authenticated(text) == expected


async def test_every_other_claim_is_kept_for_policy_and_none_of_ours_is_doubled() -> None:
    """House."""
    text = token(payload(nbf=NOW, jti="t-1", tenant="acme", scope="a b", may_act={"sub": "x"}))
    assert await authenticated(text) == claims(
        text,
        token_id="t-1",
        tenant="acme",
        scopes=("a", "b"),
        flags=(),
        other={"may_act": {"sub": "x"}},
    )


@pytest.mark.parametrize("actors", [("a",), ("a", "b"), ("a", "b", "c", "d")], ids=len)
async def test_the_outermost_actor_is_the_workload_and_sub_is_whom_it_acts_for(
    actors: tuple[str, ...],
) -> None:
    """RFC 8693 §4.1."""
    text = token(payload(sub="user-7", act=chain(*actors)))
    assert await authenticated(text) == claims(
        text, subject="a", on_behalf_of="user-7", actors=actors
    )


# The audience, what is required.


@pytest.mark.parametrize("name", ["exp", "iat", "aud", "sub"])
async def test_a_token_without_a_required_claim_is_refused(name: str) -> None:
    """RFC 9068 §2.2."""
    assert await rejected(token(payload(name))) == f"token_{name}_missing"
    assert await rejected(token(payload(**{name: None}))) == f"token_{name}_missing"


@pytest.mark.parametrize(
    "audience",
    [
        "other",
        "Bailiwick",
        "bailiwick/",
        "bailiwic",
        "bailiwick other",
        ["bailiwick", "other"],
        ["other"],
        ["bailiwick", "bailiwick"],
        [["bailiwick"]],
        "",
        [],
        0,
        False,
        {"bailiwick": 1},
        1,
        True,
    ],
    ids=repr,
)
async def test_a_token_for_anyone_else_too_is_refused(audience: Any) -> None:
    """RFC 9068 §4; House: one audience, to the letter."""
    assert await rejected(token(payload(aud=audience))) == "token_audience"


async def test_a_list_of_one_audience_is_that_audience() -> None:
    """RFC 7519 §4.1.3."""
    text = token(payload(aud=[AUDIENCE]))
    assert await authenticated(text) == claims(text)


async def test_without_an_audience_of_its_own_the_issuers_tokens_are_for_the_route() -> None:
    """RFC 8707 §2; MCP authorization."""
    own = trusted(msgspec.structs.replace(LIMITS, audience=None))
    text = token(payload(aud=RESOURCE))
    assert (await verified(text, own)).claims == claims(text, audience=RESOURCE)
    for other in (AUDIENCE, RESOURCE + "/", "https://gw.test/hr/mcp", "https://gw.test", ""):
        assert await rejected(token(payload(aud=other)), own) == "token_audience"


async def test_a_route_without_a_name_is_nobodys_audience() -> None:
    """House: nothing is meant for what has no name."""
    own = trusted(msgspec.structs.replace(LIMITS, audience=None))
    with pytest.raises(CredentialRejected) as caught:
        await verified(token(payload(aud="")), own, resource="")
    assert caught.value.reason_code == "token_audience"


# The times.


@pytest.mark.parametrize(
    "value",
    [str(NOW), float(NOW), NOW + 0.5, 1e300, -1, True, False, [NOW], {"t": NOW}, "", "now"],
    ids=repr,
)
@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
async def test_a_time_that_is_not_a_plain_integer_is_refused(name: str, value: Any) -> None:
    """House: identity-and-approvals §2."""
    assert await rejected(token(payload(**{name: value}))) == "token_time_malformed"


async def test_a_begin_of_null_is_no_time() -> None:
    """House."""
    assert await rejected(token(payload(nbf=None))) == "token_time_malformed"


@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
async def test_a_time_that_some_reader_would_round_is_refused(name: str) -> None:
    """RFC 7493 §2.2."""
    assert await rejected(token(payload(**{name: 2**53}))) == "token_malformed"
    assert await rejected(token(payload(**{name: 10**400}))) == "token_malformed"


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"iat": NOW - 600, "exp": NOW - 30}, "token_expired"),
        ({"iat": NOW - 600, "exp": NOW - 31}, "token_expired"),
        ({"iat": 0, "exp": 1}, "token_expired"),
        ({"iat": 0, "exp": 0}, "token_expired"),
        ({"iat": NOW + 31, "exp": NOW + 600}, "token_not_yet_valid"),
        ({"nbf": NOW + 31}, "token_not_yet_valid"),
        ({"nbf": 2**53 - 1}, "token_not_yet_valid"),
        ({"iat": NOW, "exp": NOW + 3601}, "token_lifetime"),
        ({"iat": NOW - 3000, "exp": NOW + 601}, "token_lifetime"),
        ({"exp": 99_999_999_999_999}, "token_lifetime"),
        ({"exp": 2**53 - 1}, "token_lifetime"),
        ({"iat": 0}, "token_lifetime"),
        ({"iat": NOW + 10, "exp": NOW + 10}, "token_lifetime"),
        ({"iat": NOW + 10, "exp": NOW + 5}, "token_lifetime"),
    ],
    ids=[
        "expired-at-the-leeway",
        "expired",
        "long-ago",
        "at-the-epoch",
        "issued-later",
        "begins-later",
        "begins-never",
        "lives-too-long",
        "lived-too-long",
        "milliseconds",
        "for-ever",
        "issued-at-the-epoch",
        "no-life",
        "ends-before-it-begins",
    ],
)
async def test_a_token_out_of_its_time_is_refused(members: dict[str, int], code: str) -> None:
    """RFC 7519 §4.1.4 to §4.1.6; House: the lifetime has a cap."""
    assert await rejected(token(payload(**members))) == code


@pytest.mark.parametrize(
    "members",
    [
        {"iat": NOW - 600, "exp": NOW - 29},
        {"iat": NOW + 30, "exp": NOW + 600},
        {"nbf": NOW + 30},
        {"nbf": 0},
        {"iat": NOW, "exp": NOW + 3600},
        {"iat": NOW + 30, "exp": NOW + 3630},
    ],
    ids=["just-expired", "just-issued", "just-begun", "always", "at-the-cap", "latest"],
)
async def test_a_token_at_the_edge_of_its_time_is_accepted(members: dict[str, int]) -> None:
    """House: leeway of 30 s, cap of an hour."""
    text = token(payload(**members))
    known = {"iat": NOW - 10, "exp": NOW + 600} | members
    assert await authenticated(text) == claims(
        text, issued_at=known["iat"], expires_at=known["exp"]
    )


async def test_an_issuer_may_have_a_shorter_cap_and_no_leeway() -> None:
    """House: settings."""
    limits = Issuer(
        ISSUER, AUDIENCE, "unused", algorithms=("ES256",), max_lifetime_seconds=60, leeway_seconds=0
    )
    short = {"iat": NOW, "exp": NOW + 60}
    text = token(payload(**short))
    expected = claims(text, issued_at=NOW, expires_at=NOW + 60)
    assert await authenticated(text, trusted(limits)) == expected
    for members, code in (
        ({"exp": NOW + 61}, "token_lifetime"),
        ({"iat": NOW + 1}, "token_not_yet_valid"),
        ({"iat": NOW - 60, "exp": NOW}, "token_expired"),
    ):
        assert await rejected(token(payload(**(short | members))), trusted(limits)) == code


# Names.


@pytest.mark.parametrize("value", [1, True, ["a"], {"sub": "a"}], ids=repr)
@pytest.mark.parametrize("name", ["sub", "jti"])
async def test_a_name_that_is_no_text_is_refused(name: str, value: Any) -> None:
    """RFC 7519 §4.1.2, §4.1.7."""
    assert await rejected(token(payload(**{name: value}))) == "token_claim_malformed"


@pytest.mark.parametrize("value", [1, True, ["a"], {"sub": "a"}, ""], ids=repr)
async def test_a_tenant_that_is_no_text_is_refused(value: Any) -> None:
    """House."""
    assert await rejected(token(payload(tenant=value))) == "token_claim_malformed"


@pytest.mark.parametrize("name", ["sub", "jti"])
async def test_an_empty_name_names_nobody(name: str) -> None:
    """House."""
    assert await rejected(token(payload(**{name: ""}))) == "token_claim_malformed"


def test_a_tokens_digest_in_evidence_is_plain_sha256() -> None:
    """House: evidence holds this instead of the token."""
    text = token()
    assert claims(text).token_digest == "sha256:" + hashlib.sha256(text.encode()).hexdigest()


# Whom an issuer may vouch for.


@pytest.mark.parametrize(
    ("subjects", "code"),
    [
        ((), None),
        (("spiffe://corp.test/",), None),
        (("spiffe://other.test/", "spiffe://corp.test/agent/"), None),
        (("spiffe://other.test/",), "token_subject_refused"),
        (("corp.test",), "token_subject_refused"),
    ],
    ids=["any", "its own", "one of two", "another's", "not the beginning"],
)
async def test_an_issuer_vouches_for_its_own_subjects_only(
    subjects: tuple[str, ...], code: str | None
) -> None:
    """House: charters name subjects, so no issuer may mint another one's agents."""
    limits = msgspec.structs.replace(LIMITS, subjects=subjects)
    if code is None:
        assert (await authenticated(token(), trusted(limits))).issuer == ISSUER
    else:
        assert await rejected(token(), trusted(limits)) == code


async def test_the_workload_of_a_chain_is_whom_the_issuer_must_vouch_for() -> None:
    """RFC 8693 §4.1: the outermost actor is the one that acts."""
    limits = msgspec.structs.replace(LIMITS, subjects=("spiffe://corp.test/",))
    stranger = token(payload(act={"sub": "spiffe://other.test/agent/b"}))
    assert await rejected(stranger, trusted(limits)) == "token_subject_refused"


# What settings map.


def limited(**members: Any) -> Any:
    """Return the issuer with other limits."""
    return trusted(msgspec.structs.replace(LIMITS, **members))


async def test_an_issuer_may_write_what_we_need_elsewhere() -> None:
    """House: settings, `claims`."""
    places = Claimed("client_id", "/org/id", "/realm_access/roles", "/host/pod")
    mapped = limited(claims=places)
    nested = {"org": {"id": "acme"}, "realm_access": {"roles": ["a", "b"]}, "host": {"pod": "p-1"}}
    text = token(payload(client_id="agent-7", tenant="other", scope="c", **nested))
    assert await authenticated(text, mapped) == claims(
        text,
        subject="agent-7",
        tenant="acme",
        scopes=("a", "b"),
        instance="p-1",
        other={"sub": "spiffe://corp.test/agent/a", "tenant": "other", "scope": "c", **nested},
    )


async def test_a_mapped_subject_that_is_not_there_names_nobody() -> None:
    """House: never another claim instead."""
    mapped = limited(claims=Claimed("client_id"))
    assert await rejected(token(), mapped) == "token_sub_missing"
    assert await rejected(token(payload(client_id="")), mapped) == "token_claim_malformed"
    assert await rejected(token(payload(client_id=["a"])), mapped) == "token_claim_malformed"


@pytest.mark.parametrize("name", ["tenant", "instance"])
async def test_a_mapped_name_that_is_no_text_is_refused(name: str) -> None:
    """House."""
    places = {"tenant": Claimed(tenant="/a/b"), "instance": Claimed(instance="/a/b")}
    mapped = limited(claims=places[name])
    assert await rejected(token(payload(a={"b": 1})), mapped) == "token_claim_malformed"
    assert await rejected(token(payload(a={"b": ""})), mapped) == "token_claim_malformed"
    assert getattr(await authenticated(token(payload(a=["b"])), mapped), name) is None


async def test_the_person_of_a_chain_is_its_sub_whatever_is_mapped() -> None:
    """RFC 8693 §4.1."""
    mapped = limited(claims=Claimed("client_id"))
    text = token(payload(sub="user-7", client_id="app", act={"sub": "a"}))
    found = await authenticated(text, mapped)
    assert (found.subject, found.on_behalf_of, found.actors) == ("a", "user-7", ("a",))
    nobody = token(payload("sub", client_id="app", act={"sub": "a"}))
    assert await rejected(nobody, mapped) == "token_sub_missing"
    for other in ("", 1, ["user-7"]):
        text = token(payload(sub=other, client_id="app", act={"sub": "a"}))
        assert await rejected(text, mapped) == "token_claim_malformed"


@pytest.mark.parametrize("place", ["/a~2", "", "/~"])
def test_a_place_that_is_no_pointer_is_refused_at_the_start(place: str) -> None:
    """RFC 6901 §3."""
    for limits in (
        msgspec.structs.replace(LIMITS, claims=Claimed(place)),
        msgspec.structs.replace(LIMITS, require=(place,)),
    ):
        with pytest.raises(SettingsError):
            AccessTokenVerifier([trusted(limits)], FakeClock())


@pytest.mark.parametrize("name", ["client_id", "jti", "/a/b"])
async def test_what_settings_require_must_be_there(name: str) -> None:
    """House: settings."""
    demanding = limited(require=(name,))
    for members in ({}, {name: None}, {"a": {"c": 1}}, {"a": {"b": None}}):
        assert await rejected(token(payload(**members)), demanding) == "token_claim_missing"
    await authenticated(token(payload(client_id="x", jti="x", a={"b": False})), demanding)


async def test_a_scope_gives_what_it_implies() -> None:
    """House: settings, `scope_implies`."""
    implying = limited(scope_implies={"crm:admin": ("crm:write",), "crm:write": ("crm:read",)})
    found = await authenticated(token(payload(scope="crm:admin")), implying)
    assert found.scopes == ("crm:admin", "crm:write", "crm:read")


# Bindings, and what looks wrong.


async def test_the_key_that_a_token_is_bound_to_is_told_and_not_passed_on() -> None:
    """RFC 9449 §6.1; RFC 8705 §3.1."""
    text = token(payload(cnf={"jkt": "A" * 43}))
    assert await authenticated(text) == claims(text, confirmation={"jkt": "A" * 43})


async def test_a_token_that_says_nothing_of_a_workload_looks_human() -> None:
    """OWASP NHI10."""
    text = token(payload(sub="user-7"))
    assert await authenticated(text) == claims(text, subject="user-7", flags=("human_looking",))
    own = limited(claims=Claimed(workload=("/corp/agent",)))
    assert (await authenticated(token(payload(sub="a", corp={"agent": 1})), own)).flags == ()
    assert (await authenticated(token(payload(sub="a")), own)).flags == ("human_looking",)


async def test_a_token_is_known_by_its_issuer_alone() -> None:
    """House: who else could check it."""
    transactions = msgspec.structs.replace(LIMITS, issuer="https://t.test", profile="transaction")
    verifier = AccessTokenVerifier([trusted(), trusted(transactions)], FakeClock())
    assert verifier.knows(jws.read(token()))
    others: list[Any] = ["https://t.test", "https://x.test", 1, None, ["https://issuer.test"], {}]
    for other in others:
        assert not verifier.knows(jws.read(token(payload(iss=other))))
    assert not verifier.knows(jws.read(token(payload("iss"))))


async def test_an_issuer_of_transaction_tokens_authenticates_nobody() -> None:
    """draft-ietf-oauth-transaction-tokens: not an authentication."""
    transactions = limited(profile="transaction", types=("at+jwt",))
    assert await rejected(token(), transactions) == "token_issuer_unknown"
