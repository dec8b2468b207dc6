import copy
import json
from typing import Any

import pytest

from gateway.core.charter import MAX_FAULTS, Fault, covers, faults, system_faults, warnings
from gateway.core.charter_warnings import DAY_NS, instant_ns
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
            "later": {"effect": "unclassified", "impacts": []},
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
        "evidence": {"capture": ["arguments"]},
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
        ({"evidence": {"capture": ["arguments"], "keep": 1}}, ("member_unknown", "evidence.keep")),
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
        ({"evidence": {"capture": []}}, ("capture_incomplete", "evidence.capture")),
        ({"evidence": {"capture": ["results"]}}, ("capture_incomplete", "evidence.capture")),
        (
            {"evidence": {"capture": ["arguments", "tokens"]}},
            ("capture_unknown", "evidence.capture.1"),
        ),
        (
            {"limits": {"calls_per_minute": 1, "calls_per_session": 0}},
            ("not_positive", "limits.calls_per_session"),
        ),
        ({"observe": {}}, ("member_missing", "observe.until")),
        ({"observe": {"until": "soon"}}, ("until_invalid", "observe.until")),
        (
            {"observe": {"until": "2027-11-30T00:00:01Z"}},
            ("observe_outlives", "observe.until"),
        ),
        (
            {"observe": {"until": "2027-01-01T00:00:00Z", "high_impact": False}},
            ("member_invalid", "observe.high_impact"),
        ),
        ({"deny": []}, ("member_invalid", "deny")),
        ({"deny": "all"}, ("member_invalid", "deny")),
        ({"deny": [{}]}, ("member_invalid", "deny.0")),
        ({"deny": [{"tools": ["ship"], "effects": ["write"]}]}, ("deny_invalid", "deny.0")),
        ({"deny": [{"domain": ["orders"]}]}, ("member_unknown", "deny.0.domain")),
        ({"deny": [{"effects": ["unclassified"]}]}, ("effect_unknown", "deny.0.effects.0")),
        ({"deny": [{"impacts": ["money"]}]}, ("impact_unknown", "deny.0.impacts.0")),
        ({"deny": [{"domains": ["hr"]}]}, ("domain_unknown", "deny.0.domains")),
        ({"deny": [{"tools": ["refunds"]}]}, ("tool_unknown", "deny.0.tools")),
        ({"flows": []}, ("member_invalid", "flows")),
        ({"hours": []}, ("member_invalid", "hours")),
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
        (allow("ship", effects=("write", "delete")), ("effect_unused", "effects")),
        (allow("later"), ("tool_unclassified", "tools")),
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
        ("glob", "", "bound_invalid"),
        ("glob", "a[b]", "glob_not_portable"),
        ("regex", 5, "bound_invalid"),
        ("regex", "[0-9]+", "regex_not_anchored"),
        ("regex", "^[0-9]+", "regex_not_anchored"),
        ("regex", "^(?i)a$", "regex_not_portable"),
        ("cidr", "10.0.0.1/8", "cidr_invalid"),
        ("cidr", [], "member_invalid"),
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
        ("glob", "invoices/**"),
        ("regex", "^[0-9]+$"),
        ("cidr", "10.0.0.0/8"),
        ("cidr", ["10.0.0.0/8", "2001:db8::/32"]),
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
        ([], [("approver_missing", "systems.shop.allow.0")]),
        ([approval(impacts=["deletion"])], [("approver_missing", "systems.shop.allow.0")]),
        (
            [approval(impacts=["payment"]), approval(tools=["refund"], count=2)],
            [("approval_ambiguous", "systems.shop.allow.0")],
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
        ("approver_missing", "systems.shop.allow.0"),
    ]


