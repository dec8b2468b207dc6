# METADATA
# title: The charter allows the tool
# description: |
#   An allow entry of the charter covers the tool and its effect, and no deny entry names the tool.
# scope: package
package bailiwick.rules.tool_allowed

import data.bailiwick.facts

# METADATA
# title: The charter allows the tool
# custom:
#   code: charter_allows
permit contains "charter_allows" if count(facts.covering) > 0

# METADATA
# title: The charter denies the tool
# custom:
#   code: tool_denied
deny contains "tool_denied" if {
	facts.is_tool_call
	denied
}

# METADATA
# title: No entry of the charter covers the tool and its effect
# custom:
#   code: tool_not_allowed
deny contains "tool_not_allowed" if {
	facts.system_allowed
	facts.has_tool
	count(facts.covering) == 0
	not denied
}

denied if {
	some entry in facts.bounds.deny
	facts.covers_tool(entry)
}
