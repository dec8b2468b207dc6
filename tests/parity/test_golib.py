"""The oracle is there, and fails as the engines do."""

import pytest

from gateway.core.errors import BundleError, PolicyAnswerInvalid
from gateway.policy.bundle import Bundle
from gateway.policy.selftest import SelfTest
from tests.fakes_policy import TINY_POLICY, ask, tiny_bundle
from tests.golib import Oracle, need


def tiny(*tests: SelfTest) -> Bundle:
    """Return the tiny bundle without its recursion, which OPA does not compile."""
    lines = TINY_POLICY.splitlines()
    return tiny_bundle("\n".join(line for line in lines if "dive" not in line), tests)


def test_a_missing_oracle_fails_where_every_check_must_run_and_skips_loudly_elsewhere() -> None:
    """Issue: parity itself never skips."""
    with pytest.raises(pytest.fail.Exception, match="PARITY NOT TESTED"):
        need({"CI": "true"}, "no_such_library")
    with pytest.raises(pytest.skip.Exception, match="PARITY NOT TESTED"):
        need({}, "no_such_library")


@pytest.mark.parametrize(
    ("want", "code"),
    [
        ("conflict", "pdp_error"),
        ("nothing it knows", "pdp_undefined"),
        ("flood", "pdp_answer_invalid"),
    ],
)
async def test_oracle_gives_no_decision_where_opa_has_none(want: str, code: str) -> None:
    """Policy §2: two values, none, and a value that is no decision."""
    with pytest.raises(PolicyAnswerInvalid) as refused:
        await Oracle(tiny()).decide(ask(want))
    assert refused.value.reason_code == code


async def test_oracle_evaluates_with_strict_builtin_errors() -> None:
    """Policy §2: else an erring deny rule would be skipped."""
    with pytest.raises(PolicyAnswerInvalid) as refused:
        await Oracle(tiny()).decide(ask("permit", number="x"))
    assert refused.value.reason_code == "pdp_error"


async def test_oracle_passes_the_self_tests_or_does_not_start() -> None:
    """Policy §7.3: as every engine."""
    wrong = SelfTest("wrong", ask("permit", "permitted"), "deny", ("permitted",))
    with pytest.raises(BundleError, match="wrong"):
        await Oracle(tiny(wrong)).start()
