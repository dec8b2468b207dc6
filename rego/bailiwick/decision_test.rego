package bailiwick.tests.decision

import data.bailiwick.decision
import data.bailiwick.testing

answer(document, charters) := result if {
	result := decision with input as document
		with data.subjects as testing.subjects
		with data.charters as charters
		with data.systems as testing.systems
}

asked(tool, arguments) := answer(testing.tool_call(tool, arguments), testing.charters({}))

reason(rule, code) := {"code": code, "rule": concat(".", ["bailiwick.rules", rule])}

permitted := {
	"effect": "permit",
	"reasons": [reason("tool_allowed", "charter_allows")],
	"obligations": [],
	"class": {"effect": "read", "impacts": [], "domain": "sales", "environment": "test"},
	"charter": "tester",
	"grant": null,
}

payment := {"effect": "write", "impacts": ["payment"], "domain": "sales", "environment": "test"}

test_success_permit if asked("list_orders", {}) == permitted

test_success_domain_of_the_tool_wins if {
	asked("read_order", {}) == object.union(permitted, {"class": {"domain": "orders"}})
}

test_success_hold_overrides_permit if {
	asked("refund", {"amount": 10}) == object.union(permitted, {
		"effect": "hold",
		"reasons": [reason("approval_required", "approval_required")],
		"obligations": [{"type": "approval", "approvers": "leads", "count": 1, "expires_seconds": 60}],
		"class": payment,
	})
}

test_fail_deny_overrides_hold if {
	asked("refund", {"amount": 11}) == object.union(permitted, {
		"effect": "deny",
		"reasons": [reason("argument_bounds", "argument_out_of_bounds")],
		"class": payment,
	})
}

test_fail_deny_overrides_permit if {
	asked("read_secret", {}) == object.union(permitted, {
		"effect": "deny",
		"reasons": [reason("denied", "tool_denied")],
	})
}

test_fail_reasons_are_sorted if {
	expired := testing.charters({"expires": "2020-01-01T00:00:00Z", "environment": "other"})
	answer(testing.tool_call("list_orders", {}), expired) == object.union(permitted, {
		"effect": "deny",
		"reasons": [
			reason("charter_current", "charter_expired"),
			reason("environment_match", "environment_mismatch"),
		],
	})
}

test_fail_incomplete_charter_is_not_read if {
	unread := testing.charters({"faults": [{}], "systems": null, "approvals": null, "expires": null})
	answer(testing.tool_call("list_orders", {}), unread) == object.union(permitted, {
		"effect": "deny",
		"reasons": [reason("charter_complete", "charter_incomplete")],
	})
}

test_fail_nothing_at_all if {
	answer({}, {}) == {
		"effect": "deny",
		"reasons": [
			reason("input_complete", "input_incomplete"),
			reason("subject_verified", "input_version_unknown"),
			reason("mcp_methods", "method_not_allowed"),
			reason("subject_verified", "subject_unknown"),
		],
		"obligations": [],
		"class": null,
		"charter": null,
		"grant": null,
	}
}

test_fail_half_a_class_is_none if {
	half := decision with input as testing.tool_call("list_orders", {})
		with data.systems as {"shop": {"tools": {"list_orders": {"effect": "read", "impacts": null}}}}
	half.class == null
}
