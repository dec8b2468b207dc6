# METADATA
# title: A person approves what the charter says needs one
# description: |
#   A tool that falls under an entry of the charter's `approvals` is held for the people named there,
#   and a tool with a high impact that falls under none is denied. A call is held for one answer: when
#   the approvals that it needs differ, it is denied. A pending approval does not lift the hold.
# scope: package
package bailiwick.rules.approval_required

import data.bailiwick.approvals
import data.bailiwick.facts

# METADATA
# title: The charter names nobody who could approve this
# custom:
#   code: approver_missing
deny contains "approver_missing" if {
	count(facts.covering) > 0
	not approvals.sufficient
}

# METADATA
# title: The charter asks for more than one approval
# custom:
#   code: approval_ambiguous
deny contains "approval_ambiguous" if count(approvals.of_charter | approvals.of_flows) > 1

# METADATA
# title: A person must approve this call
# custom:
#   code: approval_required
hold contains "approval_required" if count(approvals.of_charter) > 0
