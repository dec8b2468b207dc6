# METADATA
# title: The charter is current
# description: |
#   The charter expires later than the moment of the call. Time comes from the input only, so that a
#   recorded decision can be made again.
# scope: package
package bailiwick.rules.charter_current

import data.bailiwick.facts

# METADATA
# title: The charter has expired
# custom:
#   code: charter_expired
deny contains "charter_expired" if {
	facts.charter_complete
	not facts.charter_current
}
