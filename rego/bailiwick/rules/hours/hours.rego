# METADATA
# title: The call comes within hours
# description: |
#   A charter that says hours allows nothing outside them. One that says none is open
#   at any time.
# scope: package
package bailiwick.rules.hours

import data.bailiwick.facts
import data.bailiwick.terms.hours

# METADATA
# title: It is outside the charter's hours
# custom:
#   code: outside_hours
deny contains "outside_hours" if {
	entries := facts.charter.hours
	not hours.within(entries)
}
