package bailiwick.tests.system_allowed

import data.bailiwick.rules.system_allowed as rule
import data.bailiwick.testing

answer(document, charters) := result if {
	result := rule.deny with input as document
		with data.subjects as testing.subjects
		with data.charters as charters
		with data.systems as testing.systems
}

call := testing.tool_call("refund", {})

test_success_named_system if answer(call, testing.charters({})) == set()

test_fail_unnamed_system if {
	other := testing.changed(call, {"resource": {"system": "warehouse"}})
	answer(other, testing.charters({})) == {"system_not_allowed"}
}

test_fail_system_outside_catalogue if {
	other := testing.changed(call, {"resource": {"system": "warehouse"}})
	named := testing.charters({"systems": {"warehouse": {"allow": [{"tools": ["*"]}]}}})
	answer(other, named) == {"system_not_allowed"}
}

test_fail_system_denied_although_allowed if {
	answer(call, testing.charters({"systems": {"shop": {"deny": "all"}}})) == {"system_denied"}
}

test_fail_nothing_allowed_on_it if answer(call, testing.bounded({"allow": []})) == {"system_not_allowed"}

test_fail_only_denials_on_it if {
	answer(call, testing.bounded({"deny": [{"tools": ["ship"]}]})) == {"system_not_allowed"}
}

test_fail_bounds_of_another_kind if {
	every bounds in [null, 1, "all", [], {"allow": {"tools": ["*"]}}, {"allow": "all"}, {"allow": 1}] {
		answer(call, testing.bounded(bounds)) == {"system_not_allowed"}
	}
}

test_fail_no_system_said if {
	answer(testing.without(call, "/resource/system"), testing.charters({})) == {"system_not_allowed"}
}
