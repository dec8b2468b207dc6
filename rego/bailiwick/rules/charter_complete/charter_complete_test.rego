package bailiwick.tests.charter_complete

import data.bailiwick.rules.charter_complete as rule
import data.bailiwick.testing

answer(charters) := result if {
	result := rule.deny with input as testing.tool_call("refund", {})
		with data.subjects as testing.subjects
		with data.charters as charters
}

test_success_no_faults if answer(testing.charters({})) == set()

test_fail_faults if answer(testing.charters({"faults": [{"code": "x"}]})) == {"charter_incomplete"}

test_fail_faults_never_listed if {
	answer(testing.charters_without("faults")) == {"charter_incomplete"}
}

test_fail_no_charter if answer({}) == {"charter_missing"}

test_fail_charter_is_no_object if answer({"tester": "all"}) == {"charter_missing"}
