from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import PolicyAnswerInvalid
from gateway.core.obligation import (
    MAX_COUNT,
    OBSERVABLE,
    ApprovalNeeded,
    Obligations,
    read_obligations,
)

APPROVAL = {"type": "approval", "approvers": "leads", "count": 2, "expires_seconds": 900}
OBSERVE = {"type": "observe", "effect": "deny"}
UNTRUSTED = {"type": "untrusted_input"}
OMIT = {"type": "omit_results"}
KNOWN = [APPROVAL, OBSERVE, UNTRUSTED, OMIT]
NEEDED = ApprovalNeeded("leads", 2, 900)

INVALID, UNKNOWN = "pdp_answer_invalid", "pdp_obligation_unknown"
WRONG: list[Any] = [None, True, False, 0, 1, 1.0, "", [], ["x"], {}, {"a": 1}]


def refused_with(value: Any) -> str:
    """Return the code of the refusal; fail if there is none."""
    with pytest.raises(PolicyAnswerInvalid) as caught:
        read_obligations(value)
    return caught.value.reason_code


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ([], Obligations()),
        ([APPROVAL], Obligations(approval=NEEDED)),
        ([OBSERVE], Obligations(observed="deny")),
        ([UNTRUSTED], Obligations(untrusted_input=True)),
        ([OMIT], Obligations(results_omitted=True)),
        (KNOWN, Obligations(NEEDED, "deny", True, True)),
        (KNOWN[::-1], Obligations(NEEDED, "deny", True, True)),
    ],
    ids=["none", "approval", "observe", "untrusted", "omit", "all", "all backwards"],
)
def test_obligations_are_read_whole_in_any_order(value: Any, read: Obligations) -> None:
    """Policy §7.2: each that is known has a meaning of its own."""
    assert read_obligations(value) == read


@pytest.mark.parametrize("effect", OBSERVABLE)
def test_every_effect_can_be_observed(effect: str) -> None:
    """Issue: observe mode; what the answer would be outside it."""
    assert read_obligations([{"type": "observe", "effect": effect}]).observed == effect


@pytest.mark.parametrize(
    "value",
    [*(wrong for wrong in WRONG if wrong != []), "approval", [[]], [APPROVAL, None], ({},)],
    ids=repr,
)
def test_what_is_no_list_of_objects_is_refused(value: Any) -> None:
    """Policy §7.2: an answer of the wrong shape is none."""
    assert refused_with(value) == INVALID


@pytest.mark.parametrize(
    "kind",
    [*WRONG, "redact", "check", "log", "Approval", "approval ", "observe\0", "results_omitted"],
    ids=repr,
)
def test_an_obligation_of_no_known_type_is_refused(kind: Any) -> None:
    """Policy §7.2.4: unknown obligation types deny."""
    assert refused_with([{"type": kind}]) == UNKNOWN
    assert refused_with([OMIT, {"type": kind}]) == UNKNOWN


def test_an_obligation_without_a_type_is_refused() -> None:
    """Policy §7.2.4."""
    assert refused_with([{}]) == refused_with([{"effect": "deny"}]) == UNKNOWN


def test_an_output_check_is_not_carried_out_here() -> None:
    """Issue: a check that nobody makes must not be passed over."""
    check = {"type": "check", "name": "secrets", "action": "block"}
    assert refused_with([check]) == UNKNOWN


@pytest.mark.parametrize("one", KNOWN, ids=lambda one: one["type"])
def test_an_obligation_that_comes_twice_is_refused(one: dict[str, Any]) -> None:
    """House: of two that differ, one would be dropped without a word."""
    assert refused_with([one, one]) == UNKNOWN
    assert refused_with([*KNOWN, one]) == UNKNOWN


def test_two_observations_that_differ_are_refused() -> None:
    """House: as above."""
    assert refused_with([OBSERVE, {**OBSERVE, "effect": "permit"}]) == UNKNOWN


MISSING = [(one, name) for one in KNOWN for name in one if name != "type"]


@pytest.mark.parametrize(("one", "gone"), MISSING, ids=[f"{o['type']}-{n}" for o, n in MISSING])
def test_an_obligation_with_a_member_missing_is_refused(one: dict[str, Any], gone: str) -> None:
    """Policy §7.2.5: it cannot be carried out."""
    assert refused_with([{k: v for k, v in one.items() if k != gone}]) == INVALID


@pytest.mark.parametrize("name", ["extra", "Type", "type ", ""], ids=repr)
@pytest.mark.parametrize("one", KNOWN, ids=lambda one: one["type"])
def test_an_obligation_with_another_member_is_refused(one: dict[str, Any], name: str) -> None:
    """House: what is not understood may be a condition."""
    assert refused_with([{**one, name: True}]) == INVALID


@pytest.mark.parametrize("effect", [*WRONG, "Deny", "deny ", "observe", "allow"], ids=repr)
def test_an_observation_of_no_known_effect_is_refused(effect: Any) -> None:
    """Design §4: three effects."""
    assert refused_with([{**OBSERVE, "effect": effect}]) == INVALID


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_approvers_must_be_named(wrong: Any) -> None:
    """House: nobody would be asked."""
    assert refused_with([{**APPROVAL, "approvers": wrong}]) == INVALID


@pytest.mark.parametrize("member", ["count", "expires_seconds"])
@pytest.mark.parametrize(
    "wrong", [w for w in WRONG if repr(w) != "1"] + [-1, 0.5, "1", MAX_COUNT + 1], ids=repr
)
def test_a_count_or_a_span_must_be_a_sane_positive_integer(member: str, wrong: Any) -> None:
    """House: `true` is 1 in Python, and no request outlives a year."""
    assert refused_with([{**APPROVAL, member: wrong}]) == INVALID


@pytest.mark.parametrize("member", ["count", "expires_seconds"])
@pytest.mark.parametrize("value", [1, MAX_COUNT])
def test_a_count_or_a_span_at_its_limit_is_read(member: str, value: int) -> None:
    """House: the limits themselves are allowed."""
    assert getattr(read_obligations([{**APPROVAL, member: value}]).approval, member) == value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "effect", "count", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(JSON | st.lists(st.sampled_from(KNOWN) | JSON, max_size=4))
def test_any_value_is_read_or_refused(value: Any) -> None:
    """House: no other exception leaves the reader, and what is read was all known."""
    try:
        read = read_obligations(value)
    except PolicyAnswerInvalid:
        return
    found = [
        read.approval,
        read.observed,
        read.untrusted_input or None,
        read.results_omitted or None,
    ]
    assert len([one for one in found if one is not None]) == len(value)
