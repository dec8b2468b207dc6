package bailiwick.tests.limits

import data.bailiwick.rules.limits as rule
import data.bailiwick.testing

answer(document, charters) := result if {
	result := rule.deny with input as document
		with data.subjects as testing.subjects
		with data.charters as charters
		with data.systems as testing.systems
}

after(session, limits) := answer(testing.tool_call_after("ship", session), testing.charters({"limits": limits}))

both := {"calls_per_minute": 5, "calls_per_session": 9}

test_success_at_the_limits if after({"calls_in_minute": 5, "calls": 9}, both) == set()

test_success_no_budget_said if after({"calls": 1000000}, {"calls_per_minute": 5}) == set()

test_fail_rate if after({"calls_in_minute": 6, "calls": 9}, both) == {"rate_limited"}

test_fail_budget if after({"calls_in_minute": 5, "calls": 10}, both) == {"call_budget_spent"}

test_fail_both if after({"calls_in_minute": 6, "calls": 10}, both) == {"rate_limited", "call_budget_spent"}

test_success_only_tools_are_counted if {
	spent := testing.changed(testing.method("tools/list"), {"context": {"session": {"calls": 10, "calls_in_minute": 6}}})
	answer(spent, testing.charters({"limits": both})) == set()
}

test_success_incomplete_charter_is_not_read if {
	answer(testing.tool_call("ship", {}), testing.charters({"faults": [{}], "limits": null})) == set()
}

test_fail_count_of_another_kind if {
	every calls in [null, "1", true, [], {}] {
		after({"calls_in_minute": calls, "calls": calls}, both) == {"rate_limited", "call_budget_spent"}
	}
}

test_fail_no_session if {
	every session in [null, [], "x", {}] {
		document := json.patch(testing.tool_call("ship", {}), [{"op": "replace", "path": "/context/session", "value": session}])
		answer(document, testing.charters({"limits": both})) == {"rate_limited", "call_budget_spent"}
	}
	answer(testing.without(testing.tool_call("ship", {}), "/context/session"), testing.charters({})) == {"rate_limited"}
}

test_fail_limit_of_another_kind if {
	every limit in [null, "9", true, false, [], {}] {
		after({}, {"calls_per_minute": limit}) == {"rate_limited"}
		after({}, {"calls_per_minute": 5, "calls_per_session": limit}) == {"call_budget_spent"}
	}
}

test_fail_no_limits_said if {
	answer(testing.tool_call("ship", {}), testing.charters_without("limits")) == {"rate_limited"}
}
