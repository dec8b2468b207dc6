# METADATA
# title: A small world for the tests
# description: |
#   One agent, one system and its tools, and functions that build an input or change a part of it.
#   Not loaded by a gateway.
# scope: package
package bailiwick.testing

# 2026-11-24T00:00:00Z, while the charter below is current.
now := 1795478400000000000

subjects := {"agent-1": "tester"}

charter := {
	"subject": "agent-1",
	"environment": "test",
	"expires": "2026-12-01T00:00:00Z",
	"systems": {"shop": {
		"allow": [
			{"tools": ["list_orders", "read_*"], "effects": ["read"]},
			{"tools": ["refund"], "effects": ["write"], "arguments": {"amount": {"lte": 10}}},
		],
		"deny": [{"tools": ["read_secret"]}],
	}},
	"approvals": [{"impacts": ["payment"], "approvers": "leads", "count": 1, "expires_seconds": 60}],
	"evidence": {"capture": ["arguments", "results"]},
	"limits": {"calls_per_minute": 60},
	"task_required": false,
	"faults": [],
}

systems := {"shop": {
	"domain": "sales",
	"environment": "test",
	"protocol": "mcp",
	"tools": {
		"list_orders": {"effect": "read", "impacts": []},
		"read_order": {"effect": "read", "impacts": [], "domain": "orders"},
		"read_secret": {"effect": "read", "impacts": []},
		"refund": {"effect": "write", "impacts": ["payment"]},
		"ship": {"effect": "write", "impacts": [], "outward": true},
		"purge": {"effect": "delete", "impacts": ["deletion"], "domain": "orders", "observable": true},
		"run": {"effect": "execute", "impacts": []},
		"draft": {"effect": "unclassified", "impacts": []},
	},
}}

# The charters of the bundle, with members of the one charter replaced.
charters(changes) := {"tester": object.union(charter, changes)}

charters_without(member) := {"tester": object.remove(charter, [member])}

# A charter with these bounds on the one system, and nothing else there.
bounded(bounds) := {"tester": json.patch(charter, [{
	"op": "replace",
	"path": "/systems/shop",
	"value": bounds,
}])}

session := {
	"calls": 1,
	"calls_in_minute": 1,
	"systems": [],
	"domains_read": [],
	"untrusted_input": false,
}

# The call of a tool, with members of the session replaced.
tool_call_after(name, changes) := object.union(tool_call(name, {}), {"context": {"session": changes}})

tool_call(name, arguments) := {
	"version": "1",
	"subject": {
		"id": "agent-1",
		"type": "workload",
		"issuer": "https://issuer",
		"scopes": [],
		"proof": "bearer",
		"flags": [],
	},
	"action": {"name": "tools/call", "protocol": "mcp"},
	"resource": {"type": "tool", "system": "shop", "name": name, "arguments": arguments},
	"context": {"time": now, "call_id": "call-1", "task": null, "session": session},
}

method(name) := object.union(tool_call("", {}), {
	"action": {"name": name},
	"resource": {"type": "server"},
})

changed(document, changes) := object.union(document, changes)

without(document, path) := json.patch(document, [{"op": "remove", "path": path}])
