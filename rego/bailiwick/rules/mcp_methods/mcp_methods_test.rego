package bailiwick.tests.mcp_methods

import data.bailiwick.rules.mcp_methods as rule
import data.bailiwick.testing

answer(document, charters) := result if {
	result := {"deny": rule.deny, "permit": rule.permit} with input as document
		with data.subjects as testing.subjects
		with data.charters as charters
		with data.systems as testing.systems
}

asked(method) := answer(testing.method(method), testing.charters({}))

silent := {"deny": set(), "permit": set()}

permitted := {"deny": set(), "permit": {"protocol_allowed"}}

refused := {"deny": {"method_not_allowed"}, "permit": set()}

test_success_protocol_methods if {
	every method in [
		"initialize", "notifications/initialized", "notifications/cancelled",
		"notifications/progress", "notifications/roots/list_changed", "ping",
		"server/discover", "logging/setLevel", "tools/list", "resources/list",
		"resources/templates/list", "prompts/list", "stream/open", "session/end", "response",
	] {
		asked(method) == permitted
	}
}

test_success_tool_calls_are_not_its_concern if {
	answer(testing.tool_call("refund", {}), testing.charters({})) == silent
}

test_fail_other_methods if {
	every method in [
		"resources/read", "resources/subscribe", "prompts/get", "completion/complete",
		"sampling/createMessage", "tools/Call", "Initialize", "tools/list ", "",
	] {
		asked(method) == refused
	}
}

test_fail_tool_call_without_a_tool if asked("tools/call") == refused

test_fail_another_method_for_a_tool if {
	other := testing.changed(testing.tool_call("refund", {}), {"action": {"name": "tools/run"}})
	answer(other, testing.charters({})) == refused
}

test_fail_other_protocol if {
	every name in ["ping", "tools/call"] {
		other := testing.changed(testing.method(name), {"action": {"protocol": "http"}})
		answer(other, testing.charters({})) == refused
	}
}

test_fail_system_is_not_allowed if {
	answer(testing.method("ping"), testing.bounded({"allow": [{"tools": ["*"], "effects": ["read"]}], "deny": "all"})) == silent
}

test_fail_nothing_at_all if answer({}, testing.charters({})) == refused
