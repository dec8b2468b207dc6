# METADATA
# title: Methods other than tools/call
# description: |
#   What the protocol needs to run is permitted on a system that the charter allows at all. Every
#   other method, and every other protocol, is denied: it could carry content past the tool rules.
# scope: package
package bailiwick.rules.mcp_methods

import data.bailiwick.call
import data.bailiwick.facts

# METADATA
# title: The protocol needs this method
# custom:
#   code: protocol_allowed
permit contains "protocol_allowed" if {
	call.is_protocol
	facts.system_allowed
}

# METADATA
# title: The method is not one that may be used
# custom:
#   code: method_not_allowed
deny contains "method_not_allowed" if {
	not call.is_tool
	not call.is_protocol
}
