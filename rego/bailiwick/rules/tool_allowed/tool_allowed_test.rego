package bailiwick.tests.tool_allowed

import data.bailiwick.rules.tool_allowed as rule
import data.bailiwick.testing

answer(document, charters) := result if {
	result := {"deny": rule.deny, "permit": rule.permit} with input as document
		with data.subjects as testing.subjects
		with data.charters as charters
		with data.systems as testing.systems
}

asked(tool) := answer(testing.tool_call(tool, {}), testing.charters({}))

silent := {"deny": set(), "permit": set()}

permitted := {"deny": set(), "permit": {"charter_allows"}}

refused(code) := {"deny": {code}, "permit": set()}

test_success_named_tool if asked("list_orders") == permitted

test_success_pattern if asked("read_order") == permitted

test_success_other_methods_are_not_its_concern if {
	answer(testing.method("ping"), testing.charters({})) == silent
}

test_fail_tool_without_entry if asked("ship") == refused("tool_not_allowed")

# Its denial is told by its own rule.
test_success_denied_although_covered if asked("read_secret") == permitted

test_success_of_a_denied_tool_nothing_is_said if {
	denied := testing.bounded({"allow": [{"tools": ["list_*"], "effects": ["read"]}], "deny": [{"effects": ["write"]}]})
	answer(testing.tool_call("ship", {}), denied) == silent
}

test_fail_effect_not_allowed if {
	reads := testing.bounded({"allow": [{"tools": ["ship"], "effects": ["read"]}]})
	answer(testing.tool_call("ship", {}), reads) == refused("tool_not_allowed")
}

test_fail_entry_without_effects if {
	vague := testing.bounded({"allow": [{"tools": ["ship"]}]})
	answer(testing.tool_call("ship", {}), vague) == refused("tool_not_allowed")
}

test_fail_pattern_of_another_beginning if {
	lists := testing.bounded({"allow": [{"tools": ["list_*"], "effects": ["read"]}]})
	answer(testing.tool_call("read_order", {}), lists) == refused("tool_not_allowed")
}

test_fail_beginning_without_a_star if {
	begun := testing.bounded({"allow": [{"tools": ["list_", "list_order"], "effects": ["read"]}]})
	answer(testing.tool_call("list_orders", {}), begun) == refused("tool_not_allowed")
}

test_fail_pattern_is_not_a_substring if {
	ending := testing.bounded({"allow": [{"tools": ["*ship", "hip"], "effects": ["write"]}]})
	answer(testing.tool_call("ship", {}), ending) == refused("tool_not_allowed")
}

# Without a class nothing covers the tool; that it has none is told by its own rule.
test_fail_unclassified_tool_is_never_permitted if {
	any_tool := testing.bounded({"allow": [{"tools": ["*"], "effects": ["read"]}]})
	answer(testing.tool_call("wire", {}), any_tool) == silent
}

test_fail_half_a_class_is_never_permitted if {
	half := rule.permit with input as testing.tool_call("list_orders", {})
		with data.subjects as testing.subjects
		with data.charters as testing.charters({})
		with data.systems as {"shop": {"tools": {"list_orders": {"effect": "read"}}}}
	half == set()
}
