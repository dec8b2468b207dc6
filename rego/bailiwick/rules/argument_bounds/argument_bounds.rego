# METADATA
# title: The arguments are within bounds
# description: |
#   At least one allow entry that covers the tool has every bound kept. A bounded argument that is
#   missing breaks its bound (except `absent`), and so does an operator that is not known.
# scope: package
package bailiwick.rules.argument_bounds

import data.bailiwick.facts
import data.bailiwick.terms.bound

# METADATA
# title: An argument is out of bounds
# custom:
#   code: argument_out_of_bounds
deny contains "argument_out_of_bounds" if {
	count(facts.covering) > 0
	not within_bounds
}

within_bounds if {
	some entry in facts.covering
	bound.all_kept(object.get(entry, "arguments", {}))
}
