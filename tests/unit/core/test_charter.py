import copy
import json
from typing import Any

import pytest

from gateway.core.charter import Fault, covers, faults, system_faults
from gateway.core.decision import IMPACTS

Document = dict[str, Any]


def system(**changes: Any) -> Document:
    """Return a sound system of the catalogue, with some members replaced."""
    return {
        "owner": "platform",
        "domain": "sales",
        "environment": "test",
        "protocol": "mcp",
        "tools": {
            "list_orders": {"effect": "read", "impacts": []},
            "read_order": {"effect": "read", "impacts": [], "domain": "orders"},
            "ship": {"effect": "write", "impacts": []},
            "refund": {"effect": "write", "impacts": ["payment"]},
        },
        **changes,
    }


def charter(**changes: Any) -> Document:
    """Return a complete charter, with some members replaced."""
    return {
        "subject": "spiffe://example.org/agent",
        "owner": "sales",
        "purpose": "Answers questions about orders.",
        "environment": "test",
        "expires": "2027-11-30T00:00:00Z",
        "systems": {"shop": {"allow": [allow("list_orders", "read_*")]}},
        "approvals": [],
        "evidence": {"capture": []},
        "limits": {"calls_per_minute": 60},
        "task_required": False,
        **changes,
    }


def allow(*tools: str, effects: tuple[str, ...] = ("read",), **more: Any) -> Document:
    """Return an allow entry."""
    return {"tools": list(tools), "effects": list(effects), **more}


def approval(**changes: Any) -> Document:
    """Return an approvals entry."""
    return {"approvers": "leads", "count": 1, "expires_seconds": 60, **changes}


def on_shop(*entries: Document, **bounds: Any) -> Document:
    """Return the `systems` of a charter with these entries on the one system."""
    return {"shop": {"allow": list(entries), **bounds}}


def found(document: Document) -> list[tuple[str, str]]:
    """Return the code and place of each fault of a charter."""
    return [(fault.code, fault.where) for fault in faults(document, {"shop": system()})]


def test_complete_charter_has_no_faults() -> None:
    """Design §5: complete means that every member is said and every impact has an approver."""
    complete = charter(
        systems=on_shop(
            allow("list_orders", "read_*"),
            allow("refund", effects=("write",), arguments={"amount": {"gte": 0, "lte": 10}}),
            deny=[{"tools": ["ship"]}],
        ),
        approvals=[approval(impacts=["payment"])],
    )
    assert faults(complete, {"shop": system()}) == []


@pytest.mark.parametrize("member", sorted(charter()))
def test_each_member_must_be_said(member: str) -> None:
    """Silence is no permission: a charter that leaves a member out is incomplete."""
    document = charter()
    del document[member]
    assert ("member_missing", member) in found(document)


