# METADATA
# title: The approvals that the call needs
# description: |
#   From the charter's `approvals` and from its flows, each as the obligation of a hold. A call is held
#   for one of them only, so a second that differs is for the rules to refuse.
# scope: package
package bailiwick.approvals

import data.bailiwick.catalogue
import data.bailiwick.facts
import data.bailiwick.rules.flows
import data.bailiwick.terms.approval

of_charter contains obligation if {
	catalogue.has_tool
	is_array(facts.charter.approvals)
	some entry in facts.charter.approvals
	approval.fits(entry)
	obligation := approval.obligation(entry)
}

of_flows contains obligation if {
	some consequence in flows.in_force
	obligation := approval.obligation(consequence.approval)
}

default sufficient := false

# Everything that the tool risks has somebody to approve it, and every entry asks somebody.
sufficient if {
	is_array(facts.charter.approvals)
	every entry in facts.charter.approvals {
		approval.sound(entry)
	}
	every impact in catalogue.tool.impacts {
		some entry in facts.charter.approvals
		approval.answers(entry, impact)
	}
}
