package bailiwick.tests.flows

import data.bailiwick.rules.flows as rule
import data.bailiwick.testing

answer(tool, session, flows) := result if {
	result := {"deny": rule.deny, "hold": rule.hold} with input as testing.tool_call_after(tool, session)
		with data.subjects as testing.subjects
		with data.charters as testing.charters({"flows": flows})
		with data.systems as testing.systems
}

denying(after, to) := [{"after": after, "to": to, "deny": true}]

leads := {"approvers": "leads", "count": 1, "expires_seconds": 60}

silent := {"deny": set(), "hold": set()}

refused := {"deny": {"flow_denied"}, "hold": set()}

held := {"deny": set(), "hold": {"flow_approval_required"}}

tainted := {"untrusted_input": true}

read := {"domains_read": ["crm", "hr"]}

to_ship := {"tools": ["ship"]}

test_success_nothing_before if {
	every after in [{"untrusted_input": true}, {"domains": ["hr"]}] {
		answer("ship", {}, denying(after, to_ship)) == silent
	}
}

test_success_something_else_before if {
	answer("ship", read, denying({"domains": ["sales"]}, to_ship)) == silent
	answer("ship", read, denying({"untrusted_input": true}, to_ship)) == silent
	answer("ship", tainted, denying({"domains": ["hr"]}, to_ship)) == silent
	answer("ship", {"domains_read": null}, denying({"untrusted_input": true}, to_ship)) == silent
}

test_fail_untrusted_input_before if answer("ship", tainted, denying({"untrusted_input": true}, to_ship)) == refused

test_fail_domain_before if answer("ship", read, denying({"domains": ["sales", "hr"]}, to_ship)) == refused

test_fail_either_sets_it_off if {
	after := {"untrusted_input": true, "domains": ["hr"]}
	answer("ship", tainted, denying(after, to_ship)) == refused
	answer("ship", read, denying(after, to_ship)) == refused
}

test_fail_whatever_the_call_fits if {
	every to in [
		{"effects": ["delete", "write"]}, {"outward": true}, {"tools": ["sh*"]}, {"domains": ["sales"]},
		{"effects": ["read"], "outward": true},
	] {
		answer("ship", tainted, denying({"untrusted_input": true}, to)) == refused
	}
}

test_success_calls_of_another_kind if {
	every to in [
		{"effects": ["write"]}, {"outward": true}, to_ship, {"domains": ["sales"]},
	] {
		answer("read_order", tainted, denying({"untrusted_input": true}, to)) == silent
	}
}

test_fail_outward_unless_plainly_not if {
	every outward in [true, null, 0, "no", []] {
		said := rule.deny with input as testing.tool_call_after("read_order", tainted)
			with data.subjects as testing.subjects
			with data.charters as testing.charters({"flows": denying({"untrusted_input": true}, {"outward": true})})
			with data.systems as json.patch(testing.systems, [{
				"op": "add",
				"path": "/shop/tools/read_order/outward",
				"value": outward,
			}])
		said == {"flow_denied"}
	}
}

test_fail_approval_is_asked if {
	answer("ship", tainted, [{"after": {"untrusted_input": true}, "to": to_ship, "approval": leads}]) == held
}

test_success_tool_without_class_is_not_its_concern if {
	answer("draft", tainted, denying({"untrusted_input": true}, {"tools": ["*"]})) == silent
	answer("draft", tainted, null) == silent
}

test_fail_session_of_another_kind if {
	every session in [{"untrusted_input": null}, {"untrusted_input": "no"}] {
		answer("ship", session, denying({"untrusted_input": true}, to_ship)) == refused
	}
	every session in [{"domains_read": null}, {"domains_read": "hr"}] {
		answer("ship", session, denying({"domains": ["hr"]}, to_ship)) == refused
	}
	every path in ["/context/session", "/context/session/domains_read", "/context/session/untrusted_input"] {
		unknown := rule.deny with input as testing.without(testing.tool_call("ship", {}), path)
			with data.subjects as testing.subjects
			with data.charters as testing.charters({"flows": array.concat(
				denying({"untrusted_input": true}, to_ship),
				denying({"domains": ["hr"]}, to_ship),
			)})
			with data.systems as testing.systems
		unknown == {"flow_denied"}
	}
}
