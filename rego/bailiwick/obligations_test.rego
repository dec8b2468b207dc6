package bailiwick.tests.obligations

import data.bailiwick.decision
import data.bailiwick.testing

# The obligations of a call when the system and its tool say this of themselves.
obliged(name, charter, system, tool) := result if {
	answer := decision with input as testing.tool_call(name, {"amount": 1})
		with data.subjects as testing.subjects
		with data.charters as testing.charters(charter)
		with data.systems as object.union(testing.systems, {"shop": object.union(system, {"tools": {name: tool}})})
	result := answer.obligations
}

untrusted := [{"type": "untrusted_input"}]

test_success_none if obliged("list_orders", {}, {}, {}) == []

test_fail_untrusted_tool if obliged("list_orders", {}, {}, {"untrusted": true}) == untrusted

test_fail_untrusted_system if obliged("list_orders", {}, {"untrusted": true}, {}) == untrusted

test_success_tool_knows_better_than_its_system if {
	obliged("list_orders", {}, {"untrusted": true}, {"untrusted": false}) == []
}

test_fail_untrusted_unless_plainly_not if {
	every said in [null, 0, "false"] {
		obliged("list_orders", {}, {}, {"untrusted": said}) == untrusted
	}
}

test_fail_results_are_not_captured if {
	every evidence in [{"capture": ["arguments"]}, {"capture": []}, {"capture": "results"}, null] {
		obliged("list_orders", {"evidence": evidence}, {}, {}) == [{"type": "omit_results"}]
	}
}

test_fail_checks_in_order if {
	obliged("list_orders", {}, {}, {"untrusted": true, "checks": {"size": "block", "secrets": "redact"}}) == [
		{"type": "check", "name": "size", "action": "block"},
		{"type": "check", "name": "secrets", "action": "redact"},
		{"type": "untrusted_input"},
	]
}

test_success_only_a_permit_carries_them if {
	every name in ["refund", "ship"] {
		every obligation in obliged(name, {"evidence": {}}, {"untrusted": true}, {"checks": {"size": "block"}}) {
			obligation.type == "approval"
		}
	}
}

test_fail_checks_are_no_object if {
	every checks in [null, "all", ["size"], 1] {
		answer := decision with input as testing.tool_call("list_orders", {})
			with data.subjects as testing.subjects
			with data.charters as testing.charters({})
			with data.systems as json.patch(testing.systems, [{
				"op": "add",
				"path": "/shop/tools/list_orders/checks",
				"value": checks,
			}])
		answer.effect == "deny"
		answer.class == null
	}
}

test_success_protocol_methods_carry_what_their_answers_need if {
	answer := decision with input as testing.method("tools/list")
		with data.subjects as testing.subjects
		with data.charters as testing.charters({"evidence": {"capture": ["arguments"]}})
		with data.systems as object.union(testing.systems, {"shop": {"untrusted": true}})
	answer.obligations == [{"type": "omit_results"}]
}
