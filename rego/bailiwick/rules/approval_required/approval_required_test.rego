package bailiwick.tests.approval_required

import data.bailiwick.approvals
import data.bailiwick.rules.approval_required as rule
import data.bailiwick.testing

answer(tool, entries) := result if {
	result := {
		"deny": rule.deny,
		"hold": rule.hold,
		"obligations": approvals.of_charter,
	} with input as testing.tool_call(tool, {"amount": 1})
		with data.subjects as testing.subjects
		with data.charters as testing.charters({"approvals": entries})
		with data.systems as testing.systems
}

leads := {"approvers": "leads", "count": 1, "expires_seconds": 60}

asks(entry, who) := object.union(entry, who)

held(who) := {
	"deny": set(),
	"hold": {"approval_required"},
	"obligations": {object.union({"type": "approval"}, who)},
}

silent := {"deny": set(), "hold": set(), "obligations": set()}

test_success_nobody_needed if answer("list_orders", [asks({"impacts": ["payment"]}, leads)]) == silent

test_fail_impact_is_held if {
	answer("refund", [asks({"impacts": ["payment"]}, leads)]) == held(leads)
}

test_fail_tool_is_held_without_impact if {
	answer("list_orders", [asks({"tools": ["list_orders"]}, leads)]) == held(leads)
}

test_fail_tool_entry_is_an_approver_for_its_impacts if {
	answer("refund", [asks({"tools": ["refund"]}, leads)]) == held(leads)
}

test_fail_same_answer_twice_is_one_hold if {
	answer("refund", [asks({"impacts": ["payment"]}, leads), asks({"tools": ["refund"]}, leads)]) == held(leads)
}

test_fail_nobody_to_ask if {
	answer("refund", [asks({"impacts": ["deletion"]}, leads)]) == {
		"deny": {"approver_missing"},
		"hold": set(),
		"obligations": set(),
	}
}

test_fail_approvals_never_said if {
	unsaid := rule.deny with input as testing.tool_call("refund", {"amount": 1})
		with data.subjects as testing.subjects
		with data.charters as testing.charters_without("approvals")
		with data.systems as testing.systems
	unsaid == {"approver_missing"}
}

test_success_unclassified_tool_is_not_held if {
	answer("wire", [asks({"tools": ["*"]}, leads)]) == silent
}

test_fail_two_different_answers if {
	both := [
		asks({"impacts": ["payment"]}, leads),
		asks({"tools": ["refund"]}, object.union(leads, {"count": 2})),
	]
	answer("refund", both).deny == {"approval_ambiguous"}
}

test_fail_flow_asks_somebody_else if {
	flow := {"after": {"domains": ["hr"]}, "to": {"tools": ["refund"]}, "approval": object.union(leads, {"approvers": "hr"})}
	both := rule.deny with input as testing.tool_call_after("refund", {"domains_read": ["hr"]})
		with data.subjects as testing.subjects
		with data.charters as testing.charters({"flows": [flow]})
		with data.systems as testing.systems
	both == {"approval_ambiguous"}
}

test_fail_flows_that_differ_beside_one_that_denies if {
	to_ship := {"after": {"domains": ["hr"]}, "to": {"tools": ["list_orders"]}}
	flows := [
		object.union(to_ship, {"approval": leads}),
		object.union(to_ship, {"deny": true}),
		object.union(to_ship, {"approval": object.union(leads, {"count": 2})}),
	]
	said := rule.deny with input as testing.tool_call_after("list_orders", {"domains_read": ["hr"]})
		with data.subjects as testing.subjects
		with data.charters as testing.charters({"flows": flows})
		with data.systems as testing.systems
	said == {"approval_ambiguous"}
}

test_fail_entry_that_asks_nobody if {
	every entry in [
		null, "leads", {}, leads,
		asks({"impacts": "payment"}, leads), asks({"impacts": []}, leads), asks({"impacts": ["bribe"]}, leads),
		asks({"tools": "refund"}, leads), asks({"tools": [1]}, leads), asks({"tools": [""]}, leads),
		asks({"tools": ["refund"], "impacts": null}, leads),
		asks({"tools": ["refund"]}, {"approvers": "", "count": 1, "expires_seconds": 60}),
		asks({"tools": ["refund"]}, {"approvers": ["leads"], "count": 1, "expires_seconds": 60}),
		asks({"tools": ["refund"]}, {"approvers": "leads", "count": 0, "expires_seconds": 60}),
		asks({"tools": ["refund"]}, {"approvers": "leads", "count": "1", "expires_seconds": 60}),
		asks({"tools": ["refund"]}, {"approvers": "leads", "count": 1}),
	] {
		"approver_missing" in answer("list_orders", [entry]).deny
	}
}

test_fail_approvals_are_no_list if {
	every entries in [null, {}, {"tools": ["refund"]}, 1] {
		answer("list_orders", entries).deny == {"approver_missing"}
	}
}
