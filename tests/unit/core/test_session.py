from dataclasses import replace

import pytest

from gateway.core.errors import SessionUnknown
from gateway.core.session import named, opened, refuse_unowned, session_of
from tests.fakes import CLAIMS
from tests.pipeline.line import request

WITH, WITHOUT = request(headers={"mcp-session-id": "s-1"}), request(headers={})


def test_a_stored_session_is_found_after_an_upgrade() -> None:
    """House: a vector; FIPS 180-4 of the id, RFC 8785 of the owner."""
    session = session_of("crm", "abc", CLAIMS)
    assert session.id_digest == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert session.owner == (
        "sha256:9200e64c80d496d83786fd5dba5069c81208517ba82c5fbdd05730216c6e4c8f"
    )


def test_a_session_does_not_hold_its_id() -> None:
    """House: whoever has an id may be taken for its owner by an upstream."""
    assert "canary" not in repr(session_of("crm", "canary", CLAIMS))


@pytest.mark.parametrize("session_id", ["", "é", "\udcff", "s" * 8192])
def test_any_text_can_be_an_id(session_id: str) -> None:
    """House: what a header holds is not ours to judge here, and must not break the line."""
    assert len(session_of("crm", session_id, CLAIMS).id_digest) == 64


def test_owners_are_told_apart_by_member_and_not_by_their_joined_text() -> None:
    """House: a name that ends in another's beginning is no bridge."""
    pairs = [("t", "u"), ("tu", None), (None, "tu"), ("", "tu"), ("u", "t"), ("tu", "")]
    owners = {
        session_of("crm", "s", replace(CLAIMS, tenant=tenant, on_behalf_of=person)).owner
        for tenant, person in pairs
    }
    assert len(owners) == len(pairs)


def test_a_request_that_names_no_session_needs_none() -> None:
    """MCP transports: a session is the server's choice."""
    assert named(WITHOUT) is None
    refuse_unowned(WITHOUT, owned=False)


def test_a_request_of_its_own_session_passes() -> None:
    """House: only that one does."""
    assert named(WITH) == "s-1"
    refuse_unowned(WITH, owned=True)


@pytest.mark.parametrize("session_id", ["s-1", ""], ids=["named", "empty"])
def test_a_session_that_is_not_the_callers_is_unknown(session_id: str) -> None:
    """MCP transports: 404, upon which a client starts a new one."""
    with pytest.raises(SessionUnknown) as refused:
        refuse_unowned(request(headers={"mcp-session-id": session_id}), owned=False)
    assert (refused.value.reason_code, refused.value.http_status) == ("session_unknown", 404)


def test_an_answer_opens_a_session_if_it_names_another_than_the_requests() -> None:
    """MCP transports: a server may assign an id in its answer to `initialize`."""
    for answer, asked, new in (
        ({"mcp-session-id": "s-2"}, WITHOUT, "s-2"),
        ({"mcp-session-id": "s-2"}, WITH, "s-2"),
        ({"mcp-session-id": "s-1"}, WITH, None),
        ({"mcp-session-id": ""}, WITHOUT, None),
        ({"mcp-session-id": ""}, WITH, None),
        ({}, WITH, None),
    ):
        assert opened(asked, answer) == new
