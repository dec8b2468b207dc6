# METADATA
# title: What may follow on what was read
# description: |
#   A flow of the charter that this call comes under denies it, or has a person approve it. Flows that
#   cannot be read deny every tool.
# scope: package
package bailiwick.rules.flows

import data.bailiwick.catalogue
import data.bailiwick.facts
import data.bailiwick.terms.flow

# METADATA
# title: A flow denies the call
# custom:
#   code: flow_denied
deny contains "flow_denied" if {
	some consequence in in_force
	consequence.deny
}

# METADATA
# title: A flow has a person approve the call
# custom:
#   code: flow_approval_required
hold contains "flow_approval_required" if {
	some consequence in in_force
	consequence.approval
}

# What the charter's flows do to the call.
in_force contains consequence if {
	catalogue.has_tool
	some entry in flow.entries(object.get(facts.charter, "flows", []))
	not flow.spares(entry)
	consequence := flow.consequence(entry)
}
