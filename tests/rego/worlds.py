"""The shipped bundle with something in its charters or its catalogue changed, and what it decides.

    WORLDS: name, the engine's data as JSON, a decision input, the whole decision

What the shipped bundle has no use for, and charters that no loader would pass: an entry that cannot
be read denies. Does not ask an engine.
"""

import copy
import json
from typing import Any, NamedTuple

from gateway.policy.bundle import load, shipped_bundle
from tests.rego.bounds import BOUNDS
from tests.rego.decisions import (
    ALLOWED,
    FILE,
    FRESH,
    NO_CHARTER,
    OMITTED,
    PAYMENT,
    READ,
    REFUND,
    UNTRUSTED,
    WRITE,
    Document,
    approval,
    call,
    class_,
    decision,
    held,
    method,
    replaced,
)

BUNDLE = load(shipped_bundle())

LATER = "2026-11-25T00:00:00Z"
TAINTED = {**FRESH, "untrusted_input": True}
READ_FINANCE = {**FRESH, "domains_read": ["finance"]}
LIST = call("list_invoices")
REMIND = call("send_reminder", {"to": "x"})
READS = {"tools": ["list_*", "read_*"], "effects": ["read"]}
LEADS = {"approvers": "finance-leads", "count": 1, "expires_seconds": 900}
DELETION = class_("delete", "crm", "deletion")


class World(NamedTuple):
    """One row: what an engine is loaded with, what it is asked, what it must answer."""

    name: str
    data: bytes
    document: Document
    expected: Document


def data(charter: Document | None = None, **tools: Document) -> bytes:
    """Return the bundle's data; members of the billing charter and of tools are replaced."""
    changed: dict[str, Any] = copy.deepcopy(json.loads(BUNDLE.data))
    changed["charters"]["billing-agent"].update(charter or {})
    for name, said in tools.items():
        changed["systems"]["company"]["tools"][name].update(said)
    return json.dumps(changed).encode()


def of_system(**said: Any) -> bytes:
    """Return the bundle's data; members of the one system are replaced."""
    changed: dict[str, Any] = json.loads(BUNDLE.data)
    changed["systems"]["company"].update(said)
    return json.dumps(changed).encode()


def on_company(**bounds: Any) -> Document:
    """Return the member of a charter that bounds the one system."""
    return {"systems": {"company": bounds}}


def bounded(value: Any, **bound: Any) -> tuple[bytes, Document]:
    """Return data and input of a reminder whose one argument is bounded."""
    entry = {"tools": ["send_reminder"], "effects": ["write"], "arguments": {"to": bound}}
    return data(on_company(allow=[entry])), call("send_reminder", {"to": value})


def flowing(after: Document, to: Document, **end: Any) -> Document:
    """Return a charter's flows, with reads and reminders and refunds allowed."""
    writes = {"tools": ["send_reminder", "refund_payment"], "effects": ["write"]}
    flows = [{"after": after, "to": to, **(end or {"deny": True})}]
    return {**on_company(allow=[READS, writes]), "flows": flows}


def observed(effect: str, *codes: str, of: Document | None, goes_on: bool = True) -> Document:
    """Return the decision of a charter that observes, by what it would be."""
    mark: Document = {"type": "observe", "effect": effect}
    return decision("permit" if goes_on else effect, *codes, of=of, obligations=(mark,))


OBSERVE: Document = {"observe": {"until": LATER}}
TWICE: Document = {"observe": {"until": LATER, "high_impact": True}}
SENT = decision("permit", "charter_allows", of=WRITE)
UNBOUNDED = decision("deny", "argument_out_of_bounds", of=WRITE)
FLOWN = decision("deny", "flow_denied", of=WRITE)

