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
	is_string(facts.given)
	facts.charter_id == null
}

# METADATA
# title: The charter leaves something unsaid
# custom:
#   code: charter_incomplete
deny contains "charter_incomplete" if {
	facts.charter_id != null
	not facts.charter_complete
}
