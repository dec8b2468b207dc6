package bailiwick.tests.observation

import data.bailiwick.decision
import data.bailiwick.testing

later := "2026-11-25T00:00:00Z"

decided(document, changes) := result if {
	result := decision with input as document
		with data.subjects as testing.subjects
		with data.charters as testing.charters(changes)
		with data.systems as testing.systems
}

observed(document, changes) := decided(document, object.union({"observe": {"until": later}}, changes))

call(name) := testing.tool_call(name, {})

mark(effect) := {"type": "observe", "effect": effect}

codes(answer) := {reason.code | some reason in answer.reasons}

# What goes on, with the reasons for which it would not.
goes_on(answer, effect, why) if {
	answer.effect == "permit"
	answer.obligations == [mark(effect)]
	codes(answer) == why
}

stays(answer, why) if {
	answer.effect == "deny"
	answer.obligations == [mark("deny")]
	codes(answer) == why
}

test_success_permit_is_marked if goes_on(observed(call("list_orders"), {}), "permit", {"charter_allows"})

test_success_want_of_a_permission_goes_on if {
	goes_on(observed(call("ship"), {}), "deny", {"tool_not_allowed"})
	goes_on(observed(call("list_orders"), {"task_required": true}), "deny", {"task_required"})
	goes_on(observed(call("list_orders"), {"hours": []}), "deny", {"outside_hours"})
	goes_on(observed(call("list_orders"), {"limits": {"calls_per_minute": 0}}), "deny", {"rate_limited"})
	spent := {"limits": {"calls_per_minute": 9, "calls_per_session": 0}}
	goes_on(observed(call("list_orders"), spent), "deny", {"call_budget_spent"})
	goes_on(observed(call("list_orders"), {"flows": null}), "deny", {"flow_denied"})
	goes_on(observed(call("ship"), {"systems": {"shop": {"allow": []}}}), "deny", {"system_not_allowed"})
	goes_on(observed(testing.method("ping"), {"systems": {"shop": {"allow": []}}}), "deny", {"system_not_allowed"})
	bounded := {"systems": {"shop": {"allow": [{"tools": ["ship"], "effects": ["write"], "arguments": {"to": {"eq": "x"}}}]}}}
	goes_on(observed(call("ship"), bounded), "deny", {"argument_out_of_bounds"})
}

test_success_hold_goes_on_without_approval if {
	held := {"approvals": [{"tools": ["list_orders"], "approvers": "leads", "count": 1, "expires_seconds": 60}]}
	goes_on(observed(call("list_orders"), held), "hold", {"approval_required"})
}

test_fail_what_is_forbidden_stays if {
	stays(observed(call("read_secret"), {}), {"tool_denied"})
	stays(observed(call("ship"), {"deny": [{"domains": ["sales"]}]}), {"domain_denied"})
	stays(observed(call("list_orders"), {"environment": "other"}), {"environment_mismatch"})
	stays(observed(call("wire"), {}), {"tool_unclassified"})
	stays(observed(call("draft"), {}), {"tool_unclassified"})
	stays(observed(testing.method("prompts/get"), {}), {"method_not_allowed"})
	stays(observed(call("list_orders"), {"systems": {"shop": {"deny": "all"}}}), {"system_denied"})
	stays(observed(call("list_orders"), {"approvals": null}), {"approver_missing"})
	stays(observed(testing.without(call("list_orders"), "/subject/flags"), {}), {"input_incomplete"})
}

test_fail_system_outside_the_catalogue_stays if {
	elsewhere := testing.changed(testing.method("ping"), {"resource": {"system": "elsewhere"}})
	stays(observed(elsewhere, {}), {"system_not_allowed"})
}

test_fail_one_reason_that_forbids_is_enough if {
	stays(observed(call("ship"), {"environment": "other"}), {"environment_mismatch", "tool_not_allowed"})
}

test_fail_high_impact_unless_said_twice if {
	twice := {"observe": {"until": later, "high_impact": true}}
	stays(observed(call("purge"), {}), {"tool_not_allowed"})
	stays(observed(call("run"), {}), {"tool_not_allowed"})
	stays(decided(call("run"), twice), {"tool_not_allowed"})
	goes_on(decided(call("purge"), twice), "deny", {"tool_not_allowed"})
	held := decided(testing.tool_call("refund", {"amount": 1}), twice)
	held.effect == "hold"
	codes(held) == {"approval_required"}
	every said in ["true", 1, false, null] {
		stays(decided(call("purge"), {"observe": {"until": later, "high_impact": said}}), {"tool_not_allowed"})
	}
}

test_fail_high_impact_hold_waits if {
	held := observed(testing.tool_call("refund", {"amount": 1}), {})
	held.effect == "hold"
	held.obligations == [
		{"type": "approval", "approvers": "leads", "count": 1, "expires_seconds": 60},
		mark("hold"),
	]
}

test_fail_after_its_end if {
	every until in ["2026-11-24T00:00:00Z", "2020-01-01T00:00:00Z", null, 1, true] {
		over := decided(call("ship"), {"observe": {"until": until}})
		over.effect == "deny"
		over.obligations == []
	}
	decided(call("ship"), {"observe": {"until": "2026-11-24T00:00:01Z"}}).effect == "permit"
}

test_fail_charter_that_is_not_in_force if {
	every changes in [{"expires": "2026-11-24T00:00:00Z"}, {"faults": [{}]}] {
		answer := observed(call("ship"), changes)
		answer.effect == "deny"
		answer.obligations == []
	}
}