@pytest.mark.parametrize("member", sorted(charter()))
@pytest.mark.parametrize("value", [None, "", 0, [None], {"": None}], ids=repr)
def test_member_of_another_kind_is_a_fault_and_never_an_error(member: str, value: Any) -> None:
    """A charter comes from a file, so anything may stand anywhere in it."""
    assert any(where.split(".")[0] == member for _, where in found(charter(**{member: value})))


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"limit": {}}, ("member_unknown", "limit")),
        ({"evidence": {"capture": [], "keep": 1}}, ("member_unknown", "evidence.keep")),
        ({"evidence": {}}, ("member_missing", "evidence.capture")),
        ({"limits": {"calls_per_minute": 0}}, ("not_positive", "limits.calls_per_minute")),
        ({"limits": {"calls_per_minute": True}}, ("not_positive", "limits.calls_per_minute")),
        ({"limits": {"calls_per_minute": 1.5}}, ("not_positive", "limits.calls_per_minute")),
        ({"task_required": "no"}, ("member_invalid", "task_required")),
        ({"expires": "2027-11-30"}, ("expires_invalid", "expires")),
        ({"expires": "2027-11-31T00:00:00Z"}, ("expires_invalid", "expires")),
        ({"expires": "2027-11-30T00:00:00+01:00"}, ("expires_invalid", "expires")),
        ({"expires": "2300-01-01T00:00:00Z"}, ("expires_invalid", "expires")),
        ({"environment": "production"}, ("environment_mismatch", "systems.shop")),
        ({"systems": {"mall": {"deny": "all"}}}, ("system_unknown", "systems.mall")),
        ({"systems": {"shop": {}}}, ("member_invalid", "systems.shop")),
        ({"systems": {"shop": {"deny": "some"}}}, ("member_invalid", "systems.shop.deny")),
    ],
)
def test_what_is_said_wrongly_is_named_with_its_place(
    changes: Document, fault: tuple[str, str]
) -> None:
    """Each fault says where it is, so that it can be mended without guessing."""
    assert found(charter(**changes)) == [fault]


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ({"tools": ["ship"]}, ("member_missing", "effects")),
        (allow("ship", effects=("wirte",)), ("effect_unknown", "effects.0")),
        (allow("shop", effects=("write",)), ("tool_unknown", "tools")),
        (allow("buy_*"), ("tool_unknown", "tools")),
        (allow("*ship"), ("member_invalid", "tools.0")),
        (allow(), ("member_invalid", "tools")),
        (allow("list_*", effects=("read", "write")), ("wildcard_effect", "tools")),
        (allow("sh*", effects=("write",)), ("wildcard_effect", "tools")),
        (allow("ship", effects=("read",)), ("effect_mismatch", "effects")),
        (allow("list_orders", arguments={}), ("member_invalid", "arguments")),
        (allow("list_orders", arguments={"n": {}}), ("member_invalid", "arguments.n")),
        (allow("list_orders", arguments={"n": 1}), ("member_invalid", "arguments.n")),
    ],
)
def test_allow_entry_that_says_too_little_or_too_much_is_a_fault(
    entry: Document, fault: tuple[str, str]
) -> None:
    """Wildcards may cover reads only, and an entry must be able to apply."""
    code, where = fault
    assert found(charter(systems=on_shop(entry))) == [(code, f"systems.shop.allow.0.{where}")]


@pytest.mark.parametrize(
    ("operator", "limit", "code"),
    [
        ("matches", ".*", "operator_unknown"),
        ("lt", 5, "operator_unknown"),
        ("eq", None, "bound_invalid"),
        ("lte", "5", "bound_invalid"),
        ("gte", True, "bound_invalid"),
        ("in", [], "bound_invalid"),
        ("in", "EUR", "bound_invalid"),
        ("prefix", "", "bound_invalid"),
        ("absent", False, "bound_invalid"),
        ("required", 1, "bound_invalid"),
    ],
)
def test_bound_that_the_rules_would_not_keep_is_a_fault(
    operator: str, limit: Any, code: str
) -> None:
    """The operators are those of the rule `argument_bounds`."""
    entry = allow("list_orders", arguments={"n": {operator: limit}})
    assert found(charter(systems=on_shop(entry))) == [
        (code, f"systems.shop.allow.0.arguments.n.{operator}")
    ]


@pytest.mark.parametrize(
    ("operator", "limit"),
    [
        ("eq", 0),
        ("eq", False),
        ("lte", 1.5),
        ("gte", -1),
        ("in", [None]),
        ("prefix", "a/"),
        ("absent", True),
        ("required", True),
    ],
)
def test_every_operator_of_the_rules_is_known(operator: str, limit: Any) -> None:
    """A bound that the rules keep is no fault."""
    entry = allow("list_orders", arguments={"n": {operator: limit}})
    assert found(charter(systems=on_shop(entry))) == []


REFUND = on_shop(allow("refund", effects=("write",)))


