# METADATA
# title: The charter allows the system
# description: |
#   The system is in the catalogue and the charter allows something on it. A denial of the whole
#   system wins over whatever else the charter says.
# scope: package
package bailiwick.rules.system_allowed

import data.bailiwick.facts

# METADATA
# title: The charter denies the whole system
# custom:
#   code: system_denied
deny contains "system_denied" if facts.system_denied

# METADATA
# title: The charter does not name the system, or the catalogue does not know it
# custom:
#   code: system_not_allowed
deny contains "system_not_allowed" if {
	facts.charter_complete
	not facts.system_allowed
	not facts.system_denied
}
