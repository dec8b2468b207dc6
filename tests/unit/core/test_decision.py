import copy
import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.core.decision import (
    EFFECTS,
    IMPACTS,
    MAX_ANSWER_BYTES,
    Classification,
    Deny,
    Hold,
    Permit,
    PolicyStamp,
    Reason,
    effect_name,
    read_decision,
)
from gateway.core.errors import (
    CredentialRejected,
    EvidenceUnavailable,
    GatewayError,
    LedgerUnavailable,
    PolicyAnswerInvalid,
    PolicyUnavailable,
)
from gateway.core.obligation import ApprovalNeeded

STAMP = PolicyStamp("embedded", "r7", "sha256:b", "d-1", "sha256:i", 1_234)
CLASS = {"effect": "write", "impacts": ["payment"], "domain": "finance", "environment": "prod"}
APPROVAL = {"type": "approval", "approvers": "treasury", "count": 2, "expires_seconds": 900}
OBSERVED = {effect: {"type": "observe", "effect": effect} for effect in ("permit", "deny", "hold")}
UNTRUSTED, OMIT = {"type": "untrusted_input"}, {"type": "omit_results"}
PERMIT: dict[str, Any] = {
    "effect": "permit",
    "reasons": [{"code": "charter_allows", "rule": "bailiwick.permit"}],
    "obligations": [],
    "class": CLASS,
    "charter": "invoice-agent",
    "grant": "g-1",
}
HOLD = {**PERMIT, "effect": "hold", "obligations": [APPROVAL]}
DENY = {**PERMIT, "effect": "deny"}
BARE_DENY = {**DENY, "class": None, "charter": None, "grant": None}
ANSWERS = {"permit": PERMIT, "hold": HOLD, "deny": DENY, "bare-deny": BARE_DENY}

REASONS = (Reason("charter_allows", "bailiwick.permit"),)
CLASSIFICATION = Classification("write", ("payment",), "finance", "prod")
APPROVAL_NEEDED = ApprovalNeeded("treasury", 2, 900)

INVALID = "pdp_answer_invalid"
UNKNOWN = "pdp_obligation_unknown"
MISSING = object()


def encode(document: Any) -> bytes:
    """Write an answer as an engine would."""
    return json.dumps(document).encode()


def changed(document: dict[str, Any], *path: Any, to: Any) -> dict[str, Any]:
    """Return a copy with one place set to `to`, or removed."""
    result = copy.deepcopy(document)
    place: Any = result
    for step in path[:-1]:
        place = place[step]
    if to is MISSING:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return result


def refused_with(answer: bytes) -> str:
    """Return the code of the refusal; fail if there is none."""
    with pytest.raises(PolicyAnswerInvalid) as caught:
        read_decision(answer, STAMP)
    return caught.value.reason_code


