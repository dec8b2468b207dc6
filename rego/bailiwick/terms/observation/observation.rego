# METADATA
# title: What a charter that observes lets through
# description: |
#   A call that would be denied or held for want of a permission. What is denied in so many words is
#   denied all the same, and a high impact too, unless both the charter and the catalogue say
#   otherwise.
# scope: package
package bailiwick.terms.observation

import data.bailiwick.catalogue
import data.bailiwick.facts

# Says whether a call that is denied for these reasons, or held, goes on.
lets_through(codes) if {
	every code in codes {
		code in {
			"tool_not_allowed", "argument_out_of_bounds", "rate_limited", "call_budget_spent",
			"outside_hours", "flow_denied", "task_required", "system_not_allowed", "no_matching_rule",
		}
	}
	harmless(catalogue.class)
}

harmless(class) if {
	class.impacts == []
	class.effect in {"read", "write"}
}

harmless(_) if {
	facts.charter.observe.high_impact == true
	catalogue.tool.observable == true
}