def test_fault_is_one_sentence_for_a_person() -> None:
    """`charter check` prints the sentence as it is."""
    document = charter()
    del document["owner"]
    assert faults(document, {"shop": system()}) == [
        Fault("member_missing", ("owner",), "`owner` is missing; say who answers for the agent.")
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
        ({"untrusted": "yes"}, "member_invalid", "untrusted"),
        ({"annotations_trusted": 1}, "member_invalid", "annotations_trusted"),
        ({"trusted": True}, "member_unknown", "trusted"),
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


READ = {"effect": "read", "impacts": []}


@pytest.mark.parametrize(
    ("tool", "code", "where"),
    [
        ({"effect": "unclassified", "impacts": ["payment"]}, "unclassified_impact", "impacts"),
        ({**READ, "domain": ""}, "member_invalid", "domain"),
        ({**READ, "outward": "yes"}, "member_invalid", "outward"),
        ({**READ, "untrusted": 0}, "member_invalid", "untrusted"),
        ({**READ, "observable": None}, "member_invalid", "observable"),
        ({**READ, "operation": "GET /x"}, "operation_unexpected", "operation"),
        ({**READ, "checks": {}}, "member_invalid", "checks"),
        ({**READ, "checks": {"virus": "block"}}, "check_unknown", "checks.virus"),
        ({**READ, "checks": {"size": "ignore"}}, "check_action_unknown", "checks.size"),
    ],
)
def test_tool_that_is_classified_wrongly_is_a_fault(tool: Document, code: str, where: str) -> None:
    """A call is classified by the catalogue alone."""
    found = system_faults(system(tools={"x": tool}))
    assert [(fault.code, fault.where) for fault in found] == [(code, f"tools.x.{where}")]


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ({"x": "GET /orders/{id}", "y": "POST /orders"}, []),
        ({"x": None}, [("member_missing", "tools.x.operation")]),
        ({"x": "get /orders"}, [("operation_invalid", "tools.x.operation")]),
        ({"x": "GET orders"}, [("operation_invalid", "tools.x.operation")]),
        ({"x": "GET /a", "y": "GET /a"}, [("operation_twice", "tools.y.operation")]),
    ],
)
def test_tool_of_an_http_system_is_one_request(
    operations: dict[str, str | None], expected: list[tuple[str, str]]
) -> None:
    """Issue: effect and impacts per tool or HTTP operation."""
    tools = {
        name: {**READ, **({"operation": operation} if operation else {})}
        for name, operation in operations.items()
    }
    found = system_faults(system(protocol="http", tools=tools))
    assert [(fault.code, fault.where) for fault in found] == expected


FLOW = {"after": {"untrusted_input": True}, "to": {"effects": ["write"]}, "deny": True}


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"after": {}}, ("member_invalid", "after")),
        ({"to": {}}, ("member_invalid", "to")),
        ({"after": {"untrusted_input": False}}, ("member_invalid", "after.untrusted_input")),
        ({"after": {"domains": ["hr"]}}, ("domain_unknown", "after.domains")),
        ({"to": {"domains": ["hr"]}}, ("domain_unknown", "to.domains")),
        ({"to": {"tools": ["shop_*"]}}, ("tool_unknown", "to.tools")),
        ({"to": {"outward": 1}}, ("member_invalid", "to.outward")),
        ({"to": {"effects": ["peek"]}}, ("effect_unknown", "to.effects.0")),
        ({"deny": False}, ("member_invalid", "deny")),
        ({"approval": approval()}, ("flow_invalid", "")),
    ],
)
def test_flow_that_would_never_be_set_off_or_end_is_a_fault(
    changes: Document, fault: tuple[str, str]
) -> None:
    """A flow says after what, about what, and how it ends."""
    code, where = fault
    path = f"flows.0.{where}" if where else "flows.0"
    assert found(charter(flows=[{**FLOW, **changes}])) == [(code, path)]


def test_flow_may_hold_instead_of_denying() -> None:
    """Issue: outward or write effects need approval, or are denied."""
    holds = {"after": {"domains": ["sales"]}, "to": {"outward": True}, "approval": approval()}
    assert found(charter(flows=[FLOW, holds])) == []


