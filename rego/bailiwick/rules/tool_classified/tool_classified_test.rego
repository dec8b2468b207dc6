package bailiwick.tests.tool_classified

import data.bailiwick.rules.tool_classified as rule
import data.bailiwick.testing

answer(document) := result if {
	result := rule.deny with input as document with data.systems as testing.systems
}

test_success_in_catalogue if answer(testing.tool_call("refund", {})) == set()

test_success_no_tool_call if answer(testing.method("ping")) == set()

test_fail_not_in_catalogue if answer(testing.tool_call("wire", {})) == {"tool_unclassified"}

test_fail_other_spelling if answer(testing.tool_call("Refund", {})) == {"tool_unclassified"}

test_fail_half_a_class if {
	every class in [
		{"effect": "read"}, {"impacts": []}, {"effect": "read", "impacts": null}, null,
		{"effect": "read", "impacts": {}}, {"effect": "read", "impacts": ["bribe"]},
		{"effect": "peruse", "impacts": []}, {"effect": ["read"], "impacts": []}, "read",
	] {
		half := rule.deny with input as testing.tool_call("refund", {})
			with data.systems as {"shop": {"domain": "sales", "environment": "test", "tools": {"refund": class}}}
		half == {"tool_unclassified"}
	}
}

test_fail_no_name if {
	document := testing.without(testing.tool_call("refund", {}), "/resource/name")
	answer(document) == {"tool_unclassified"}
}

test_fail_system_without_a_part_of_the_class if {
	every member in ["domain", "environment"] {
		half := rule.deny with input as testing.tool_call("refund", {})
			with data.systems as {"shop": object.remove(testing.systems.shop, [member])}
		half == {"tool_unclassified"}
	}
}

test_fail_not_classified_yet if answer(testing.tool_call("draft", {})) == {"tool_unclassified"}
