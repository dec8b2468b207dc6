package bailiwick.tests.flow

import data.bailiwick.rules.flows as rule
import data.bailiwick.testing

answer(flows) := result if {
	result := rule.deny with input as testing.tool_call("list_orders", {})
		with data.subjects as testing.subjects
		with data.charters as testing.charters({"flows": flows})
		with data.systems as testing.systems
}

denying(after, to) := [{"after": after, "to": to, "deny": true}]

leads := {"approvers": "leads", "count": 1, "expires_seconds": 60}

refused := {"flow_denied"}

to_ship := {"tools": ["ship"]}

test_fail_flow_that_cannot_be_read if {
	sound := denying({"domains": ["hr"]}, to_ship)[0]
	every flow in [
		null, "x", [], {}, object.remove(sound, ["after"]), object.remove(sound, ["to"]), object.remove(sound, ["deny"]),
		object.union(sound, {"more": 1}), object.union(sound, {"deny": false}), object.union(sound, {"approval": leads}),
		object.union(object.remove(sound, ["deny"]), {"approval": {"approvers": "leads"}}),
		denying({}, to_ship)[0], denying({"domains": []}, to_ship)[0], denying({"domains": "hr"}, to_ship)[0],
		denying({"untrusted_input": false}, to_ship)[0], denying({"systems": ["shop"]}, to_ship)[0], denying(null, to_ship)[0],
		denying({"domains": ["hr"]}, {})[0], denying({"domains": ["hr"]}, {"effects": ["rite"]})[0],
		denying({"domains": ["hr"]}, {"outward": false})[0], denying({"domains": ["hr"]}, {"tools": "ship"})[0],
		denying({"domains": ["hr"]}, {"impacts": ["payment"]})[0], denying({"domains": ["hr"]}, ["ship"])[0],
	] {
		answer([flow]) == refused
	}
}

test_fail_flows_are_no_list if {
	every flows in [null, true, 1, "x", {}] {
		answer(flows) == refused
	}
}