@pytest.mark.parametrize(
    ("window", "fault"),
    [
        ({}, None),
        ({"from": "00:00", "to": "24:00"}, None),
        ({"days": []}, ("member_invalid", "days")),
        ({"days": ["monday"]}, ("day_unknown", "days.0")),
        ({"from": "8:00"}, ("hours_invalid", "from")),
        ({"from": "24:00"}, ("hours_invalid", "from")),
        ({"from": 800}, ("hours_invalid", "from")),
        ({"to": "24:01"}, ("hours_invalid", "to")),
        ({"to": "18:60"}, ("hours_invalid", "to")),
        ({"to": "08:00"}, ("hours_backwards", "")),
        ({"from": "22:00", "to": "06:00"}, ("hours_backwards", "")),
    ],
)
def test_window_that_is_empty_or_backwards_is_a_fault(
    window: Document, fault: tuple[str, str] | None
) -> None:
    """A window that nothing fits into would deny for ever, or be misread as the night."""
    said = {"days": ["mon"], "from": "08:00", "to": "18:00", **window}
    expected = [] if fault is None else [(fault[0], ".".join(filter(None, ("hours.0", fault[1]))))]
    assert found(charter(hours=[said])) == expected


@pytest.mark.parametrize("member", ["count", "expires_seconds"])
def test_approval_that_no_answer_can_carry_is_a_fault(member: str) -> None:
    """The reader of decisions refuses counts and spans beyond a year."""
    asked = approval(impacts=["payment"], **{member: 366 * 24 * 3600 + 1})
    assert found(charter(systems=REFUND, approvals=[asked])) == [
        ("not_positive", f"approvals.0.{member}")
    ]


@pytest.mark.parametrize("kind", ["impacts", "effects", "domains", "tools"])
def test_denial_for_every_system_takes_tools_out_of_reach(kind: str) -> None:
    """Explicit deny wins, so what it takes away needs no approver."""
    named = {"impacts": "payment", "effects": "write", "domains": "sales", "tools": "ref*"}
    assert found(charter(systems=REFUND, deny=[{kind: [named[kind]]}])) == []


def test_fault_as_data_holds_its_place_for_people() -> None:
    """The policy's data and `--json` say the same of a fault."""
    fault = Fault("x", ("systems", "shop", "allow", "0"), "is wrong")
    assert fault.as_data() == {"code": "x", "where": "systems.shop.allow.0", "sentence": "is wrong"}


# --- warnings ---

EXPIRES_NS = instant_ns("2027-11-30T00:00:00Z")


def warned(document: Document, now_ns: int = EXPIRES_NS - 100 * DAY_NS) -> list[str]:
    """Return the code of each warning."""
    return [warning.code for warning in warnings(document, {"shop": system()}, now_ns)]


@pytest.mark.parametrize(
    ("left_ns", "expected"),
    [
        (30 * DAY_NS + 1, []),
        (30 * DAY_NS, ["expires_soon"]),
        (1, ["expires_soon"]),
        (0, ["expired"]),
        (-DAY_NS, ["expired"]),
    ],
)
def test_expiry_is_told_thirty_days_before_and_for_ever_after(
    left_ns: int, expected: list[str]
) -> None:
    """A charter ends at its instant, as in the rule `charter_current`."""
    assert warned(charter(), EXPIRES_NS - left_ns) == expected


@pytest.mark.parametrize(("left_ns", "expected"), [(1, ["observing"]), (0, []), (-1, [])])
def test_observing_is_told_while_it_lasts(left_ns: int, expected: list[str]) -> None:
    """Observe mode is loud."""
    until = "2027-01-01T00:00:00Z"
    assert warned(charter(observe={"until": until}), instant_ns(until) - left_ns) == expected


