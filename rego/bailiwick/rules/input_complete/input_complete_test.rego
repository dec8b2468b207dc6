package bailiwick.tests.input_complete

import data.bailiwick.rules.input_complete as rule
import data.bailiwick.testing

answer(document) := result if {
	result := rule.deny with input as document
}

refused := {"input_incomplete"}

test_success_complete if answer(testing.tool_call("refund", {})) == set()

test_success_server_has_no_name if answer(testing.method("ping")) == set()

test_fail_each_member_missing if {
	every path in [
		"/subject/id", "/subject/type", "/subject/issuer", "/subject/proof",
		"/subject/flags", "/subject/scopes",
		"/action/name", "/action/protocol",
		"/resource/type", "/resource/system", "/resource/name", "/resource/arguments",
		"/context/time", "/context/call_id", "/context/session",
		"/context/session/calls", "/context/session/calls_in_minute", "/context/session/systems",
		"/context/session/domains_read", "/context/session/untrusted_input",
	] {
		answer(testing.without(testing.tool_call("refund", {}), path)) == refused
	}
}

test_fail_time_as_text if {
	other := testing.changed(testing.tool_call("refund", {}), {"context": {"time": "2026"}})
	answer(other) == refused
}

test_fail_arguments_as_list if answer(testing.tool_call("refund", [])) == refused

test_fail_empty_issuer if {
	other := testing.changed(testing.tool_call("refund", {}), {"subject": {"issuer": ""}})
	answer(other) == refused
}

test_fail_issuer_of_another_kind if {
	every issuer in [1, null, false, ["x"], {"x": 1}] {
		other := testing.changed(testing.tool_call("refund", {}), {"subject": {"issuer": issuer}})
		answer(other) == refused
	}
}

test_fail_nothing_at_all if answer({}) == refused

test_fail_session_of_another_kind if {
	every member, values in {
		"calls": [null, "1", -1, true],
		"calls_in_minute": [null, "1", -1, true],
		"systems": [null, "shop", {"shop": true}],
		"domains_read": [null, "hr", {}],
		"untrusted_input": [null, 0, "", "false"],
	} {
		every value in values {
			other := testing.changed(testing.tool_call("refund", {}), {"context": {"session": {member: value}}})
			answer(other) == refused
		}
	}
}

test_fail_flags_and_scopes_are_lists if {
	every member in ["flags", "scopes"] {
		other := testing.changed(testing.tool_call("refund", {}), {"subject": {member: "none"}})
		answer(other) == refused
	}
}
