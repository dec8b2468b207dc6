# METADATA
# title: What the rules know about the call
# description: |
#   The charter, the system and the tool that the input names, found in the bundle. Each name has a
#   default, so that a rule about something missing denies instead of being skipped.
# scope: package
package bailiwick.facts

default charter_id := null

charter_id := id if {
	id := data.subjects[input.subject.id]
	is_object(data.charters[id])
}

default subject_known := false

subject_known if is_string(data.subjects[input.subject.id])

default has_charter := false

has_charter if is_string(charter_id)

default charter_complete := false

charter_complete if data.charters[charter_id].faults == []

default charter := {}

# Of an incomplete charter nothing is read, as its members may be of any kind.
charter := data.charters[charter_id] if charter_complete

default system := {}

system := data.systems[input.resource.system]

default has_system := false

has_system if is_object(data.systems[input.resource.system])

default bounds := {}

# What the charter says about the system that the call is for.
bounds := charter.systems[input.resource.system]

default system_allowed := false

system_allowed if {
	has_system
	count(bounds.allow) > 0
	not system_denied
}

default system_denied := false

system_denied if bounds.deny == "all"

default is_tool_call := false

is_tool_call if {
	input.action.protocol == "mcp"
	input.action.name == "tools/call"
	input.resource.type == "tool"
}

default is_protocol_call := false

# What the protocol needs to run at all: it touches no tool and reads no content.
is_protocol_call if {
	input.action.protocol == "mcp"
	input.action.name in protocol_methods
}

protocol_methods := {
	"initialize", "ping", "server/discover", "logging/setLevel",
	"notifications/initialized", "notifications/cancelled",
	"notifications/progress", "notifications/roots/list_changed",
	"tools/list", "resources/list", "resources/templates/list", "prompts/list",
	"stream/open", "session/end", "response",
}

default tool := {}

tool := system.tools[input.resource.name] if is_tool_call

default has_tool := false

has_tool if {
	is_string(tool.effect)
	is_array(tool.impacts)
}

# Allow entries of the charter that cover the tool and what it does.
covering := [entry |
	has_tool
	some entry in bounds.allow
	covers_tool(entry)
	tool.effect in entry.effects
]

# A pattern is a tool's name, or its beginning and `*`.
covers_tool(entry) if {
	some pattern in entry.tools
	covers(pattern, input.resource.name)
}

covers(pattern, name) if pattern == name

covers(pattern, name) if {
	endswith(pattern, "*")
	startswith(name, trim_suffix(pattern, "*"))
}
