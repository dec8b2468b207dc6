# METADATA
# title: What the operator's catalogue says of the call
# description: |
#   The system and the tool that the input names, and the class of the call: what it does, what it
#   risks, which domain and environment it touches. Half a class is none, and so is one that says
#   something the rules do not know.
# scope: package
package bailiwick.catalogue

import data.bailiwick.call
import data.bailiwick.terms.shape

default system := {}

system := data.systems[input.resource.system]

default has_system := false

has_system if is_object(system.tools)

default tool := {}

tool := said if {
	call.is_tool
	said := system.tools[input.resource.name]
	is_object(said)
}

domain := object.get(tool, "domain", system.domain)

# Null when the catalogue says nothing, or not enough.
default class := null

class := {
	"effect": tool.effect,
	"impacts": sort(tool.impacts),
	"domain": domain,
	"environment": system.environment,
} if {
	shape.effects([tool.effect])
	is_array(tool.impacts)
	shape.impacts(tool.impacts)
	is_object(object.get(tool, "checks", {}))
}

class := {
	"effect": "read",
	"impacts": [],
	"domain": system.domain,
	"environment": system.environment,
} if {
	call.is_protocol
}

default has_tool := false

has_tool if {
	call.is_tool
	is_object(class)
}
