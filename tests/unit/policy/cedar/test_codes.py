"""Each reason that the bundle's rules give, from both engines."""

from typing import Any

import pytest

from tests.rego.test_decisions import CASES, Case
from tests.unit.policy.cedar.worlds import (
    NOW,
    Engines,
    Value,
    allowing,
    bounded,
    bundle_of,
    call,
    charter,
    codes,
    method,
    shipped,
)

LEADS = {"approvers": "leads", "count": 1, "expires_seconds": 60}
BOSSES = {"approvers": "bosses", "count": 2, "expires_seconds": 60}
READS = {"tools": ["*"], "effects": ["read"]}
WRITES = {"tools": ["ship", "refund"], "effects": ["write"]}
DAY_NS = 24 * 3600 * 1_000_000_000
MINUTE_NS = 60 * 1_000_000_000
SHOP = Engines(shipped())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_shipped_bundle_is_decided_alike(case: Case) -> None:
    """Issue: switching the engine changes no decision in the bundle's whole test table."""
    SHOP.both(case.document)


def on_shop(**said: Any) -> Value:
    """Return a charter with reads allowed on the shop, and this."""
    return charter(systems={"shop": {"allow": [READS], **said}})


def flow(after: Value, to: Value, **end: Any) -> Value:
    """Return a charter that allows all of the shop, with one flow."""
    flows = [{"after": after, "to": to, **(end or {"deny": True})}]
    return allowing(READS, WRITES, flows=flows, approvals=[{"impacts": ["payment"], **LEADS}])


TAINTED: Value = {"untrusted_input": True}
READ_HR: Value = {"domains_read": ["hr", "sales"]}
OBSERVED: Value = {"until": "2026-11-25T00:00:00Z"}