@pytest.mark.parametrize(
    ("approvals", "expected"),
    [
        ([approval(impacts=["payment"])], []),
        ([approval(tools=["refund"])], []),
        ([approval(tools=["ref*"], impacts=["payment"])], []),
        ([], [("approver_missing", "systems.shop")]),
        ([approval(impacts=["deletion"])], [("approver_missing", "systems.shop")]),
        (
            [approval(impacts=["payment"]), approval(tools=["refund"], count=2)],
            [("approval_ambiguous", "systems.shop")],
        ),
        ([approval(impacts=["payment"], count=0)], [("not_positive", "approvals.0.count")]),
        (
            [approval(impacts=["payment"], expires_seconds=-1)],
            [("not_positive", "approvals.0.expires_seconds")],
        ),
        ([approval(impacts=["money"])], [("impact_unknown", "approvals.0.impacts.0")]),
        ([approval()], [("member_missing", "approvals.0")]),
        (
            [approval(impacts=["payment"], tools=["pay"])],
            [("tool_unknown", "approvals.0.tools")],
        ),
    ],
)
def test_every_high_impact_in_reach_has_exactly_one_answer_to_wait_for(
    approvals: list[Document], expected: list[tuple[str, str]]
) -> None:
    """Design §5: every high-impact effect that the charter can reach has an approver."""
    assert found(charter(systems=REFUND, approvals=approvals)) == expected


@pytest.mark.parametrize(
    "systems",
    [
        on_shop(allow("refund", effects=("write",)), deny=[{"tools": ["refund"]}]),
        on_shop(allow("refund", effects=("write",)), deny="all"),
        on_shop(allow("*")),
    ],
    ids=["denied by name", "denied with the system", "not of an allowed effect"],
)
def test_high_impact_out_of_reach_needs_no_approver(systems: Document) -> None:
    """What is denied anyway cannot be held for anybody."""
    assert found(charter(systems=systems)) == []


def test_misspelt_denial_is_a_fault() -> None:
    """A deny entry for a tool that does not exist denies nothing, without anybody noticing."""
    systems = on_shop(allow("list_orders"), deny=[{"tools": ["refunds"]}])
    assert found(charter(systems=systems)) == [("tool_unknown", "systems.shop.deny.0.tools")]


def test_all_faults_are_told_at_once() -> None:
    """A person mends a charter in one go: a wrong shape elsewhere hides no missing approver."""
    document = charter(systems=REFUND, owner="", expires="soon")
    assert found(document) == [
        ("member_invalid", "owner"),
        ("expires_invalid", "expires"),
        ("approver_missing", "systems.shop"),
    ]


def test_fault_is_one_sentence_for_a_person() -> None:
    """`charter check` prints the sentence as it is."""
    document = charter()
    del document["owner"]
    assert faults(document, {"shop": system()}) == [
        Fault("member_missing", "owner", "`owner` is missing.")
    ]


def test_checking_changes_nothing() -> None:
    """The values checked are those that are decided on."""
    document, systems = charter(), {"shop": system()}
    before = copy.deepcopy((document, systems))
    faults(document, systems)
    system_faults(systems["shop"])
    assert (document, systems) == before


@pytest.mark.parametrize(
    ("pattern", "tool", "expected"),
    [
        ("ship", "ship", True),
        ("ship", "shipping", False),
        ("ship*", "shipping", True),
        ("ship*", "Ship", False),
        ("*", "anything", True),
    ],
)
def test_pattern_covers_a_name_or_a_beginning(pattern: str, tool: str, expected: bool) -> None:
    """The same patterns as in the rules."""
    assert covers(pattern, tool) is expected


def test_sound_system_has_no_faults() -> None:
    """Every impact is known, none is required."""
    assert system_faults(system()) == []
    every = {"x": {"effect": "execute", "impacts": list(IMPACTS)}}
    assert system_faults(system(tools=every)) == []


