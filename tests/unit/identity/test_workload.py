from typing import Any

import pytest

from gateway.identity.claimed import reader
from gateway.identity.workload import looks_human

PERSON: dict[str, Any] = {"sub": "8b7c", "client_id": "portal", "azp": "portal", "scope": "openid"}
WORKLOADS: dict[str, dict[str, Any]] = {
    "delegated": PERSON | {"act": {"sub": "agent"}},
    "spiffe": {"sub": "spiffe://corp.test/agent/a"},
    "kubernetes": {"sub": "system:serviceaccount:agents:crm"},
    "rfc-9068": {"sub": "agent", "client_id": "agent"},
    "azp": {"sub": "agent", "azp": "agent"},
    "okta": {"sub": "0oa1", "cid": "0oa1"},
    "auth0-profile": {"sub": "x1@clients", "azp": "x1"},
    "auth0-gty": {"sub": "x1@clients", "gty": "client-credentials"},
    "entra": {"sub": "oid-1", "azp": "app-1", "idtyp": "app"},
    "keycloak": {
        "sub": "8b7c",
        "client_id": "Agent-1",
        "azp": "Agent-1",
        "preferred_username": "service-account-agent-1",
    },
    "keycloak-azp": {
        "sub": "8b7c",
        "azp": "agent-1",
        "preferred_username": "service-account-agent-1",
    },
}
PEOPLE: dict[str, dict[str, Any]] = {
    "nothing": {},
    "plain": {"sub": "8b7c"},
    "through-a-portal": PERSON,
    "another-client": PERSON | {"azp": "8b7"},
    "no-actor": PERSON | {"act": None},
    "may-act": PERSON | {"may_act": {"sub": "agent"}},
    "entra-user": PERSON | {"idtyp": "user"},
    "entra-case": PERSON | {"idtyp": ["app"]},
    "auth0-code": PERSON | {"gty": "authorization_code"},
    "auth0-user": PERSON | {"sub": "auth0|1"},
    "auth0-other": PERSON | {"sub": "other@clients"},
    "keycloak-user": PERSON | {"preferred_username": "jo"},
    "keycloak-other": PERSON | {"preferred_username": "service-account-other"},
    "keycloak-alone": {"sub": "8b7c", "preferred_username": "service-account-"},
    "empty": {"sub": "", "client_id": ""},
    "no-text": {"sub": 1, "client_id": 1},
    "spiffe-within": {"sub": "x-spiffe://corp.test/a"},
    "spiffe-case": {"sub": "SPIFFE://corp.test/a"},
    "kubernetes-within": {"sub": "user:system:serviceaccount:a:b"},
}


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_sign_of_a_workload_is_enough(name: str) -> None:
    """OWASP NHI10; the table in `workload.py`."""
    assert not looks_human(WORKLOADS[name])


@pytest.mark.parametrize("name", PEOPLE)
def test_without_a_sign_a_token_looks_like_a_persons(name: str) -> None:
    """OWASP NHI10."""
    assert looks_human(PEOPLE[name])


@pytest.mark.parametrize("value", [1, "x", True, ["a"], {"a": 1}])
def test_a_claim_that_settings_name_is_a_sign(value: Any) -> None:
    """House: settings, `claims.workload`."""
    signs = [reader("/corp/agent"), reader("agent_id")]
    assert not looks_human(PERSON | {"agent_id": value}, signs)
    assert not looks_human(PERSON | {"corp": {"agent": value}}, signs)
    assert looks_human(PERSON | {"other": value}, signs)


@pytest.mark.parametrize("value", [None, False, "", [], {}, 0])
def test_a_claim_that_says_no_is_no_sign(value: Any) -> None:
    """House."""
    assert looks_human(PERSON | {"agent_id": value}, [reader("agent_id")])
