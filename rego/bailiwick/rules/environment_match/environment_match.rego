# METADATA
# title: The environments match
# description: An agent chartered for one environment touches no system of another.
# scope: package
package bailiwick.rules.environment_match

import data.bailiwick.catalogue
import data.bailiwick.facts

# METADATA
# title: The system is in another environment than the charter
# custom:
#   code: environment_mismatch
deny contains "environment_mismatch" if {
	facts.charter_complete
	catalogue.has_system
	not facts.charter.environment == catalogue.system.environment
}
