# METADATA
# title: A person approves what the charter says needs one
# description: |
#   A tool that falls under an entry of the charter's `approvals` is held for the people named there,
#   and a tool with a high impact that falls under none is denied. A call is held for one answer: when
#   the entries that fit it differ, it is denied. A pending approval does not lift the hold.
# scope: package
package bailiwick.rules.approval_required

import data.bailiwick.facts

# METADATA
# title: The charter names nobody who could approve this
# custom:
#   code: approver_missing
deny contains "approver_missing" if {
	count(facts.covering) > 0
	not every_impact_has_approver
}

# METADATA
# title: The charter asks for more than one approval
# custom:
#   code: approval_ambiguous
deny contains "approval_ambiguous" if count(obligations) > 1

# METADATA
# title: A person must approve this call
# custom:
#   code: approval_required
hold contains "approval_required" if count(obligations) > 0

obligations contains {
	"type": "approval",
	"approvers": entry.approvers,
	"count": entry.count,
	"expires_seconds": entry.expires_seconds,
} if {
	facts.has_tool
	some entry in facts.charter.approvals
	fits(entry)
}

fits(entry) if facts.covers_tool(entry)

fits(entry) if {
	some impact in facts.tool.impacts
	impact in entry.impacts
}

every_impact_has_approver if {
	every impact in facts.tool.impacts {
		has_approver(impact)
	}
}

has_approver(impact) if {
	some entry in facts.charter.approvals
	impact in entry.impacts
}

has_approver(_) if {
	some entry in facts.charter.approvals
	facts.covers_tool(entry)
}
