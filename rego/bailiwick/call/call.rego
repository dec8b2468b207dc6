# METADATA
# title: What kind of call it is
# description: |
#   Read from the input alone. Each name has a default, so that a rule about something missing denies
#   instead of being skipped.
# scope: package
package bailiwick.call

default is_tool := false

is_tool if {
	input.action.protocol == "mcp"
	input.action.name == "tools/call"
	input.resource.type == "tool"
}

default is_protocol := false

# What the protocol needs to run at all: it touches no tool and reads no content.
is_protocol if {
	input.action.protocol == "mcp"
	input.action.name in {
		"initialize", "ping", "server/discover", "logging/setLevel",
		"notifications/initialized", "notifications/cancelled",
		"notifications/progress", "notifications/roots/list_changed",
		"tools/list", "resources/list", "resources/templates/list", "prompts/list",
		"stream/open", "session/end", "response",
	}
}

default session := {}

# What the agent did before, this call counted in.
session := input.context.session
