from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.approval import match_digest
from gateway.core.call import ToolCall
from gateway.core.claims import Claims
from gateway.wire import mcp
from tests.fakes import CLAIMS
from tests.pipeline.line import request, tools_call


def call(**params: Any) -> ToolCall:
    """Return a decoded `tools/call`."""
    return mcp.decode(request(tools_call(**params)))


def test_the_digest_of_a_known_call_stays_what_it_is() -> None:
    """House: a vector; requests that are stored must be found after an upgrade."""
    assert match_digest(call(), CLAIMS) == (
        "sha256:3c0eac2a952d3602be47363cec05c292bcb6be9ab372d9058498bf5bf35f1ac1"
    )


SAME: dict[str, tuple[ToolCall, Claims]] = {
    "a new token": (call(), replace(CLAIMS, token_id="token-2", token_digest="sha256:22")),
    "a longer token": (call(), replace(CLAIMS, expires_at=CLAIMS.expires_at + 60)),
    "another request id": (replace(call(), rpc_id="b"), CLAIMS),
    "another session": (
        replace(call(), request=replace(call().request, headers={"mcp-session-id": "s-2"})),
        CLAIMS,
    ),
    "space in the body": (
        replace(call(), request=replace(call().request, body=tools_call() + b" ")),
        CLAIMS,
    ),
}


@pytest.mark.parametrize(("asked", "claims"), SAME.values(), ids=SAME.keys())
def test_a_repeat_is_recognised(asked: ToolCall, claims: Claims) -> None:
    """Identity-and-approvals: the agent repeats without knowing a nonce, with a fresh token."""
    assert match_digest(asked, claims) == match_digest(call(), CLAIMS)


OTHER: dict[str, tuple[ToolCall, Claims]] = {
    "arguments": (call(arguments={"customer": "c-1 "}), CLAIMS),
    "tool": (call(name="crm.Read"), CLAIMS),
    "action": (replace(call(), action="prompts/get"), CLAIMS),
    "type": (replace(call(), resource_type="prompt"), CLAIMS),
    "system": (replace(call(), request=replace(call().request, system="erp")), CLAIMS),
    "subject": (call(), replace(CLAIMS, subject="other")),
    "issuer": (call(), replace(CLAIMS, issuer="other")),
    "tenant": (call(), replace(CLAIMS, tenant="other")),
    "on behalf of": (call(), replace(CLAIMS, on_behalf_of="other")),
    "actors": (call(), replace(CLAIMS, actors=("other",))),
    "actors in another order": (call(), replace(CLAIMS, actors=("b", "a"))),
}


@pytest.mark.parametrize(("asked", "claims"), OTHER.values(), ids=OTHER.keys())
def test_anything_else_is_a_new_request(asked: ToolCall, claims: Claims) -> None:
    """Design §1.5: an approval bounds one exact call."""
    assert match_digest(asked, claims) != match_digest(call(), replace(CLAIMS, actors=()))
    assert match_digest(asked, claims) != match_digest(call(), replace(CLAIMS, actors=("a", "b")))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
ARGUMENTS = st.dictionaries(st.text(max_size=4), VALUES, max_size=4)


@given(ARGUMENTS, ARGUMENTS)
def test_two_calls_share_a_digest_only_if_their_arguments_are_equal(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    """RFC 8785: one text a value; True is not 1."""
    one, two = (replace(call(), arguments=arguments) for arguments in (first, second))
    same = match_digest(one, CLAIMS) == match_digest(two, CLAIMS)
    assert same == (repr_of(first) == repr_of(second))


def repr_of(value: Any) -> Any:
    """Return a value that is equal only where JSON says the same, whatever the order of keys."""
    if isinstance(value, dict):
        return {key: repr_of(item) for key, item in value.items()}
    return [repr_of(item) for item in value] if isinstance(value, list) else repr(value)
