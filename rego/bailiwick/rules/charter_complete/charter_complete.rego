# METADATA
# title: The charter is complete
# description: |
#   The charter exists and the loader found nothing missing in it. A charter whose faults are not
#   listed was never checked, and counts as incomplete.
# scope: package
package bailiwick.rules.charter_complete

import data.bailiwick.facts

# METADATA
# title: The subject's charter is not in the bundle
# custom:
#   code: charter_missing
deny contains "charter_missing" if {
	facts.subject_known
	not facts.has_charter
}

# METADATA
# title: The charter leaves something unsaid
# custom:
#   code: charter_incomplete
deny contains "charter_incomplete" if {
	facts.has_charter
	not facts.charter_complete
}
