import json
from typing import Any

import pytest

from gateway.core.errors import CredentialRejected
from gateway.identity.delegation import MAX_ACTORS, actors
from tests.unit.identity.keys import ISSUER, payload, token
from tests.unit.identity.tokens import authenticated, chain, claims, rejected


def code_of(act: Any, prefix: str = "token") -> str:
    """Return the code of the rejection."""
    with pytest.raises(CredentialRejected) as caught:
        actors({"act": act}, ISSUER, prefix)
    return caught.value.reason_code


@pytest.mark.parametrize("names", ["", "a", "ab", "abcd"])
def test_the_actors_are_named_outermost_first(names: str) -> None:
    """RFC 8693 §4.1."""
    assert actors({"act": chain(*names)}, ISSUER) == tuple(names)


@pytest.mark.parametrize(
    "act",
    [
        "a",
        [],
        [{"sub": "a"}],
        False,
        0,
        {},
        {"iss": ISSUER},
        {"sub": None},
        {"sub": 1},
        {"sub": ""},
        {"sub": "a", "act": "b"},
        {"sub": "a", "act": {}},
        {"sub": "a", "act": []},
        {"sub": "a", "act": {"sub": ""}},
    ],
    ids=json.dumps,
)
async def test_an_act_claim_that_is_no_chain_of_names_is_refused(act: Any) -> None:
    """RFC 8693 §4.1; House: an empty name is nobody."""
    assert code_of(act) == "token_act_malformed"
    assert code_of(act, "other") == "other_act_malformed"
    assert await rejected(token(payload(act=act))) == "token_act_malformed"


@pytest.mark.parametrize("depth", [5, 20])
async def test_a_chain_has_a_greatest_depth(depth: int) -> None:
    """House: at most four actors."""
    assert MAX_ACTORS == 4
    act = chain(*(f"a{number}" for number in range(depth)))
    assert code_of(act) == "token_act_too_deep"
    assert await rejected(token(payload(act=act))) == "token_act_too_deep"


@pytest.mark.parametrize("issuer", ["https://other.test", ISSUER + "/", "", None, 1, [ISSUER]])
async def test_an_actor_of_another_issuer_is_refused(issuer: Any) -> None:
    """RFC 8693 §4.1: a subject means something at its issuer only."""
    actor = {"sub": "a", "iss": issuer}
    for act in (actor, {"sub": "b", "act": actor}):
        assert code_of(act) == "token_actor_foreign"
        assert await rejected(token(payload(act=act))) == "token_actor_foreign"


async def test_an_actor_may_name_the_issuer_of_the_token() -> None:
    """RFC 8693 §4.1."""
    text = token(payload(sub="user-7", act={"sub": "a", "iss": ISSUER}))
    assert await authenticated(text) == claims(
        text, subject="a", on_behalf_of="user-7", actors=("a",)
    )


async def test_who_may_act_does_not_act() -> None:
    """RFC 8693 §4.4."""
    text = token(payload(may_act={"sub": "b"}))
    assert await authenticated(text) == claims(text, other={"may_act": {"sub": "b"}})
