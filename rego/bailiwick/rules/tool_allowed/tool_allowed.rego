# METADATA
# title: The charter allows the tool
# description: |
#   An allow entry of the charter covers the tool and its effect. Of a tool that the charter denies
#   nothing is said here.
# scope: package
package bailiwick.rules.tool_allowed

import data.bailiwick.catalogue
import data.bailiwick.facts
import data.bailiwick.rules.denied

# METADATA
# title: The charter allows the tool
# custom:
#   code: charter_allows
permit contains "charter_allows" if count(facts.covering) > 0

# METADATA
# title: No entry of the charter covers the tool and its effect
# custom:
#   code: tool_not_allowed
deny contains "tool_not_allowed" if {
	facts.system_allowed
	catalogue.has_tool
	count(facts.covering) == 0
	count(denied.deny) == 0
}
