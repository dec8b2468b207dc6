# METADATA
# title: The tool is classified
# description: |
#   What a tool does and risks is said by the operator's catalogue, never by the caller or the server.
#   A tool that is not in the catalogue has no class.
# scope: package
package bailiwick.rules.tool_classified

import data.bailiwick.facts

# METADATA
# title: The tool is not in the catalogue
# custom:
#   code: tool_unclassified
deny contains "tool_unclassified" if {
	facts.is_tool_call
	not facts.has_tool
}
