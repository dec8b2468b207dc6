"""What a charter reaches, by its own words, and that the rules say the same."""

import json
from typing import Any

import pytest
import regorus

from gateway.core.canonical import dumps
from gateway.core.charter import faults
from gateway.core.reach import Touch, flows_to, set_off, touches
from gateway.core.standing import Standing, at, standing
from gateway.policy.bundle import load, shipped_bundle
from tests.unit.core.test_charter_vectors import SYSTEMS

BUNDLE = load(shipped_bundle())
TEMPLATE = next(json.loads(test.document) for test in BUNDLE.self_tests if test.effect == "permit")

CHARTER: dict[str, Any] = {
    "subject": "tester",
    "owner": "testers",
    "purpose": "Reaches a little of everything.",
    "environment": "production",
    "expires": "2027-11-30T00:00:00Z",
    "systems": {
        "company": {
            "allow": [
                {"tools": ["list_*", "read_invoice", "read_file"], "effects": ["read"]},
                {"tools": ["refund_payment", "send_reminder"], "effects": ["write"]},
                {"tools": ["delete_customer"], "effects": ["delete"]},
                {"tools": ["deploy_service"], "effects": ["execute"]},
            ],
            "deny": [{"tools": ["read_in*"]}, {"domains": ["crm"]}],
        }
    },
    "deny": [{"effects": ["execute"]}],
    "approvals": [
        {"impacts": ["payment"], "approvers": "leads", "count": 2, "expires_seconds": 60}
    ],
    "evidence": {"capture": ["arguments", "results"]},
    "limits": {"calls_per_minute": 60},
    "task_required": False,
}


def changed(**members: Any) -> dict[str, Any]:
    """Return the charter with some members replaced."""
    return {**CHARTER, **members}


def decided(charter: dict[str, Any], tool: str) -> tuple[str, set[str]]:
    """Return what the rules decide on a call of a tool, and the codes."""
    assert faults(charter, SYSTEMS) == []
    engine = regorus.Engine()
    for path, source in BUNDLE.policies:
        engine.add_policy(path, source)
    data = {
        "charters": {"c": {**charter, "faults": []}},
        "subjects": {"tester": "c"},
        "systems": SYSTEMS,
    }
    engine.add_data_json(dumps(data).decode())
    document = json.loads(json.dumps(TEMPLATE))
    document["subject"]["id"] = "tester"
    document["resource"] |= {"system": "company", "name": tool, "arguments": {}}
    document["context"]["session"] = {
        "calls": 1,
        "calls_in_minute": 1,
        "systems": [],
        "domains_read": [],
        "untrusted_input": False,
    }
    engine.set_input_json(dumps(document).decode())
    answer = json.loads(engine.eval_rule_as_json("data.bailiwick.decision"))
    return answer["effect"], {reason["code"] for reason in answer["reasons"]}


CHARTERS = {
    "as it is": CHARTER,
    "denied system": changed(
        systems={"company": {"allow": CHARTER["systems"]["company"]["allow"], "deny": "all"}},
        approvals=[],
    ),
    "denied domain": changed(
        deny=[{"domains": ["finance"]}, {"effects": ["execute"]}], approvals=[]
    ),
    "denied impact": changed(deny=[{"impacts": ["payment", "deployment"]}], approvals=[]),
    "approval by tool": changed(
        approvals=[
            {"tools": ["re*"], "approvers": "leads", "count": 1, "expires_seconds": 60},
            {"impacts": ["access"], "approvers": "others", "count": 1, "expires_seconds": 60},
        ]
    ),
}


@pytest.mark.parametrize("name", sorted(CHARTERS))
@pytest.mark.parametrize("tool", sorted(SYSTEMS["company"]["tools"]))
def test_what_a_charter_says_of_a_tool_is_what_the_rules_decide(name: str, tool: str) -> None:
    """House: `charter show` promises nothing that a call would not get."""
    charter = CHARTERS[name]
    row = next(touch for touch in touches(charter, SYSTEMS) if touch.tool == tool)
    said = standing(charter, row)
    effect, codes = decided(charter, tool)
    assert said.effect == effect
    assert said.code in codes


def test_a_row_names_the_entries_behind_it() -> None:
    """House: a table and an explanation point at the same clauses."""
    rows = {touch.tool: touch for touch in touches(CHARTER, SYSTEMS)}
    refund = rows["refund_payment"]
    assert refund.allowed_by == (("systems", "company", "allow", "1"),)
    assert refund.approvals == (("approvals", "0"),)
    assert standing(CHARTER, refund) == Standing(
        "hold", "approval_required", ("approvals", "0"), CHARTER["approvals"][0]
    )
    assert rows["delete_customer"].denied_by == (("systems", "company", "deny", "1"),)
    assert rows["deploy_service"].denied_by == (("deny", "0"),)
    assert at(CHARTER, rows["deploy_service"].denied_by[0]) == {"effects": ["execute"]}
    assert not rows["run_report"].classified
    assert not rows["run_report"].reachable


def test_output_checks_deny_until_they_can_be_carried_out() -> None:
    """Design §4: an obligation that cannot be carried out voids the permit."""
    tools = {**SYSTEMS["company"]["tools"]}
    tools["read_file"] = {**tools["read_file"], "checks": {"secrets": "block"}}
    systems = {**SYSTEMS, "company": {**SYSTEMS["company"], "tools": tools}}
    row = next(touch for touch in touches(CHARTER, systems) if touch.tool == "read_file")
    assert standing(CHARTER, row) == Standing("deny", "pdp_obligation_unknown")


def test_a_tool_may_say_otherwise_than_its_system() -> None:
    """House: a tool's domain and its `untrusted` win over the system's."""
    charter = changed(systems={"inbox": {"allow": [{"tools": ["*"], "effects": ["read"]}]}})
    rows = {touch.tool: touch for touch in touches(charter, SYSTEMS)}
    assert (rows["read_mail"].untrusted, rows["answer_mail"].untrusted) == (True, False)
    assert rows["answer_mail"].outward


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        ({"effects": ["write"]}, True),
        ({"effects": ["read"]}, False),
        ({"outward": True}, True),
        ({"tools": ["send_*"]}, True),
        ({"domains": ["finance"]}, True),
        ({"domains": ["crm"], "tools": ["refund"]}, False),
        ({"effects": ["read"], "domains": ["finance"]}, True),
    ],
)
def test_a_flow_is_about_a_call_that_fits_any_of_its_members(to: Any, expected: bool) -> None:
    """Issue: after this, outward or write effects are denied or need approval."""
    touch = Touch(
        system="company",
        tool="send_reminder",
        effect="write",
        impacts=(),
        domain="finance",
        outward=True,
        untrusted=False,
        checks=(),
    )
    assert flows_to({"after": {}, "to": to}, touch) is expected


@pytest.mark.parametrize(
    ("after", "domains", "untrusted", "expected"),
    [
        ({"domains": ["hr"]}, ["hr", "crm"], False, True),
        ({"domains": ["hr"]}, ["crm"], True, False),
        ({"untrusted_input": True}, [], True, True),
        ({"untrusted_input": True}, ["hr"], False, False),
        ({"domains": ["hr"], "untrusted_input": True}, ["hr"], False, True),
    ],
)
def test_any_member_of_after_sets_a_flow_off(
    after: Any, domains: list[str], untrusted: bool, expected: bool
) -> None:
    """Issue: after data of a domain was read, or untrusted content came in."""
    assert set_off({"after": after}, domains, untrusted_input=untrusted) is expected
