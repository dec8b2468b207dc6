package bailiwick.tests.rules

import data.bailiwick.decision
import data.bailiwick.testing

# What the decision makes of other rules than the shipped ones.
ruled(rules) := result if {
	result := decision with input as testing.tool_call("list_orders", {})
		with data.subjects as testing.subjects
		with data.charters as testing.charters({})
		with data.systems as testing.systems
		with data.bailiwick.rules as rules
}

refused(code, rule) := {
	"effect": "deny",
	"reasons": [{"code": code, "rule": rule}],
	"obligations": [],
	"class": {"effect": "read", "impacts": [], "domain": "sales", "environment": "test"},
	"charter": "tester",
	"grant": null,
}

unmatched := refused("no_matching_rule", "bailiwick.decision")

test_fail_no_rule_speaks if ruled({}) == unmatched

test_fail_hold_without_permit if ruled({"x": {"hold": ["y"]}}) == unmatched
