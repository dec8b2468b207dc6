# METADATA
# title: The approvals of a charter
# description: |
#   An entry is for tools, for impacts, or for both, and says who approves, how many of them, and for
#   how long.
# scope: package
package bailiwick.terms.approval

import data.bailiwick.catalogue
import data.bailiwick.terms.shape
import data.bailiwick.terms.tool

# Says whether the entry is for the tool that is called.
fits(entry) if tool.covered(entry.tools)

fits(entry) if {
	some impact in catalogue.tool.impacts
	impact in entry.impacts
}

# Says whether the entry has somebody approve this impact of the tool.
answers(entry, impact) if impact in entry.impacts

answers(entry, _) if tool.covered(entry.tools)

# Says whether somebody is asked wherever the entry fits.
sound(entry) if {
	shape.approval(entry)
	said := {"impacts", "tools"} & object.keys(entry)
	count(said) > 0
	every kind in said {
		shape.chooses(kind, entry[kind])
	}
}

obligation(approval) := {
	"type": "approval",
	"approvers": approval.approvers,
	"count": approval.count,
	"expires_seconds": approval.expires_seconds,
}
