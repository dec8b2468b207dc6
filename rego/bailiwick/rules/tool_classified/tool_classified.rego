# METADATA
# title: The tool is classified
# description: |
#   What a tool does and risks is said by the operator's catalogue, never by the caller or the server.
#   A tool that is not in the catalogue has no class, nor has one that nobody has classified yet.
# scope: package
package bailiwick.rules.tool_classified

import data.bailiwick.call
import data.bailiwick.catalogue

# METADATA
# title: The catalogue says no class of the tool
# custom:
#   code: tool_unclassified
deny contains "tool_unclassified" if {
	call.is_tool
	not catalogue.has_tool
}