# --- what is read -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "decision"),
    [
        (PERMIT, Permit(REASONS, CLASSIFICATION, "invoice-agent", "g-1", STAMP)),
        (
            {**PERMIT, "grant": None},
            Permit(REASONS, CLASSIFICATION, "invoice-agent", None, STAMP),
        ),
        (HOLD, Hold(REASONS, CLASSIFICATION, "invoice-agent", "g-1", STAMP, APPROVAL_NEEDED)),
        (
            {**HOLD, "grant": None},
            Hold(REASONS, CLASSIFICATION, "invoice-agent", None, STAMP, APPROVAL_NEEDED),
        ),
        (DENY, Deny(REASONS, CLASSIFICATION, "invoice-agent", "g-1", STAMP)),
        (BARE_DENY, Deny(REASONS, None, None, None, STAMP)),
        (
            {**PERMIT, "obligations": [OBSERVED["deny"], UNTRUSTED, OMIT]},
            Permit(REASONS, CLASSIFICATION, "invoice-agent", "g-1", STAMP, "deny", True, True),
        ),
        (
            {**HOLD, "obligations": [OBSERVED["hold"], APPROVAL]},
            Hold(REASONS, CLASSIFICATION, "invoice-agent", "g-1", STAMP, APPROVAL_NEEDED, "hold"),
        ),
        (
            {**DENY, "obligations": [OBSERVED["deny"]]},
            Deny(REASONS, CLASSIFICATION, "invoice-agent", "g-1", STAMP, "deny"),
        ),
        (
            {**BARE_DENY, "reasons": [{"code": "a", "rule": "b"}, {"code": "c", "rule": "d"}]},
            Deny((Reason("a", "b"), Reason("c", "d")), None, None, None, STAMP),
        ),
    ],
    ids=[
        "permit",
        "permit-without-grant",
        "hold",
        "hold-without-grant",
        "deny",
        "deny-bare",
        "permit-with-obligations",
        "hold-observed",
        "deny-observed",
        "deny-two-reasons-in-order",
    ],
)
def test_a_valid_answer_is_read_whole(document: dict[str, Any], decision: object) -> None:
    """House: design §5, the decision document."""
    assert read_decision(encode(document), STAMP) == decision


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize("impacts", [[], *[[name] for name in IMPACTS], list(IMPACTS)], ids=str)
def test_every_effect_and_impact_of_the_design_is_read(effect: str, impacts: list[str]) -> None:
    """House: design §4."""
    document = {**PERMIT, "class": {**CLASS, "effect": effect, "impacts": impacts}}
    assert read_decision(encode(document), STAMP) == Permit(
        REASONS,
        Classification(effect, tuple(impacts), "finance", "prod"),
        "invoice-agent",
        "g-1",
        STAMP,
    )


def test_the_words_are_those_of_the_design() -> None:
    """House: design §4; policies and charters spell them too."""
    assert (EFFECTS, IMPACTS) == (
        ("read", "write", "delete", "escalate", "execute"),
        ("payment", "access", "deployment", "deletion"),
    )


@pytest.mark.parametrize("word", ["permit", "hold", "deny"])
def test_a_decision_is_named_by_the_word_it_was_read_from(word: str) -> None:
    """House: evidence and policy use one vocabulary."""
    assert effect_name(read_decision(encode(ANSWERS[word]), STAMP)) == word


def test_the_order_of_members_does_not_matter() -> None:
    """RFC 8259 §4."""
    backwards = dict(reversed(PERMIT.items()))
    assert read_decision(encode(backwards), STAMP) == read_decision(encode(PERMIT), STAMP)


def test_a_decision_cannot_be_changed_after_it_was_read() -> None:
    """House: what is decided is what is recorded."""
    decision = read_decision(encode(DENY), STAMP)
    with pytest.raises(dataclasses.FrozenInstanceError):
        decision.charter = "other"  # type: ignore[misc]


# --- what is refused --------------------------------------------------------------------------

DELETIONS = [
    (name, (*path, member))
    for name, document in ANSWERS.items()
    for path, members in [
        ((), document.keys()),
        (("reasons", 0), document["reasons"][0].keys()),
        (("class",), document["class"] or {}),
        (("obligations", 0), (document["obligations"] or [{}])[0].keys()),
    ]
    for member in members
]


@pytest.mark.parametrize(
    ("name", "path"), DELETIONS, ids=[f"{name}-{path}" for name, path in DELETIONS]
)
def test_an_answer_without_any_one_member_is_refused(name: str, path: tuple[Any, ...]) -> None:
    """House: policy 7.2, a decision is complete or it is none."""
    code = UNKNOWN if path == ("obligations", 0, "type") else INVALID
    assert refused_with(encode(changed(ANSWERS[name], *path, to=MISSING))) == code


PLACES: list[tuple[Any, ...]] = [
    (),
    ("reasons", 0),
    ("class",),
    ("obligations", 0),
]


@pytest.mark.parametrize("key", ["extra", "Effect", "effect ", "result", ""], ids=repr)
@pytest.mark.parametrize("place", PLACES, ids=str)
def test_an_answer_with_any_extra_member_is_refused(place: tuple[Any, ...], key: str) -> None:
    """House: threats §4, answer forged through arguments."""
    assert refused_with(encode(changed(HOLD, *place, key, to="permit"))) == INVALID


