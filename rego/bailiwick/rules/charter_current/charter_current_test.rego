package bailiwick.tests.charter_current

import data.bailiwick.rules.charter_current as rule
import data.bailiwick.testing

answer(document) := result if {
	result := rule.deny with input as document
		with data.subjects as testing.subjects
		with data.charters as testing.charters({})
}

at(moment) := testing.changed(testing.tool_call("refund", {}), {"context": {"time": moment}})

test_success_before_expiry if answer(at(testing.now)) == set()

test_success_last_nanosecond if {
	answer(at(time.parse_rfc3339_ns("2026-12-01T00:00:00Z") - 1)) == set()
}

test_fail_at_expiry if {
	answer(at(time.parse_rfc3339_ns("2026-12-01T00:00:00Z"))) == {"charter_expired"}
}

test_fail_no_time if {
	document := testing.without(testing.tool_call("refund", {}), "/context/time")
	answer(document) == {"charter_expired"}
}

test_fail_time_of_another_kind if {
	every moment in ["0", null, false, true] {
		answer(at(moment)) == {"charter_expired"}
	}
}
