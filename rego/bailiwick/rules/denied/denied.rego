# METADATA
# title: What the charter denies
# description: |
#   A deny entry of the charter, for one system or for every one, wins over whatever it allows. An
#   entry that cannot be read denies every tool, as nobody can say what it was meant to spare.
# scope: package
package bailiwick.rules.denied

import data.bailiwick.call
import data.bailiwick.facts
import data.bailiwick.terms.denial

# METADATA
# title: The charter denies the tool
# custom:
#   code: tool_denied
deny contains "tool_denied" if "tools" in fitting

# METADATA
# title: The charter denies the data domain
# custom:
#   code: domain_denied
deny contains "domain_denied" if "domains" in fitting

# METADATA
# title: The charter denies what the tool does
# custom:
#   code: effect_denied
deny contains "effect_denied" if "effects" in fitting

# METADATA
# title: The charter denies what the tool risks
# custom:
#   code: impact_denied
deny contains "impact_denied" if "impacts" in fitting

# The kinds of entry that fit the call.
fitting contains kind if {
	call.is_tool
	some list in [object.get(facts.charter, "deny", []), object.get(facts.bounds, "deny", [])]
	some entry in denial.entries(list)
	not denial.spares(entry)
	kind := denial.subject(entry)
}
