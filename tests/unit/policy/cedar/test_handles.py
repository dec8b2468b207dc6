"""Cedar fails open on errors; an answer with any is no answer."""

from typing import Any

import cedarpy
import pytest

from gateway.core.errors import BundleError, PolicyAnswerInvalid
from gateway.policy.cedar.handles import Rules, Schema, read_result, validate

SCHEMA = """
entity Agent; entity System;
action "read" appliesTo { principal: Agent, resource: System, context: { amount?: Long } };
"""
PERMIT = '@id("p") permit (principal, action, resource);'


def rules(policies: str) -> Rules:
    """Return policies that were not validated."""
    return Schema(SCHEMA).rules(policies)


def asked(action: str = "read", **context: Any) -> dict[str, Any]:
    """Return a request."""
    return {
        "principal": {"type": "Agent", "id": "a"},
        "action": {"type": "Action", "id": action},
        "resource": {"type": "System", "id": "s"},
        "context": context,
    }


def test_what_determined_an_answer_is_named() -> None:
    """Cedar: every permit of an allowed request, every forbid of a denied one."""
    both = PERMIT + '@id("q") permit (principal, action, resource);'
    answer = rules(both).ask(asked())
    assert (answer.allowed, set(answer.policies)) == (True, {"p", "q"})
    denied = rules(both + '@id("f") forbid (principal, action, resource);').ask(asked())
    assert (denied.allowed, denied.policies) == (False, ("f",))


def test_nothing_fits() -> None:
    """Cedar: then the request is denied."""
    answer = rules('@id("f") forbid (principal, action, resource) when { false };').ask(asked())
    assert (answer.allowed, answer.policies) == (False, ())


@pytest.mark.parametrize("word", ["forbid", "permit"])
def test_a_policy_that_errors_denies(word: str) -> None:
    """Policy §8: Cedar skips it, and says Allow with an error."""
    erring = f"{word} (principal, action, resource) when {{ context.amount > 1000 }};"
    with pytest.raises(PolicyAnswerInvalid) as caught:
        rules(PERMIT + f'@id("e") {erring}').ask(asked())
    assert caught.value.reason_code == "pdp_error"


@pytest.mark.parametrize(
    "request_",
    [
        asked("write"),
        asked(amount="5"),
        asked(amount=1.5),
        asked(amount=2**63),
        asked(other=1),
        {**asked(), "principal": {"type": "Human", "id": "a"}},
    ],
    ids=["action", "text", "float", "too large", "unknown", "principal"],
)
def test_no_decision_denies(request_: dict[str, Any]) -> None:
    """Policy §7.2 rule 8."""
    with pytest.raises(PolicyAnswerInvalid) as caught:
        rules(PERMIT).ask(request_)
    assert caught.value.reason_code == "pdp_error"


def test_a_policy_without_a_name_decides_nothing() -> None:
    """House: what determined an answer must be one of ours."""
    with pytest.raises(PolicyAnswerInvalid):
        rules("permit (principal, action, resource);").ask(asked())


def test_what_cedar_does_not_read_is_no_bundle() -> None:
    """House: a bundle that cannot be said in Cedar is not served."""
    with pytest.raises(BundleError):
        Schema("entity Agent")
    with pytest.raises(BundleError):
        rules("permit (")


def test_a_policy_that_does_not_fit_the_schema_is_named() -> None:
    """Issue: schema-validated; an unguarded optional member is found before it is asked."""
    with pytest.raises(BundleError, match="unguarded"):
        validate(
            '@id("unguarded") forbid (principal, action, resource) when { context.amount > 1 };',
            SCHEMA,
        )


@pytest.mark.parametrize(
    "result",
    [
        {"decision": "NoDecision", "diagnostics": {}},
        {"decision": "Allow", "diagnostics": {"errors": ["policy1 failed"]}},
        {"decision": "Deny", "diagnostics": {"errors": ["policy1 failed"]}},
        {"decision": "Allow", "diagnostics": {"reason": ["policy0"]}},
    ],
    ids=["no decision", "allow with an error", "deny with an error", "nameless"],
)
def test_an_answer_that_may_not_be_used_is_none(result: dict[str, Any]) -> None:
    """Policy §7.2 rule 8, whatever Cedar says besides."""
    with pytest.raises(PolicyAnswerInvalid) as caught:
        read_result(cedarpy.AuthzResult(result))
    assert caught.value.reason_code == "pdp_error"
