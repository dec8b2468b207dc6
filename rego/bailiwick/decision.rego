# METADATA
# title: The decision
# description: |
#   One total document for every input: deny overrides hold overrides permit, and what no rule
#   permits is denied. Every package under `bailiwick.rules` takes part with the sets it has: `deny`,
#   `hold` and `permit` of reason codes. While a charter observes, some of what is denied or held goes
#   on, and the document says what it would have been.
# scope: package
package bailiwick

import data.bailiwick.approvals
import data.bailiwick.catalogue
import data.bailiwick.facts
import data.bailiwick.terms.observation

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
	"reasons": sort(reasons[verdict]),
	"obligations": sort(obligations),
	"class": catalogue.class,
	"charter": facts.charter_id,
	"grant": null,
}

# What the rules say, observed or not.
default verdict := "deny"

# A hold is a permit that waits for a person, so it needs a rule that permits as well.
verdict := "hold" if {
	count(denials) == 0
	count(holds) > 0
	count(permits) > 0
}

verdict := "permit" if {
	count(denials) == 0
	count(holds) == 0
	count(permits) > 0
}

effect := "permit" if let_through

effect := verdict if not let_through

let_through if {
	facts.observing
	observation.lets_through({denial.code | some denial in reasons[verdict]; verdict == "deny"})
}

reasons := {"deny": (denials | unmatched), "hold": holds, "permit": permits}

denials := {reason(name, code) | some name, rule in spoken; some code in rule.deny}

holds := {reason(name, code) | some name, rule in spoken; some code in rule.hold}

permits := {reason(name, code) | some name, rule in spoken; some code in rule.permit}

spoken := data.bailiwick.rules

# Said of a denial that no rule explains: then no rule permitted.
unmatched := {{"code": "no_matching_rule", "rule": "bailiwick.decision"} |
	count(denials) == 0
}

reason(name, code) := {"code": code, "rule": concat(".", ["bailiwick.rules", name])}

obligations contains approval if {
	effect == "hold"
	some approval in (approvals.of_charter | approvals.of_flows)
}

obligations contains {"type": "observe", "effect": verdict} if facts.observing

obligations contains {"type": "omit_results"} if {
	effect == "permit"
	not captures_results
}

captures_results if "results" in facts.charter.evidence.capture

# Whatever is not plainly said to be trusted is not.
obligations contains {"type": "untrusted_input"} if {
	effect == "permit"
	catalogue.has_tool
	object.get(catalogue.tool, "untrusted", object.get(catalogue.system, "untrusted", false)) != false
}

obligations contains {"type": "check", "name": name, "action": action} if {
	effect == "permit"
	some name, action in catalogue.tool.checks
}