def test_complete_charter_warns_of_nothing() -> None:
    """A warning that is always there is never read."""
    complete = charter(systems=REFUND, approvals=[approval(impacts=["payment"])])
    assert warned(complete) == []


def test_charter_with_faults_still_tells_its_time() -> None:
    """What faults do not hide is told at once."""
    assert warned(charter(owner=""), EXPIRES_NS) == ["expired"]
    assert warned(charter(expires="soon"), EXPIRES_NS) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"approvals": [approval(impacts=["payment"])]}, ["approval_unused"]),
        ({"systems": on_shop(allow("ship", effects=("write",)), deny="all")}, ["allow_denied"]),
        (
            {"systems": on_shop(allow("list_orders", arguments={"n": {"gte": 2, "lte": 1}}))},
            ["bounds_impossible"],
        ),
        (
            {"systems": on_shop(allow("list_orders", arguments={"n": {"absent": True, "eq": 1}}))},
            ["bounds_impossible"],
        ),
        (
            {"systems": on_shop(allow("list_orders", arguments={"n": {"eq": 1, "in": [2]}}))},
            ["bounds_impossible"],
        ),
        (
            {
                "systems": REFUND,
                "approvals": [approval(impacts=["payment"])],
                "flows": [
                    {
                        "after": {"untrusted_input": True},
                        "to": {"effects": ["write"]},
                        "approval": approval(count=2),
                    }
                ],
            },
            ["flow_approval_differs"],
        ),
    ],
)
def test_what_is_there_for_nothing_is_told(changes: Document, expected: list[str]) -> None:
    """It denies nothing and allows nothing, and somebody meant it to."""
    assert warned(charter(**changes)) == expected


@pytest.mark.parametrize(
    ("flows", "expected"),
    [
        ([], ["untrusted_unguarded"]),
        ([FLOW], []),
        ([{**FLOW, "to": {"tools": ["list_orders"]}}], ["untrusted_unguarded"]),
        ([{**FLOW, "after": {"domains": ["sales"]}}], ["untrusted_unguarded"]),
    ],
)
def test_words_of_strangers_before_a_write_want_a_flow(
    flows: list[Document], expected: list[str]
) -> None:
    """Taint flow: what strangers wrote may steer what the agent writes."""
    shop = system()
    shop["tools"]["list_orders"]["untrusted"] = True
    document = charter(
        systems=on_shop(allow("list_orders"), allow("ship", effects=("write",))),
        **({"flows": flows} if flows else {}),
    )
    told = warnings(document, {"shop": shop}, EXPIRES_NS - 100 * DAY_NS)
    assert [warning.code for warning in told] == expected
    # Whoever approves each such call looks at it, flow or not.
    held = {**document, "approvals": [approval(tools=["ship"])]}
    told = warnings(held, {"shop": shop}, EXPIRES_NS - 100 * DAY_NS)
    assert "untrusted_unguarded" not in [warning.code for warning in told]


def test_execution_that_nobody_approves_is_told() -> None:
    """It is of high impact by its nature, whatever the catalogue says that it risks."""
    shop = system()
    shop["tools"]["run"] = {"effect": "execute", "impacts": []}
    document = charter(systems=on_shop(allow("run", effects=("execute",))))
    told = warnings(document, {"shop": shop}, EXPIRES_NS - 100 * DAY_NS)
    assert [warning.code for warning in told] == ["execute_unapproved"]


def test_a_charter_of_nothing_but_faults_does_not_fill_memory() -> None:
    """House: nothing is without a bound; each fault repeats a path that can be long."""
    name = "x" * 500_000
    broken = {"systems": {name: {"allow": [1] * 500_000}}}
    told = faults(broken, {})
    assert len(told) == MAX_FAULTS


def test_a_catalogue_of_nothing_but_faults_does_not_fill_memory() -> None:
    """House: nothing is without a bound."""
    assert len(system_faults({"tools": dict.fromkeys(map(str, range(10_000)), 1)})) == MAX_FAULTS