@pytest.mark.parametrize("member", sorted(system()))
def test_each_member_of_a_system_must_be_said(member: str) -> None:
    """A call is classified by the catalogue alone, so it must say everything."""
    document = system()
    del document[member]
    assert [(f.code, f.where) for f in system_faults(document)] == [("member_missing", member)]


@pytest.mark.parametrize(
    ("changes", "code", "where"),
    [
        ({"protocol": "smtp"}, "protocol_unknown", "protocol"),
        ({"tools": {}}, "member_invalid", "tools"),
        ({"tools": ["x"]}, "member_invalid", "tools"),
        ({"tools": {"x": {"effect": "read"}}}, "member_missing", "tools.x.impacts"),
        ({"tools": {"x": {"effect": "peek", "impacts": []}}}, "effect_unknown", "tools.x.effect"),
        (
            {"tools": {"x": {"effect": "read", "impacts": ["fun"]}}},
            "impact_unknown",
            "tools.x.impacts.0",
        ),
        (
            {"tools": {"x": {"effect": "read", "impacts": [], "safe": True}}},
            "member_unknown",
            "tools.x.safe",
        ),
        (
            {"tools": {"x": {"effect": "delete", "impacts": []}}},
            "impact_missing",
            "tools.x.impacts",
        ),
        (
            {"tools": {"x": {"effect": "escalate", "impacts": ["payment"]}}},
            "impact_missing",
            "tools.x.impacts",
        ),
    ],
)
def test_catalogue_entry_that_classifies_wrongly_is_a_fault(
    changes: Document, code: str, where: str
) -> None:
    """A tool that deletes or gives access is high-impact by its nature."""
    document = json.loads(json.dumps(system(**changes)))
    assert [(fault.code, fault.where) for fault in system_faults(document)] == [(code, where)]


def marked(redact: Any) -> list[tuple[str, str]]:
    """Return the faults of a system with one tool of which this is to be redacted."""
    tool = {"effect": "read", "impacts": [], "redact": redact}
    found = system_faults(system(tools={"x": tool}))
    return [(fault.code, fault.where.removeprefix("tools.x.redact")) for fault in found]


@pytest.mark.parametrize(
    "redact",
    [
        {"arguments": {"/card": "secret"}},
        {"result": {"/structuredContent/rows/*/e~1mail~0": "pii"}},
        {"arguments": {"": "secret"}, "result": {"/": "pii", "/a//b": "secret"}},
    ],
)
def test_values_are_marked_by_json_pointers(redact: Any) -> None:
    """RFC 6901 §3, and `*`: every member or element."""
    assert marked(redact) == []


@pytest.mark.parametrize(
    ("redact", "code", "where"),
    [
        ({}, "member_invalid", ""),
        ("all", "member_invalid", ""),
        ({"argument": {"/a": "secret"}}, "member_unknown", ".argument"),
        ({"arguments": {}}, "member_invalid", ".arguments"),
        ({"arguments": ["/a"]}, "member_invalid", ".arguments"),
        ({"result": {"card": "secret"}}, "pointer_invalid", ".result.card"),
        ({"result": {"$.card": "secret"}}, "pointer_invalid", ".result.$.card"),
        ({"result": {"/a~2b": "secret"}}, "pointer_invalid", ".result./a~2b"),
        ({"result": {"/a~": "pii"}}, "pointer_invalid", ".result./a~"),
        ({"result": {7: "pii"}}, "pointer_invalid", ".result.7"),
        ({"result": {"/a": "free"}}, "redaction_class_unknown", ".result./a"),
        ({"result": {"/a": None}}, "redaction_class_unknown", ".result./a"),
        ({"result": {"/a": ["pii"]}}, "redaction_class_unknown", ".result./a"),
    ],
)
def test_mark_that_would_redact_nothing_is_a_fault(redact: Any, code: str, where: str) -> None:
    """House: a misspelt mark would write a secret into evidence, without anybody noticing."""
    assert marked(redact) == [(code, where)]