_UNREADABLE_FLOWS: list[Any] = [
    None,
    {},
    [None],
    [{}],
    [{"after": {}, "to": {"outward": True}, "deny": True}],
    [{"after": {"untrusted_input": True}, "to": {}, "deny": True}],
    [{"after": {"untrusted_input": True}, "to": {"outward": True}}],
    [{"after": {"untrusted_input": False}, "to": {"outward": True}, "deny": True}],
    [{"after": {"domains": "crm"}, "to": {"outward": True}, "deny": True}],
]
_UNREADABLE_HOURS: list[Any] = [
    None,
    [],
    "08:00",
    [{"days": ["tue"], "from": "00:00", "to": "24:00"}, {}],
    [{"days": ["Tue"], "from": "00:00", "to": "24:00"}],
    [{"days": ["tue"], "from": "00:00", "to": "25:00"}],
    [{"days": ["tue"], "from": "12:00", "to": "00:00"}],
]

_CHARTERS: list[tuple[str, Document, Document, Document]] = [
    (
        "a domain denied on the system",
        on_company(allow=[READS], deny=[{"domains": ["documents"]}]),
        call("read_file", {"path": "x"}),
        decision("deny", "domain_denied", of=FILE),
    ),
    (
        "an effect denied everywhere",
        {**on_company(allow=[READS]), "deny": [{"effects": ["read"]}]},
        LIST,
        decision("deny", "effect_denied", of=READ),
    ),
    (
        "an impact denied everywhere",
        {"deny": [{"impacts": ["access", "payment"]}]},
        call("refund_payment", REFUND),
        decision("deny", "impact_denied", of=PAYMENT),
    ),
    (
        "all reasons to deny",
        {"deny": [{"tools": ["d*"]}, {"domains": ["crm"]}, {"effects": ["delete"]}]},
        call("delete_customer"),
        decision("deny", "domain_denied", "effect_denied", "tool_denied", of=DELETION),
    ),
    (
        "a denied system",
        on_company(deny="all"),
        LIST,
        decision("deny", "system_denied", of=READ),
    ),
    (
        "a denied system, by a protocol method",
        on_company(deny="all"),
        method("ping"),
        decision("deny", "system_denied", of=READ),
    ),
    ("a deny entry of two members", {"deny": [{"tools": ["x"], "domains": ["y"]}]}, LIST, {}),
    ("a deny entry of no member", {"deny": [{}]}, LIST, {}),
    ("a deny entry of another", {"deny": [{"tool": ["x"]}]}, LIST, {}),
    ("a deny entry that is a text", {"deny": ["refund_payment"]}, LIST, {}),
    ("a deny entry with a text", {"deny": [{"tools": "refund_payment"}]}, LIST, {}),
    ("a deny entry of an unknown effect", {"deny": [{"effects": ["delte"]}]}, LIST, {}),
    ("a deny that is no list", {"deny": {"tools": ["refund_payment"]}}, LIST, {}),
    ("a deny that is null", {"deny": None}, LIST, {}),
    (
        "a deny of the system that is a text",
        on_company(allow=[READS], deny="some"),
        LIST,
        {},
    ),
    (
        "a flow after words of strangers",
        flowing({"untrusted_input": True}, {"effects": ["write"]}),
        replaced(REMIND, "context", session=TAINTED),
        FLOWN,
    ),
    (
        "a flow after a domain",
        flowing({"domains": ["crm", "finance"]}, {"tools": ["send_*"]}),
        replaced(REMIND, "context", session=READ_FINANCE),
        FLOWN,
    ),
    (
        "a flow to a domain",
        flowing({"untrusted_input": True}, {"domains": ["finance"]}),
        replaced(REMIND, "context", session=TAINTED),
        FLOWN,
    ),
    ("a flow that nothing set off", flowing({"domains": ["crm"]}, {"outward": True}), REMIND, SENT),
    (
        "a flow to something else",
        flowing({"untrusted_input": True}, {"tools": ["refund_*"], "domains": ["crm"]}),
        replaced(REMIND, "context", session=TAINTED),
        SENT,
    ),
    (
        "a flow to the approval that is needed anyway",
        flowing({"untrusted_input": True}, {"effects": ["write"]}, approval=LEADS),
        call("refund_payment", REFUND, session=TAINTED),
        {
            **held("finance-leads", 1, 900, PAYMENT),
            "reasons": [
                {"code": "approval_required", "rule": "bailiwick.rules.approval_required"},
                {"code": "flow_approval_required", "rule": "bailiwick.rules.flows"},
            ],
        },
    ),
    (
        "a flow to a second approval",
        flowing({"untrusted_input": True}, {"effects": ["write"]}, approval={**LEADS, "count": 2}),
        call("refund_payment", REFUND, session=TAINTED),
        decision("deny", "approval_ambiguous", of=PAYMENT),
    ),
    (
        "two flows to the same approval",
        {
            **flowing({"untrusted_input": True}, {"outward": True}),
            "flows": [
                {"after": {"untrusted_input": True}, "to": {"outward": True}, "approval": LEADS},
                {
                    "after": {"domains": ["finance"]},
                    "to": {"effects": ["write"]},
                    "approval": LEADS,
                },
            ],
        },
        call("send_reminder", session={**TAINTED, "domains_read": ["finance"]}),
        decision(
            "hold",
            "flow_approval_required",
            of=WRITE,
            obligations=(approval("finance-leads", 1, 900),),
        ),
    ),
    *(
        (f"a flow that cannot be read: {flow}", {"flows": flow}, LIST, {"flow": True})
        for flow in _UNREADABLE_FLOWS
    ),
    *(
        (f"hours that cannot be read: {hours}", {"hours": hours}, LIST, {"hours": True})
        for hours in _UNREADABLE_HOURS
    ),
    (
        "hours of the week's end",
        {"hours": [{"days": ["sun"], "from": "23:59", "to": "24:00"}]},
        call("list_invoices", time=1_795_996_800_000_000_000 - 1),
        ALLOWED,
    ),
    (
        "hours after the week's end",
        {"hours": [{"days": ["sun"], "from": "23:59", "to": "24:00"}]},
        call("list_invoices", time=1_795_996_800_000_000_000),
        decision("deny", "outside_hours", of=READ),
    ),
    (
        "a limit that is a text",
        {"limits": {"calls_per_minute": "60", "calls_per_session": None}},
        LIST,
        decision("deny", "call_budget_spent", "rate_limited", of=READ),
    ),
    ("a task that is not named", {"task_required": True}, LIST, {"task": True}),
    (
        "a task that is named",
        {"task_required": True},
        call("list_invoices", task="ticket-1"),
        ALLOWED,
    ),
    (
        "another environment",
        {"environment": "staging"},
        LIST,
        decision("deny", "environment_mismatch", of=READ),
    ),
    (
        "a charter with a fault",
        {"faults": [{"code": "x"}], "systems": None},
        LIST,
        decision("deny", "charter_incomplete", of=READ),
    ),
    (
        "nobody who could approve",
        {"approvals": []},
        call("refund_payment", REFUND),
        decision("deny", "approver_missing", of=PAYMENT),
    ),
    (
        "an approval that asks nobody",
        {"approvals": [{"impacts": ["payment"], "approvers": "x", "count": 0}]},
        LIST,
        decision("deny", "approver_missing", of=READ),
    ),
    (
        "two approvals",
        {
            "approvals": [
                {"impacts": ["payment"], **LEADS},
                {"tools": ["refund_*"], **LEADS, "approvers": "others"},
            ]
        },
        call("refund_payment", REFUND),
        decision("deny", "approval_ambiguous", of=PAYMENT),
    ),
    (
        "an approval for a tool without impact",
        {"approvals": [{"tools": ["list_*"], **LEADS}]},
        LIST,
        held("finance-leads", 1, 900, READ),
    ),
    ("observed, permitted", OBSERVE, LIST, observed("permit", "charter_allows", of=READ)),
    ("observed, not allowed", OBSERVE, REMIND, observed("deny", "tool_not_allowed", of=WRITE)),
    (
        "observed, for many reasons",
        {
            **OBSERVE,
            "hours": [],
            "task_required": True,
            "limits": {"calls_per_minute": 0, "calls_per_session": 0},
        },
        LIST,
        observed(
            "deny", "call_budget_spent", "outside_hours", "rate_limited", "task_required", of=READ
        ),
    ),
    (
        "observed, on a system it does not name",
        {**OBSERVE, "systems": {"other": {"allow": [READS]}}},
        LIST,
        observed("deny", "system_not_allowed", of=READ),
    ),
    (
        "observed, flowing",
        {**OBSERVE, **flowing({"untrusted_input": True}, {"outward": True})},
        replaced(REMIND, "context", session=TAINTED),
        observed("deny", "flow_denied", of=WRITE),
    ),
    (
        "observed, held",
        {**OBSERVE, "approvals": [{"tools": ["list_*"], **LEADS}]},
        LIST,
        observed("hold", "approval_required", of=READ),
    ),
    (
        "observed, a high impact held",
        OBSERVE,
        call("refund_payment", REFUND),
        decision(
            "hold",
            "approval_required",
            of=PAYMENT,
            obligations=(approval("finance-leads", 1, 900), {"type": "observe", "effect": "hold"}),
        ),
    ),
    (
        "observed, a high impact not allowed",
        TWICE,
        call("grant_access"),
        observed(
            "deny",
            "tool_not_allowed",
            of=class_("escalate", "identity", "access"),
            goes_on=False,
        ),
    ),
    (
        "observed, denied by name",
        TWICE,
        call("delete_customer"),
        observed("deny", "tool_denied", of=DELETION, goes_on=False),
    ),
    (
        "observed, without class",
        OBSERVE,
        call("wire_transfer"),
        observed("deny", "tool_unclassified", of=None, goes_on=False),
    ),
    (
        "observed, forbidden and not allowed",
        {**OBSERVE, "environment": "staging"},
        REMIND,
        observed("deny", "environment_mismatch", "tool_not_allowed", of=WRITE, goes_on=False),
    ),
    (
        "observed until now",
        {"observe": {"until": "2026-11-24T00:00:00Z"}},
        REMIND,
        decision("deny", "tool_not_allowed", of=WRITE),
    ),
    (
        "observed, expired",
        {**OBSERVE, "expires": "2026-11-24T00:00:00Z"},
        LIST,
        decision("deny", "charter_expired", of=READ),
    ),
    (
        "without results in evidence",
        {"evidence": {"capture": ["arguments"]}},
        method("tools/list"),
        decision("permit", "protocol_allowed", of=READ, obligations=(OMITTED,)),
    ),
]

