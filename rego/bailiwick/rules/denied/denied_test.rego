package bailiwick.tests.denied

import data.bailiwick.rules.denied as rule
import data.bailiwick.testing

answer(document, charters) := result if {
	result := rule.deny with input as document
		with data.subjects as testing.subjects
		with data.charters as charters
		with data.systems as testing.systems
}

everything := {"tools": ["*"], "effects": ["read", "write", "delete"]}

# On the one system, although everything is allowed there.
there(tool, list) := answer(testing.tool_call(tool, {}), testing.bounded({"allow": [everything], "deny": list}))

# On every system.
anywhere(tool, list) := answer(testing.tool_call(tool, {}), testing.charters({"deny": list}))

both(tool, entry) := {there(tool, [entry]), anywhere(tool, [entry])}

test_success_nothing_denied if {
	there("ship", []) == set()
	anywhere("ship", []) == set()
	answer(testing.tool_call("ship", {}), testing.charters({})) == set()
}

test_success_others_are_denied if {
	every entry in [
		{"tools": ["refund", "read_*"]},
		{"domains": ["orders", "Sales"]},
		{"effects": ["read", "delete"]},
		{"impacts": ["payment", "deletion"]},
	] {
		both("ship", entry) == {set()}
	}
}

test_fail_tool if {
	both("ship", {"tools": ["refund", "ship"]}) == {{"tool_denied"}}
	both("read_order", {"tools": ["read_*"]}) == {{"tool_denied"}}
}

test_fail_domain_of_the_system if both("ship", {"domains": ["hr", "sales"]}) == {{"domain_denied"}}

test_fail_domain_of_the_tool if {
	both("purge", {"domains": ["orders"]}) == {{"domain_denied"}}
	both("purge", {"domains": ["sales"]}) == {set()}
}

test_fail_effect if both("purge", {"effects": ["escalate", "delete"]}) == {{"effect_denied"}}

test_fail_impact if both("purge", {"impacts": ["payment", "deletion"]}) == {{"impact_denied"}}

test_fail_each_reason_is_told if {
	entries := [{"tools": ["purge"]}, {"domains": ["orders"]}, {"effects": ["delete"]}, {"impacts": ["deletion"]}]
	all := {"tool_denied", "domain_denied", "effect_denied", "impact_denied"}
	there("purge", entries) == all
	anywhere("purge", entries) == all
}

test_fail_either_list_denies if {
	charter := testing.bounded({"allow": [everything], "deny": [{"domains": ["hr"]}]})
	wide := {"tester": object.union(charter.tester, {"deny": [{"effects": ["write"]}]})}
	answer(testing.tool_call("ship", {}), wide) == {"effect_denied"}
}

test_success_a_tool_without_class_has_no_domain_to_deny if {
	every entry in [{"domains": ["sales"]}, {"effects": ["read"]}, {"impacts": ["payment"]}] {
		both("draft", entry) == {set()}
	}
}

test_success_half_a_class_is_none if {
	half := rule.deny with input as testing.tool_call("ship", {})
		with data.subjects as testing.subjects
		with data.charters as testing.charters({"deny": [{"effects": ["write"]}, {"domains": ["sales"]}]})
		with data.systems as {"shop": object.union(testing.systems.shop, {"tools": {"ship": {"impacts": null}}})}
	half == set()
}

test_fail_a_tool_without_class_is_denied_by_name if both("draft", {"tools": ["draft"]}) == {{"tool_denied"}}

# Told by its own rule.
test_success_whole_system if there("ship", "all") == set()

test_success_denial_is_of_tools_only if {
	same_name := testing.changed(testing.method("prompts/get"), {"resource": {"name": "read_secret"}})
	answer(same_name, testing.charters({})) == set()
	answer(testing.method("tools/list"), testing.charters({"deny": [{"domains": ["sales"]}, {"effects": ["read"]}]})) == set()
}

test_fail_entry_that_cannot_be_read if {
	every entry in [
		null, true, 1, "ship", [], ["refund"], {}, {"tool": ["refund"]}, {"tools": ["refund"], "domains": ["hr"]},
		{"tools": "refund"}, {"tools": []}, {"tools": [1]}, {"tools": [""]}, {"tools": {"refund": true}}, {"tools": null},
		{"tools": true}, {"tools": {"a": "refund"}}, {"outward": true}, {"untrusted_input": true},
		{"domains": "hr"}, {"domains": []}, {"effects": []}, {"effects": ["reed"]}, {"effects": "read"}, {"impacts": []}, {"impacts": ["money"]}, {"impacts": [null]},
	] {
		count(there("ship", [{"tools": ["refund"]}, entry])) == 1
		count(anywhere("ship", [{"tools": ["refund"]}, entry])) == 1
	}
}

test_success_bounds_that_are_none_deny_nothing_by_name if {
	every bounds in [null, 1, "all", [{"deny": []}]] {
		answer(testing.tool_call("ship", {}), testing.bounded(bounds)) == set()
	}
}

test_fail_list_that_is_none if {
	every list in [null, true, 1, "", "some", {}, {"tools": ["refund"]}] {
		there("ship", list) == {"tool_denied"}
		anywhere("ship", list) == {"tool_denied"}
	}
}
