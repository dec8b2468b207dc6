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
	every class in [{"effect": "read"}, {"impacts": []}, {"effect": "read", "impacts": null}, null] {
		half := rule.deny with input as testing.tool_call("refund", {})
			with data.systems as {"shop": {"tools": {"refund": class}}}
		half == {"tool_unclassified"}
	}
}

test_fail_no_name if {
	document := testing.without(testing.tool_call("refund", {}), "/resource/name")
	answer(document) == {"tool_unclassified"}
}