DECIDED: list[tuple[str, Value, Value, str, list[str]]] = [
    ("a read", charter(), call("list_orders"), "permit", ["charter_allows"]),
    ("a method", charter(), method("ping"), "permit", ["protocol_allowed"]),
    ("another method", charter(), method("prompts/get"), "deny", ["method_not_allowed"]),
    ("no entry", charter(), call("ship"), "deny", ["tool_not_allowed"]),
    ("no class", charter(), call("odd"), "deny", ["tool_unclassified"]),
    ("no tool", charter(), call("wire"), "deny", ["tool_unclassified"]),
    (
        "no system",
        charter(),
        call("list_orders", system="nowhere"),
        "deny",
        ["system_not_allowed", "tool_unclassified"],
    ),
    (
        "another environment",
        charter(systems={"live": {"allow": [READS]}}),
        call("list_orders", system="live"),
        "deny",
        ["environment_mismatch"],
    ),
    (
        "a system denied",
        on_shop(deny="all"),
        call("list_orders"),
        "deny",
        ["system_denied"],
    ),
    ("a task", charter(task_required=True), call("list_orders"), "deny", ["task_required"]),
    (
        "with a task",
        charter(task_required=True),
        call("list_orders", task="t"),
        "permit",
        ["charter_allows"],
    ),
    (
        "expired",
        charter(),
        call("list_orders", time=NOW + 7 * DAY_NS),
        "deny",
        ["charter_expired"],
    ),
    (
        "half a nanosecond before it expires",
        charter(expires="1970-01-01T00:00:01Z"),
        call("list_orders", time=999_999_999.5),
        "permit",
        ["charter_allows"],
    ),
    (
        "a tool denied",
        on_shop(deny=[{"tools": ["read_*"]}]),
        call("read_order"),
        "deny",
        ["tool_denied"],
    ),
    (
        "a tool denied that has no class",
        charter(deny=[{"tools": ["*"]}]),
        call("wire"),
        "deny",
        ["tool_denied", "tool_unclassified"],
    ),
    (
        "a domain denied everywhere",
        charter(deny=[{"domains": ["orders", "nowhere"]}]),
        call("read_order"),
        "deny",
        ["domain_denied"],
    ),
    (
        "another domain",
        charter(deny=[{"domains": ["nowhere"]}]),
        call("read_order"),
        "permit",
        ["charter_allows"],
    ),
    (
        "an effect denied",
        charter(deny=[{"effects": ["write"]}]),
        call("ship"),
        "deny",
        ["effect_denied"],
    ),
    (
        "an impact denied",
        charter(deny=[{"impacts": ["payment"]}]),
        call("refund"),
        "deny",
        ["impact_denied"],
    ),
    (
        "too often",
        charter(),
        call("list_orders", session={"calls_in_minute": 11}),
        "deny",
        ["rate_limited"],
    ),
    (
        "often enough",
        charter(),
        call("list_orders", session={"calls_in_minute": 10}),
        "permit",
        ["charter_allows"],
    ),
    (
        "too often, but no tool",
        charter(),
        {**method("ping"), "context": call("", session={"calls_in_minute": 11})["context"]},
        "permit",
        ["protocol_allowed"],
    ),
    (
        "too much",
        charter(limits={"calls_per_minute": 10, "calls_per_session": 3}),
        call("list_orders", session={"calls": 4}),
        "deny",
        ["call_budget_spent"],
    ),
    (
        "an approval",
        allowing(WRITES, approvals=[{"impacts": ["payment"], **LEADS}]),
        call("refund"),
        "hold",
        ["approval_required"],
    ),
    (
        "the same approval twice",
        allowing(WRITES, approvals=[{"impacts": ["payment"], **LEADS}, {"tools": ["r*"], **LEADS}]),
        call("refund"),
        "hold",
        ["approval_required"],
    ),
    (
        "two approvals",
        allowing(
            WRITES, approvals=[{"impacts": ["payment"], **LEADS}, {"tools": ["r*"], **BOSSES}]
        ),
        call("refund"),
        "deny",
        ["approval_ambiguous"],
    ),
    ("nobody to approve", allowing(WRITES), call("refund"), "deny", ["approver_missing"]),
    (
        "out of bounds",
        bounded({"to": {"eq": "home"}}),
        call("ship", {"to": "away"}),
        "deny",
        ["argument_out_of_bounds"],
    ),
    (
        "within the bounds of another entry",
        allowing({**WRITES, "arguments": {"to": {"eq": "home"}}}, WRITES),
        call("ship", {"to": "away"}),
        "permit",
        ["charter_allows"],
    ),
    (
        "a flow that nothing set off",
        flow({"domains": ["hr"], "untrusted_input": True}, {"outward": True}),
        call("ship", session={"domains_read": ["sales"]}),
        "permit",
        ["charter_allows"],
    ),
]
DECIDED += [
    (
        "a flow after a domain",
        flow({"domains": ["hr"]}, {"outward": True}),
        call("ship", session=READ_HR),
        "deny",
        ["flow_denied"],
    ),
    (
        "a flow after words of strangers",
        flow({"domains": ["x"], **TAINTED}, {"effects": ["write"]}),
        call("ship", session=TAINTED),
        "deny",
        ["flow_denied"],
    ),
    (
        "a flow to a tool",
        flow(TAINTED, {"tools": ["sh*"]}),
        call("ship", session=TAINTED),
        "deny",
        ["flow_denied"],
    ),
    (
        "a flow to a domain",
        flow(TAINTED, {"domains": ["orders"]}),
        call("read_order", session=TAINTED),
        "deny",
        ["flow_denied"],
    ),
    (
        "a flow to nothing there is",
        flow(TAINTED, {"domains": ["nowhere"]}),
        call("read_order", session=TAINTED),
        "permit",
        ["charter_allows"],
    ),
    (
        "a flow to an approval",
        flow(TAINTED, {"outward": True}, approval=BOSSES),
        call("ship", session=TAINTED),
        "hold",
        ["flow_approval_required"],
    ),
    (
        "a flow to the approval that is needed anyway",
        flow(TAINTED, {"effects": ["write"]}, approval=LEADS),
        call("refund", session=TAINTED),
        "hold",
        ["approval_required", "flow_approval_required"],
    ),
    (
        "a flow to a second approval",
        flow(TAINTED, {"effects": ["write"]}, approval=BOSSES),
        call("refund", session=TAINTED),
        "deny",
        ["approval_ambiguous"],
    ),
    (
        "a second approval, not set off",
        flow(TAINTED, {"effects": ["write"]}, approval=BOSSES),
        call("refund"),
        "hold",
        ["approval_required"],
    ),
    (
        "observed",
        charter(observe=OBSERVED),
        call("ship"),
        "permit",
        ["tool_not_allowed"],
    ),
    (
        "observed, of the catalogue",
        charter(observe=OBSERVED),
        call("read_letter", system="people"),
        "permit",
        ["system_not_allowed"],
    ),
    (
        "observed, on no system of the catalogue",
        charter(observe=OBSERVED),
        method("ping", system="nowhere"),
        "deny",
        ["system_not_allowed"],
    ),
    (
        "observed, by a charter that has expired",
        charter(observe=OBSERVED, expires="2026-11-24T00:00:00Z"),
        call("ship"),
        "deny",
        ["charter_expired", "tool_not_allowed"],
    ),
    (
        "observed and forbidden",
        charter(observe=OBSERVED, deny=[{"tools": ["ship"]}]),
        call("ship"),
        "deny",
        ["tool_denied"],
    ),
    (
        "observed, without class",
        charter(observe=OBSERVED),
        call("odd"),
        "deny",
        ["tool_unclassified"],
    ),
    (
        "observed, of high impact",
        charter(observe=OBSERVED),
        call("refund"),
        "deny",
        ["tool_not_allowed"],
    ),
    (
        "observed, of high impact, said twice",
        charter(observe={**OBSERVED, "high_impact": True}),
        call("refund"),
        "permit",
        ["tool_not_allowed"],
    ),
    (
        "observed, of high impact, said once",
        charter(observe={**OBSERVED, "high_impact": True}),
        call("run"),
        "deny",
        ["tool_not_allowed"],
    ),
    (
        "observed, held",
        flow(TAINTED, {"outward": True}, approval=BOSSES) | {"observe": OBSERVED},
        call("ship", session=TAINTED),
        "permit",
        ["flow_approval_required"],
    ),
    (
        "observed until now",
        charter(observe={"until": "2026-11-24T00:00:00Z"}),
        call("ship"),
        "deny",
        ["tool_not_allowed"],
    ),
    (
        "observed two approvals",
        flow(TAINTED, {"effects": ["write"]}, approval=BOSSES)
        | {"observe": {**OBSERVED, "high_impact": True}},
        call("refund", session=TAINTED),
        "deny",
        ["approval_ambiguous"],
    ),
]


