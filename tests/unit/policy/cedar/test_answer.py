"""What determined an answer must be what gives such an answer."""

import pytest

from gateway.core.errors import PolicyAnswerInvalid
from gateway.policy.cedar.answer import decision
from gateway.policy.cedar.compile import Compiled
from gateway.policy.cedar.policies import Policy
from gateway.policy.cedar.request import Question

QUESTION = Question("agent-1", {}, 0, None, None)
NOTHING = Compiled({})


def policy(effect: str) -> Policy:
    """Return a policy of this effect."""
    return Policy(effect, "code", "rule", "clause")


@pytest.mark.parametrize(
    ("allowed", "effects"),
    [(True, ["deny"]), (True, ["permit", "deny"]), (False, ["permit"]), (False, ["hold"])],
)
def test_an_answer_that_its_policies_do_not_explain_is_none(
    allowed: bool, effects: list[str]
) -> None:
    """Policy §7.2: what is not understood denies."""
    with pytest.raises(PolicyAnswerInvalid) as caught:
        decision(allowed, [policy(effect) for effect in effects], NOTHING, QUESTION, None)
    assert caught.value.reason_code == "pdp_error"


@pytest.mark.parametrize(("allowed", "effects"), [(False, []), (True, ["hold"]), (True, [])])
def test_what_no_policy_permits_is_denied(allowed: bool, effects: list[str]) -> None:
    """Design §5: default deny; a hold is a permit that waits, and needs a permit."""
    answer = decision(allowed, [policy(effect) for effect in effects], NOTHING, QUESTION, None)
    assert answer["effect"] == "deny"
    assert answer["reasons"] == [{"code": "no_matching_rule", "rule": "bailiwick.decision"}]
