from typing import Any

import pytest

from gateway.settings import Claimed, Issuer
from tests.unit.identity.keys import AUDIENCE, ISSUER, NOW, payload, token
from tests.unit.identity.tokens import authenticated, claims, rejected, trusted

ACCOUNT = "system:serviceaccount:agents:crm"
BOUND: dict[str, Any] = {
    "namespace": "agents",
    "node": {"name": "n1", "uid": "n-1"},
    "pod": {"name": "crm-0", "uid": "p-1"},
    "serviceaccount": {"name": "crm", "uid": "s-1"},
}


def cluster(**members: Any) -> Issuer:
    """Return a cluster as settings say."""
    return Issuer(ISSUER, AUDIENCE, "unused", profile="kubernetes", **members)


def projected(*without: str, bound: Any = BOUND, typ: str | None = None, **members: Any) -> str:
    """Return a projected token; `kubernetes.io` is left out if `bound` is None."""
    own = {} if bound is None else {"kubernetes.io": bound}
    good = {"sub": ACCOUNT, "aud": [AUDIENCE], "nbf": NOW - 10, "jti": "t-1", **own}
    return token(payload(*without, **(good | members)), typ=typ)


async def code_of(text: str, **members: Any) -> str:
    """Return the code of the rejection."""
    return await rejected(text, trusted(cluster(**members)))


async def test_a_projected_token_names_its_account_and_its_pod() -> None:
    """Kubernetes, service-account token volume projection."""
    text = projected()
    assert await authenticated(text, trusted(cluster())) == claims(
        text,
        subject=ACCOUNT,
        scheme="service-account",
        token_id="t-1",
        instance="p-1",
        other={"kubernetes.io": BOUND},
    )


async def test_an_instance_that_is_mapped_is_taken_from_there() -> None:
    """House: settings, and the pod is checked even so."""
    mapped = {"claims": Claimed(instance="/kubernetes.io/node/uid")}
    issuer = trusted(cluster(**mapped))
    assert (await authenticated(projected(), issuer)).instance == "n-1"
    assert await code_of(projected(bound=BOUND | {"pod": None}), **mapped) == "token_unbound"
    unmapped = BOUND | {"node": {}}
    assert (await authenticated(projected(bound=unmapped), issuer)).instance == "p-1"


@pytest.mark.parametrize(
    "bound",
    [None, {}, {name: value for name, value in BOUND.items() if name != "pod"}],
    ids=["nothing", "empty", "no-pod"],
)
async def test_a_token_that_is_not_bound_to_a_pod_is_refused(bound: Any) -> None:
    """House: it is a long-lived password of the namespace."""
    assert await code_of(projected(bound=bound)) == "token_unbound"


@pytest.mark.parametrize(
    "bound",
    [
        [],
        "x",
        False,
        BOUND | {"pod": "crm-0"},
        BOUND | {"pod": {}},
        BOUND | {"pod": {"name": "crm-0"}},
        BOUND | {"pod": {"uid": "p-1"}},
        BOUND | {"pod": {"name": "crm-0", "uid": ""}},
        BOUND | {"pod": {"name": "crm-0", "uid": 1}},
        BOUND | {"namespace": None},
        BOUND | {"namespace": ""},
        BOUND | {"serviceaccount": None},
        BOUND | {"serviceaccount": {}},
        BOUND | {"serviceaccount": "crm"},
    ],
    ids=str,
)
async def test_a_binding_in_another_form_is_refused(bound: Any) -> None:
    """House."""
    assert await code_of(projected(bound=bound)) == "token_claim_malformed"


@pytest.mark.parametrize(
    ("subject", "namespace", "name"),
    [
        ("system:serviceaccount:agents:crm", "agents", "hr"),
        ("system:serviceaccount:agents:crm", "other", "crm"),
        ("system:serviceaccount:agents:crm:x", "agents", "crm:x"),
        ("system:serviceaccount:agents:x:crm", "agents:x", "crm"),
        ("system:serviceaccounts:agents:crm", "agents", "crm"),
        ("agents:crm", "agents", "crm"),
        ("kubernetes-admin", "agents", "crm"),
    ],
)
async def test_the_subject_must_be_the_account_that_the_token_names(
    subject: str, namespace: str, name: str
) -> None:
    """House: two claims that disagree are nobody's."""
    bound = BOUND | {"namespace": namespace, "serviceaccount": {"name": name}}
    assert await code_of(projected(sub=subject, bound=bound)) == "token_service_account"


async def test_a_mapped_subject_does_not_hide_that_there_is_no_account() -> None:
    """House."""
    elsewhere = {"claims": Claimed("name")}
    assert await code_of(projected("sub", name="x"), **elsewhere) == "token_service_account"


async def test_a_service_account_token_has_no_typ() -> None:
    """Kubernetes writes `alg` and `kid`; whatever has more is another kind of token."""
    for typ in ("JWT", "at+jwt", ""):
        assert await code_of(projected(typ=typ)) == "token_type_refused"
    assert await rejected(projected()) == "token_header_refused"
    named = trusted(cluster(types=("JWT",)))
    assert (await authenticated(projected(typ="JWT"), named)).scheme == "jwt"


async def test_an_extended_token_lives_too_long() -> None:
    """Kubernetes, `--service-account-extend-token-expiration`: a year."""
    bound = BOUND | {"warnafter": NOW + 3600}
    extended = projected(bound=bound, exp=NOW + 365 * 86_400)
    assert await code_of(extended) == "token_lifetime"


async def test_a_token_for_the_api_server_too_is_refused() -> None:
    """House: one audience."""
    both = projected(aud=["https://kubernetes.default.svc", AUDIENCE])
    assert await code_of(both) == "token_audience"