@pytest.mark.parametrize(
    ("said", "document", "effect", "expected"),
    [case[1:] for case in DECIDED],
    ids=[case[0] for case in DECIDED],
)
def test_both_engines_decide(
    said: Value, document: Value, effect: str, expected: list[str]
) -> None:
    """Policy §8: a charter compiled to Cedar is the same charter, reasons and order included."""
    decision = Engines(bundle_of(said)).both(document)
    assert (decision["effect"], codes(decision)) == (effect, expected)


HOURS = [
    {"days": ["tue"], "from": "00:00", "to": "08:30"},
    {"days": ["mon", "sun"], "from": "23:00", "to": "24:00"},
]


@pytest.mark.parametrize(
    ("minutes", "within"),
    [(0, True), (509, True), (510, False), (-1, True), (-60, True), (-61, False), (-1440, False)],
)
def test_hours_are_of_a_week_in_utc(minutes: int, within: bool) -> None:
    """Issue: time windows; `from` is in, `to` is out."""
    document = call("list_orders", time=NOW + minutes * MINUTE_NS)
    decision = Engines(bundle_of(charter(hours=HOURS))).both(document)
    assert codes(decision) == ["charter_allows" if within else "outside_hours"]


def test_hours_are_not_read_from_half_a_nanosecond() -> None:
    """House: engines differ on the remainder of a float."""
    hours = [{"days": ["thu"], "from": "00:00", "to": "24:00"}]
    decision = Engines(bundle_of(charter(hours=hours))).both(call("list_orders", time=0.5))
    assert codes(decision) == ["outside_hours"]


