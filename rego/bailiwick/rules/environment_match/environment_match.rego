# METADATA
# title: The environments match
# description: An agent chartered for one environment touches no system of another.
# scope: package
package bailiwick.rules.environment_match

import data.bailiwick.facts

# METADATA
# title: The system is in another environment than the charter
# custom:
#   code: environment_mismatch
deny contains "environment_mismatch" if {
	facts.charter_complete
	facts.has_system
	not facts.charter.environment == facts.system.environment
}
