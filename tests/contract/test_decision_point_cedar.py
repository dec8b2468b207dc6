"""The suite of every decision point, for Cedar, which decides on charters and not on Rego."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gateway.core.decision import Classification, Deny, Hold, Permit, Reason
from gateway.core.obligation import ApprovalNeeded
from gateway.policy.cedar.point import CedarDecisionPoint
from tests.contract.test_decision_point import (  # noqa: F401  collected here as well
    Adapter,
    test_a_decision_says_which_policy_decided_on_what,
    test_a_point_that_decides_says_so,
    test_concurrent_calls_each_get_an_answer,
    test_every_decision_has_its_own_id,
    test_no_decision_is_a_policy_error_and_the_next_call_is_decided,
)
from tests.fakes_policy import PERMIT, TickingClock
from tests.unit.policy.cedar.worlds import allowing, bundle_of, call

LEADS = {"approvers": "leads", "count": 1, "expires_seconds": 60}
CHARTER = allowing(
    {"tools": ["list_orders"], "effects": ["read"]},
    {"tools": ["refund"], "effects": ["write"]},
    approvals=[{"impacts": ["payment"], **LEADS}],
)
TOOLS = {"permit": "list_orders", "hold": "refund", "deny": "ship"}
READ = Classification("read", (), "sales", "test")


def reason(code: str, rule: str) -> tuple[Reason, ...]:
    """Return the one reason of a decision."""
    return (Reason(code, f"bailiwick.rules.{rule}"),)


EXPECTED = {
    "permit": Permit(
        reason("charter_allows", "tool_allowed"), READ, "charter-0", None, PERMIT.policy
    ),
    "deny": Deny(
        reason("tool_not_allowed", "tool_allowed"),
        replace(READ, effect="write"),
        "charter-0",
        None,
        PERMIT.policy,
    ),
    "hold": Hold(
        reason("approval_required", "approval_required"),
        replace(READ, effect="write", impacts=("payment",)),
        "charter-0",
        None,
        PERMIT.policy,
        ApprovalNeeded("leads", 1, 60),
    ),
}


class CedarAdapter(Adapter):
    """Asks for calls that the charter answers as wanted."""

    def will(self, *wants: str) -> list[bytes]:
        """Return documents to which the point will answer so."""
        return [
            json.dumps(call(TOOLS[want])).encode() if want in TOOLS else b"no document"
            for want in wants
        ]


@pytest.fixture
async def adapter() -> AsyncIterator[Adapter]:
    """Give the Cedar decision point, ready to decide."""
    point = CedarDecisionPoint(bundle_of(CHARTER), TickingClock())
    await point.start()
    yield CedarAdapter(point)
    await point.aclose()


@pytest.mark.parametrize("want", EXPECTED)
async def test_each_effect_is_decided_whole(adapter: Adapter, want: str) -> None:
    """House: permit, deny and hold, stamp aside, are what the charter says."""
    (document,) = adapter.will(want)
    decision = await adapter.point.decide(document)
    assert replace(decision, policy=PERMIT.policy) == EXPECTED[want]