@pytest.mark.parametrize("key", ["extra", "result", "allow"])
@pytest.mark.parametrize("name", ["permit", "deny", "bare-deny"])
def test_permits_and_denials_with_an_extra_member_are_refused_too(name: str, key: str) -> None:
    """House: policy 7.2."""
    assert refused_with(encode({**ANSWERS[name], key: True})) == INVALID


WRONG = {
    "true": True,
    "false": False,
    "zero": 0,
    "one": 1,
    "float": 1.0,
    "empty": "",
    "list": ["x"],
    "empty-list": [],
    "object": {"a": 1},
    "empty-object": {},
    "null": None,
}
TEXTS: list[tuple[Any, ...]] = [
    ("charter",),
    ("grant",),
    ("reasons", 0, "code"),
    ("reasons", 0, "rule"),
    ("class", "domain"),
    ("class", "environment"),
    ("obligations", 0, "approvers"),
]


MISTYPED = [
    (path, wrong) for path in TEXTS for wrong in WRONG if (path, wrong) != (("grant",), "null")
]


@pytest.mark.parametrize(("path", "wrong"), MISTYPED, ids=[f"{p}-{w}" for p, w in MISTYPED])
def test_a_text_of_any_other_type_is_refused(path: tuple[Any, ...], wrong: str) -> None:
    """House: nothing is converted; only a grant may be null."""
    assert refused_with(encode(changed(HOLD, *path, to=WRONG[wrong]))) == INVALID


@pytest.mark.parametrize(
    "effect",
    [
        *WRONG.values(),
        "Permit",
        "PERMIT",
        "permit ",
        " permit",
        "permit\n",
        "permit\0",
        "true",
        "allow",
        "hold,permit",
        "permıt",
        "ｐermit",
        ["permit"],
        {"permit": True},
    ],
    ids=repr,
)
@pytest.mark.parametrize("name", ["permit", "deny", "hold"])
def test_an_effect_that_is_not_one_of_the_three_words_is_refused(name: str, effect: Any) -> None:
    """House: permit only by identity, never by truthiness."""
    assert refused_with(encode({**ANSWERS[name], "effect": effect})) == INVALID


@pytest.mark.parametrize("count", [0, -1, 1.0, 2.5, True, False, "1", None, [1], {}], ids=repr)
@pytest.mark.parametrize("member", ["count", "expires_seconds"])
def test_a_count_or_a_span_that_is_not_a_positive_integer_is_refused(
    member: str, count: Any
) -> None:
    """House: `true` is 1 in Python, and one approval is not two."""
    assert refused_with(encode(changed(HOLD, "obligations", 0, member, to=count))) == INVALID