def test_obligations_come_in_the_order_of_the_rules() -> None:
    """Design §5: the same document, obligations and their order included."""
    checks = {"size": "record", "injection": "record", "secrets": "block"}
    tool = {"effect": "read", "impacts": [], "untrusted": True, "checks": checks}
    systems = {
        "shop": {
            "owner": "o",
            "domain": "sales",
            "environment": "test",
            "protocol": "mcp",
            "tools": {"a": tool, "b": {"effect": "read", "impacts": []}, "z": tool},
        }
    }
    said = charter(
        systems={"shop": {"allow": [{"tools": ["a", "b"], "effects": ["read"]}]}},
        evidence={"capture": ["arguments"]},
        observe=OBSERVED,
    )
    engines = Engines(bundle_of(said, systems=systems))
    plain, full, unallowed = (engines.both(call(name)) for name in ("b", "a", "z"))
    assert plain["obligations"] == [
        {"type": "observe", "effect": "permit"},
        {"type": "omit_results"},
    ]
    assert [one["type"] for one in full["obligations"]] == [
        *["check"] * 3,
        "observe",
        "omit_results",
        "untrusted_input",
    ]
    assert unallowed["effect"] == "permit"
    assert unallowed["obligations"][:3] == full["obligations"][:3]


def test_a_stranger_and_an_incomplete_charter_are_denied() -> None:
    """Design §5: an incomplete charter denies everything, and its members are not read."""
    vague = Engines(bundle_of({"subject": "agent-1", "systems": None}, faulty=True))
    assert codes(vague.both(call("list_orders"))) == ["charter_incomplete"]
    document = call("list_orders")
    document["subject"]["id"] = "agent-2"
    assert codes(vague.both(document)) == ["subject_unknown"]


MEMBERS = [
    ("subject", "id"),
    ("subject", "type"),
    ("subject", "issuer"),
    ("subject", "proof"),
    ("subject", "flags"),
    ("subject", "scopes"),
    ("action", "name"),
    ("action", "protocol"),
    ("resource", "type"),
    ("resource", "system"),
    ("resource", "arguments"),
    ("context", "time"),
    ("context", "call_id"),
    ("context", "session"),
]


@pytest.mark.parametrize("value", [None, 5, {}, "", [[]]], ids=repr)
@pytest.mark.parametrize(("section", "member"), MEMBERS, ids=lambda name: name)
def test_an_input_that_is_not_whole_is_denied(section: str, member: str, value: Any) -> None:
    """Policy §7.1: no rule decides on less than it was written for."""
    engines = Engines(bundle_of(charter()))
    document = call("list_orders")
    whole = isinstance(value, type(document[section][member])) and value != ""
    document[section][member] = value
    decision = engines.cedar(document)
    assert whole or (decision["effect"], codes(decision).count("input_incomplete")) == ("deny", 1)


@pytest.mark.parametrize("missing", ["version", "subject", "action", "resource", "context"])
def test_an_input_without_a_section_is_denied(missing: str) -> None:
    """Policy §7.1, as above."""
    document = call("list_orders")
    del document[missing]
    decision = Engines(bundle_of(charter())).both(document)
    assert decision["effect"] == "deny"


@pytest.mark.parametrize("member", ["calls", "calls_in_minute", "domains_read", "untrusted_input"])
def test_a_session_that_says_less_is_the_worst_there_is(member: str) -> None:
    """Issue: rules over session facts; what nobody looked up is not innocence."""
    said = flow({"domains": ["hr"], "untrusted_input": True}, {"outward": True})
    said["limits"] = {"calls_per_minute": 10, "calls_per_session": 10}
    document = call("ship")
    del document["context"]["session"][member]
    expected = {
        "calls": "call_budget_spent",
        "calls_in_minute": "rate_limited",
        "domains_read": "flow_denied",
        "untrusted_input": "flow_denied",
    }
    decision = Engines(bundle_of(said)).both(document)
    assert set(codes(decision)) == {"input_incomplete", expected[member]}
