package bailiwick.tests.subject_verified

import data.bailiwick.rules.subject_verified as rule
import data.bailiwick.testing

answer(document) := result if {
	result := rule.deny with input as document with data.subjects as testing.subjects
}

test_success_known_subject if answer(testing.tool_call("refund", {})) == set()

test_fail_other_version if {
	other := testing.changed(testing.tool_call("refund", {}), {"version": "2"})
	answer(other) == {"input_version_unknown"}
}

test_fail_version_as_number if {
	other := testing.changed(testing.tool_call("refund", {}), {"version": 1})
	answer(other) == {"input_version_unknown"}
}

test_fail_unknown_subject if {
	other := testing.changed(testing.tool_call("refund", {}), {"subject": {"id": "agent-2"}})
	answer(other) == {"subject_unknown"}
}

test_fail_no_subject if {
	answer(testing.without(testing.tool_call("refund", {}), "/subject")) == {"subject_unknown"}
}

test_fail_nothing_at_all if answer({}) == {"input_version_unknown", "subject_unknown"}