@pytest.mark.parametrize(
    "classification",
    [
        True,
        [],
        "write",
        0,
        {},
        {**CLASS, "effect": "Write"},
        {**CLASS, "effect": "admin"},
        {**CLASS, "effect": None},
        {**CLASS, "effect": ["write"]},
        {**CLASS, "effect": ""},
        {**CLASS, "impacts": None},
        {**CLASS, "impacts": "payment"},
        {**CLASS, "impacts": {"payment": True}},
        {**CLASS, "impacts": ["money"]},
        {**CLASS, "impacts": ["payment", "money"]},
        {**CLASS, "impacts": [None]},
        {**CLASS, "impacts": [["payment"]]},
        {**CLASS, "impacts": [{}]},
        {**CLASS, "impacts": ["Payment"]},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["permit", "hold", "deny"])
def test_a_class_that_the_catalogue_cannot_say_is_refused(name: str, classification: Any) -> None:
    """House: design §4, labels come from the catalogue only."""
    assert refused_with(encode({**ANSWERS[name], "class": classification})) == INVALID


@pytest.mark.parametrize("member", ["class", "charter"])
@pytest.mark.parametrize("name", ["permit", "hold"])
def test_without_a_class_or_a_charter_nothing_is_permitted_or_held(name: str, member: str) -> None:
    """House: design §5, a tool without class is denied; default deny."""
    assert refused_with(encode({**ANSWERS[name], member: None})) == INVALID


@pytest.mark.parametrize(
    "reasons",
    [
        [],
        None,
        {},
        "because",
        [None],
        ["because"],
        [[]],
        [{}],
        [{"code": "a"}],
        [{"code": "a", "rule": "b"}, {"code": "a"}],
        [{"code": "a", "rule": "b"}, {"code": "", "rule": "b"}],
    ],
    ids=str,
)
@pytest.mark.parametrize("name", list(ANSWERS))
def test_a_decision_without_well_formed_reasons_is_refused(name: str, reasons: Any) -> None:
    """House: design §5, every decision says why."""
    assert refused_with(encode({**ANSWERS[name], "reasons": reasons})) == INVALID


@pytest.mark.parametrize("obligations", [None, {}, "", True, [None], ["approval"], [[]]], ids=str)
@pytest.mark.parametrize("name", list(ANSWERS))
def test_obligations_that_are_not_a_list_of_objects_are_refused(
    name: str, obligations: Any
) -> None:
    """House: policy 7.2."""
    assert refused_with(encode({**ANSWERS[name], "obligations": obligations})) == INVALID


@pytest.mark.parametrize(
    "obligations",
    [
        [{}],
        [APPROVAL],
        [{"type": "redact"}],
        [{"type": "log"}, APPROVAL],
        [{"type": None}],
        [UNTRUSTED, {"type": "check", "name": "secrets", "action": "block"}],
        [UNTRUSTED, UNTRUSTED],
    ],
    ids=["empty-object", "approval", "unknown", "two", "null-type", "check", "twice"],
)
def test_a_permit_with_an_obligation_that_is_not_for_it_is_void(obligations: list[Any]) -> None:
    """House: design §4, an obligation that cannot be carried out denies."""
    assert refused_with(encode({**PERMIT, "obligations": obligations})) == UNKNOWN


@pytest.mark.parametrize("one", [UNTRUSTED, OMIT], ids=lambda one: one["type"])
@pytest.mark.parametrize("name", ["deny", "bare-deny", "hold"])
def test_what_takes_care_of_an_answer_has_no_place_where_nothing_is_sent(
    name: str, one: dict[str, str]
) -> None:
    """House: it would be dropped without a word."""
    answer = {**ANSWERS[name], "obligations": [*ANSWERS[name]["obligations"], one]}
    assert refused_with(encode(answer)) == UNKNOWN


@pytest.mark.parametrize("one", [APPROVAL, {"type": "log"}], ids=["approval", "unknown"])
@pytest.mark.parametrize("name", ["deny", "bare-deny"])
def test_a_denial_with_an_obligation_that_is_not_for_it_is_no_answer(
    name: str, one: dict[str, Any]
) -> None:
    """Policy §7.2.4: whatever the effect."""
    assert refused_with(encode({**ANSWERS[name], "obligations": [one]})) == UNKNOWN


@pytest.mark.parametrize("would_be", ["permit", "deny", "hold"])
@pytest.mark.parametrize("name", list(ANSWERS))
def test_only_a_permit_can_stand_for_another_effect(name: str, would_be: str) -> None:
    """Issue: observe mode lets through or leaves alone; it refuses nothing by itself."""
    document = ANSWERS[name]
    answer = {**document, "obligations": [*document["obligations"], OBSERVED[would_be]]}
    if document["effect"] in ("permit", would_be):
        decision = read_decision(encode(answer), STAMP)
        assert (effect_name(decision), decision.observed) == (document["effect"], would_be)
    else:
        assert refused_with(encode(answer)) == INVALID


@pytest.mark.parametrize(
    "obligations",
    [
        [],
        [{}],
        [{**APPROVAL, "type": "notify"}],
        [{**APPROVAL, "type": "Approval"}],
        [{**APPROVAL, "type": ["approval"]}],
        [{**APPROVAL, "type": None}],
        [APPROVAL, APPROVAL],
        [APPROVAL, {"type": "redact"}],
        [{"type": "redact"}, APPROVAL],
        [OBSERVED["hold"]],
    ],
    ids=[
        *("none", "empty", "notify", "capital", "list", "null", "twice", "and-more", "more-first"),
        "only-observed",
    ],
)
def test_a_hold_carries_exactly_one_approval(obligations: list[Any]) -> None:
    """House: a second obligation would be dropped without a word."""
    assert refused_with(encode({**HOLD, "obligations": obligations})) == UNKNOWN


DUPLICATES = [
    b'{"effect":"deny",' + encode(PERMIT)[1:],
    encode(DENY)[:-1] + b',"effect":"permit"}',
    encode(DENY)[:-1] + b',"\\u0065ffect":"permit"}',
    encode(PERMIT)[:-1] + b',"grant":"g-1"}',
    encode(HOLD).replace(b'"count": 2', b'"count": 2, "count": 1'),
    encode(PERMIT).replace(b'"domain"', b'"domain": "x", "domain"'),
    encode(PERMIT).replace(b'"rule"', b'"rule": "x", "rule"'),
]


@pytest.mark.parametrize(
    "answer",
    DUPLICATES,
    ids=["effect-first", "effect-last", "escaped", "same", "count", "domain", "rule"],
)
def test_an_answer_that_names_a_key_twice_is_refused(answer: bytes) -> None:
    """House: threats §4, answer forged through arguments."""
    assert refused_with(answer) == INVALID


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b" ",
        b"true",
        b'"permit"',
        b"null",
        b"1",
        b"[]",
        b"{}",
        b"[" + encode(PERMIT) + b"]",
        b'{"result":' + encode(PERMIT) + b"}",
        b"\xef\xbb\xbf" + encode(PERMIT),
        encode(PERMIT) + encode(PERMIT),
        encode(PERMIT) + b"\0",
        encode(PERMIT)[:-1],
        encode(PERMIT).decode().encode("utf-16"),
        encode(PERMIT).replace(b"finance", b"\xff"),
        encode(PERMIT).replace(b"finance", b"\\ud800"),
        encode(HOLD).replace(b'"count": 2', b'"count": NaN'),
        encode(HOLD).replace(b'"count": 2', b'"count": 9007199254740993'),
        encode(HOLD).replace(b'"count": 2', b'"count": 02'),
        b'{"effect":' * 100_000,
    ],
    ids=[
        "empty",
        "space",
        "true",
        "text",
        "null",
        "one",
        "list",
        "object",
        "list-of-permit",
        "wrapped-in-result",
        "bom",
        "two",
        "nul",
        "cut",
        "utf16",
        "not-utf8",
        "lone-surrogate",
        "nan",
        "beyond-2^53",
        "leading-zero",
        "deep",
    ],
)
def test_an_answer_that_is_not_one_strict_object_is_refused(answer: bytes) -> None:
    """House: policy 7.2, the engine's bytes are read like anybody's."""
    assert refused_with(answer) == INVALID


