# METADATA
# title: The decision
# description: |
#   One total document for every input: deny overrides hold overrides permit, and what no rule
#   permits is denied. Every package under `bailiwick.rules` takes part with the sets it has: `deny`,
#   `hold` and `permit` of reason codes, and `obligations` of a hold.
# scope: package
package bailiwick

import data.bailiwick.facts

# METADATA
# title: The decision document
# entrypoint: true
default decision := {
	"effect": "deny",
	"reasons": [{"code": "no_matching_rule", "rule": "bailiwick.decision"}],
	"obligations": [],
	"class": null,
	"charter": null,
	"grant": null,
}

decision := {
	"effect": effect,
	"reasons": sort(reasons[effect]),
	"obligations": [obligation | some obligation in obligations; effect == "hold"],
	"class": class,
	"charter": facts.charter_id,
	"grant": null,
}

default effect := "deny"

# A hold is a permit that waits for a person, so it needs a rule that permits as well.
effect := "hold" if {
	count(denials) == 0
	count(holds) > 0
	count(permits) > 0
}

effect := "permit" if {
	count(denials) == 0
	count(holds) == 0
	count(permits) > 0
}

reasons := {"deny": (denials | unmatched), "hold": holds, "permit": permits}

denials := {reason(name, code) | some name; some code in data.bailiwick.rules[name].deny}

holds := {reason(name, code) | some name; some code in data.bailiwick.rules[name].hold}

permits := {reason(name, code) | some name; some code in data.bailiwick.rules[name].permit}

# Said of a denial that no rule explains: then no rule permitted.
unmatched := {{"code": "no_matching_rule", "rule": "bailiwick.decision"} |
	count(denials) == 0
}

obligations := {obligation |
	some name
	some obligation in data.bailiwick.rules[name].obligations
}

reason(name, code) := {"code": code, "rule": concat(".", ["bailiwick.rules", name])}

# What the operator's catalogue says this call is; null when it says nothing.
default class := null

class := {
	"effect": facts.tool.effect,
	"impacts": sort(facts.tool.impacts),
	"domain": object.get(facts.tool, "domain", facts.system.domain),
	"environment": facts.system.environment,
} if {
	facts.has_tool
}

class := {
	"effect": "read",
	"impacts": [],
	"domain": facts.system.domain,
	"environment": facts.system.environment,
} if {
	facts.is_protocol_call
}
