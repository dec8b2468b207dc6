import dataclasses
from typing import Any

import pytest

from gateway.core.call import Request, ToolCall
from gateway.core.claims import NOTHING, Credential, UnverifiedToken

REQUEST = Request(
    method="POST",
    target="/crm/mcp?x=1",
    system="crm",
    headers={"content-type": "application/json"},
    body=b"abc",
    source="127.0.0.1",
    credential=Credential(UnverifiedToken("canary")),
)
CALL = ToolCall(
    request=REQUEST,
    action="tools/call",
    resource_type="tool",
    name="read_customer",
    arguments={"id": 7},
    era="modern",
    protocol_version="2026-07-28",
    rpc_id=1,
)


def test_the_body_digest_is_the_sha256_of_the_bytes_as_received() -> None:
    """FIPS 180-4, the value for `abc`."""
    assert REQUEST.body_digest == (
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_the_body_digest_sees_whitespace() -> None:
    """House: bytes are hashed, not values."""
    spaced = dataclasses.replace(REQUEST, body=b"abc ")
    assert spaced.body_digest != REQUEST.body_digest


def test_the_action_of_the_decision_input_names_method_and_protocol() -> None:
    """House: design §5."""
    assert CALL.as_action() == {"name": "tools/call", "protocol": "mcp"}


def test_the_resource_of_the_decision_input_names_what_is_asked_for() -> None:
    """House: design §5."""
    assert CALL.as_resource() == {
        "type": "tool",
        "system": "crm",
        "name": "read_customer",
        "arguments": {"id": 7},
    }


def test_the_system_of_a_call_is_the_one_its_request_addressed() -> None:
    """House: labels from the body have no say in where it goes."""
    renamed = dataclasses.replace(REQUEST, system="hr")
    call = dataclasses.replace(CALL, request=renamed, arguments={"system": "crm"})
    assert (call.system, call.as_resource()["system"]) == ("hr", "hr")


@pytest.mark.parametrize("value", [REQUEST, CALL], ids=["request", "call"])
def test_the_credential_does_not_show_in_a_request_or_a_call(value: object) -> None:
    """House: threats §4, secrets in evidence or errors."""
    assert "canary" not in repr(value)


def test_changing_the_resource_document_does_not_change_the_call() -> None:
    """House: what is decided on is what is sent."""
    document: dict[str, Any] = CALL.as_resource()
    document["arguments"]["id"] = 8
    assert CALL.arguments == {"id": 7}


@pytest.mark.parametrize("value", [REQUEST, CALL], ids=["request", "call"])
def test_a_request_and_a_call_cannot_be_changed(value: Any) -> None:
    """House: one copy of the body."""
    for field in dataclasses.fields(value):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, field.name, None)


def test_a_request_needs_no_credential() -> None:
    """House: that it is missing is for identity to say."""
    assert dataclasses.replace(REQUEST, credential=NOTHING).credential is NOTHING


def test_a_request_does_not_hold_its_credential_among_its_headers() -> None:
    """House: every record shows the headers, so what is secret cannot be one of them."""
    with pytest.raises(ValueError):
        Request("POST", "/crm/mcp", "crm", {"authorization": "Bearer x"}, b"", "::1")


def test_the_path_of_a_request_is_the_plain_one_of_its_system() -> None:
    """House: admission takes one spelling; what was not admitted has no path."""
    assert REQUEST.path == "/crm/mcp"
    assert dataclasses.replace(REQUEST, system="").path is None


def test_what_a_caller_says_about_a_call_is_not_put_before_policy() -> None:
    """House: `_meta` is a claim, for evidence only."""
    call = dataclasses.replace(CALL, meta={"bailiwick/run": "r-1"})
    assert "r-1" not in str(call.as_action()) + str(call.as_resource())