@pytest.mark.parametrize("size", [MAX_ANSWER_BYTES + 1, 2 * 1024 * 1024], ids=str)
def test_an_answer_longer_than_one_mebibyte_is_refused(size: int) -> None:
    """House: policy 7.2; padding is valid JSON, so only the length refuses it."""
    assert refused_with(encode(PERMIT).ljust(size)) == INVALID


def test_an_answer_of_exactly_one_mebibyte_is_read() -> None:
    """House: the limit itself is allowed."""
    answer = encode(PERMIT).ljust(1024 * 1024)
    assert read_decision(answer, STAMP) == read_decision(encode(PERMIT), STAMP)


def test_the_refusal_of_an_answer_does_not_repeat_the_policys_text() -> None:
    """House: style §4.4, messages hold no policy text."""
    with pytest.raises(PolicyAnswerInvalid) as caught:
        read_decision(encode({**PERMIT, "effect": "s3cret-canary"}), STAMP)
    assert "s3cret-canary" not in caught.value.message


# --- denials made by the gateway --------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (PolicyUnavailable("x"), "pdp_unavailable"),
        (PolicyAnswerInvalid("x"), "pdp_answer_invalid"),
        (PolicyAnswerInvalid("x", code="pdp_obligation_unknown"), "pdp_obligation_unknown"),
        (LedgerUnavailable("x"), "ledger_unavailable"),
        (EvidenceUnavailable("x"), "evidence_unavailable"),
        (CredentialRejected("x", code="token_expired"), "token_expired"),
        (GatewayError("x"), "internal_error"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_failure_becomes_a_denial_with_its_most_exact_code(
    failure: GatewayError, code: str
) -> None:
    """House: style §4.4, a failure ends as a denied call; no policy has spoken."""
    expected = Deny((Reason(code, "gateway.decide"),), None, None, None, None)
    assert Deny.because(failure, "decide") == expected


# --- generated --------------------------------------------------------------------------------


def read(answer: bytes) -> object:
    """Return the decision, or None for a refusal; anything else propagates."""
    try:
        return read_decision(answer, STAMP)
    except PolicyAnswerInvalid:
        return None


def flip(document: dict[str, Any]) -> Callable[[tuple[int, int]], bytes]:
    """Return a function that changes one byte of the answer."""
    answer = encode(document)

    def change(where: tuple[int, int]) -> bytes:
        line = bytearray(answer)
        line[where[0] % len(line)] ^= where[1]
        return bytes(line)

    return change


FLIPS = st.tuples(st.integers(0, 10_000), st.integers(1, 255))


@given(st.sampled_from([DENY, BARE_DENY, HOLD]), FLIPS)
def test_no_one_byte_change_turns_a_denial_or_a_hold_into_a_permit(
    document: dict[str, Any], where: tuple[int, int]
) -> None:
    """House: default deny is strictness."""
    answer = flip(document)(where)
    assert not isinstance(read(answer), Permit) or json.loads(answer)["effect"] == "permit"


@pytest.mark.parametrize("name", ["deny", "bare-deny", "hold"])
def test_no_single_bit_or_byte_of_a_denial_or_a_hold_matters_enough(name: str) -> None:
    """House: the same claim for every position, with every bit and some bytes."""
    answer = encode(ANSWERS[name])
    masks = [1 << bit for bit in range(8)] + [0xFF, 0x22, 0x5C, 0x20]
    permits = [
        (position, mask)
        for position in range(len(answer))
        for mask in masks
        if isinstance(read(flip(ANSWERS[name])((position, mask))), Permit)
    ]
    assert permits == []


@given(
    st.dictionaries(
        st.sampled_from([*PERMIT, "other"]),
        st.sampled_from(["permit", "deny", "", None, True, 1, [], [{}], {}])
        | st.sampled_from([value for document in ANSWERS.values() for value in document.values()]),
    )
)
@example(PERMIT)
@example({**PERMIT, "class": None})
def test_only_an_answer_with_all_that_a_permit_needs_is_a_permit(document: dict[str, Any]) -> None:
    """House: policy 7.2, stated a second time and independently."""
    complete = (
        document.keys() == PERMIT.keys()
        and document["effect"] == "permit"
        and document["reasons"] == PERMIT["reasons"]
        and document["obligations"] == []
        and document["class"] == CLASS
        and type(document["charter"]) is str
        and document["charter"] != ""
        and (document["grant"] is None or type(document["grant"]) is str)
        and document["grant"] != ""
    )
    assert isinstance(read(encode(document)), Permit) == complete


@given(st.binary(max_size=300))
def test_any_bytes_are_a_decision_or_raise_policy_answer_invalid(answer: bytes) -> None:
    """House: no other exception leaves the reader."""
    assert read(answer) is None