_UNREAD = {
    "flow": decision("deny", "flow_denied", of=READ),
    "hours": decision("deny", "outside_hours", of=READ),
    "task": decision("deny", "task_required", of=READ),
}


def _expected(said: Document) -> Document:
    """Return a decision; of those that many rows share only the kind is written down."""
    if "effect" in said:
        return said
    return _UNREAD[next(iter(said))] if said else decision("deny", "tool_denied", of=READ)


WORLDS = [
    *(
        World(name, *bounded(value, **bound), SENT if kept else UNBOUNDED)
        for name, value, bound, kept in BOUNDS
    ),
    *(
        World(name, data(charter), document, _expected(expected))
        for name, charter, document, expected in _CHARTERS
    ),
    World(
        "observed, a high impact that both say",
        data(TWICE, refund_payment={"observable": True}),
        call("refund_payment", REFUND),
        observed("hold", "approval_required", of=PAYMENT),
    ),
    World(
        "a tool that nobody has classified",
        data(None, list_invoices={"effect": "unclassified"}),
        LIST,
        decision("deny", "tool_unclassified", of=None),
    ),
    World(
        "an effect that nobody knows",
        data(None, list_invoices={"effect": "peruse"}),
        LIST,
        decision("deny", "tool_unclassified", of=None),
    ),
    World(
        "checks of what comes back",
        data(None, list_invoices={"checks": {"size": "block", "schema": "record"}}),
        LIST,
        decision(
            "permit",
            "charter_allows",
            of=READ,
            obligations=(
                {"type": "check", "name": "size", "action": "block"},
                {"type": "check", "name": "schema", "action": "record"},
            ),
        ),
    ),
    World(
        "a system of strangers",
        of_system(untrusted=True),
        LIST,
        decision("permit", "charter_allows", of=READ, obligations=(UNTRUSTED,)),
    ),
    World(
        "a subject whose charter is not there",
        json.dumps({**json.loads(BUNDLE.data), "charters": {}}).encode(),
        LIST,
        {**NO_CHARTER, "reasons": decision("deny", "charter_missing", of=None)["reasons"]},
    ),
]
