package bailiwick.tests.approval_required

import data.bailiwick.rules.approval_required as rule
import data.bailiwick.testing

answer(tool, approvals) := result if {
	result := {
		"deny": rule.deny,
		"hold": rule.hold,
		"obligations": rule.obligations,
	} with input as testing.tool_call(tool, {"amount": 1})
		with data.subjects as testing.subjects
		with data.charters as testing.charters({"approvals": approvals})
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
