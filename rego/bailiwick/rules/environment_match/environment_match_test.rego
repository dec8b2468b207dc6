package bailiwick.tests.environment_match

import data.bailiwick.rules.environment_match as rule
import data.bailiwick.testing

answer(charters) := result if {
	result := rule.deny with input as testing.tool_call("refund", {})
		with data.subjects as testing.subjects
		with data.charters as charters
		with data.systems as testing.systems
}

test_success_same_environment if answer(testing.charters({})) == set()

test_fail_other_environment if {
	answer(testing.charters({"environment": "production"})) == {"environment_mismatch"}
}

test_fail_system_without_environment if {
	unsaid := rule.deny with input as testing.tool_call("refund", {})
		with data.subjects as testing.subjects
		with data.charters as testing.charters({})
		with data.systems as {"shop": object.remove(testing.systems.shop, ["environment"])}
	unsaid == {"environment_mismatch"}
}

test_fail_charter_without_environment if {
	answer(testing.charters_without("environment")) == {"environment_mismatch"}
}
