# METADATA
# title: What the rules know about the agent
# description: |
#   The charter of the subject, and what it says about the system that the call is for. Each name has
#   a default, so that a rule about something missing denies instead of being skipped.
# scope: package
package bailiwick.facts

import data.bailiwick.catalogue
import data.bailiwick.terms.tool

# The id of the charter that the bundle gives the subject.
default given := null

given := data.subjects[input.subject.id]

default found := null

found := data.charters[given]

default charter_id := null

charter_id := given if is_object(found)

default charter_complete := false

charter_complete if found.faults == []

default charter := {}

# Of an incomplete charter nothing is read, as its members may be of any kind.
charter := found if charter_complete

default charter_current := false

# Reached only with a complete charter, whose `expires` is known to be readable.
charter_current if {
	is_number(input.context.time)
	time.parse_rfc3339_ns(charter.expires) > input.context.time
}

default observing := false

# For some time only; an expired charter observes nothing.
observing if {
	is_string(charter.observe.until)
	charter_current
	time.parse_rfc3339_ns(charter.observe.until) > input.context.time
}

default bounds := {}

# What the charter says about the system that the call is for.
bounds := said if {
	said := charter.systems[input.resource.system]
	is_object(said)
}

default system_denied := false

system_denied if bounds.deny == "all"

default system_allowed := false

system_allowed if {
	catalogue.has_system
	is_array(bounds.allow)
	bounds.allow != []
	not system_denied
}

# Allow entries of the charter that cover the tool and what it does.
covering := [entry |
	catalogue.has_tool
	is_array(bounds.allow)
	some entry in bounds.allow
	catalogue.tool.effect in entry.effects
	tool.covered(entry.tools)
]
