# METADATA
# title: The deny entries of a charter
# description: |
#   An entry says one thing: tools, domains, effects or impacts. Only a call that it plainly does not
#   mean is spared, so one that cannot be read fits every tool.
# scope: package
package bailiwick.terms.denial

import data.bailiwick.catalogue
import data.bailiwick.terms.shape
import data.bailiwick.terms.tool

# The entries of a list. All of a system is denied by a rule of its own.
entries(list) := list if is_array(list)

entries(list) := [null] if {
	not is_array(list)
	list != "all"
}

spares(entry) if {
	is_object(entry)
	count(entry) == 1
	some kind, choice in entry
	kind in {"tools", "domains", "effects", "impacts"}
	shape.chooses(kind, choice)
	not chosen(kind, choice)
}

chosen("tools", patterns) if tool.covered(patterns)

# A tool without class has none of these, so nothing that could be denied.
chosen("domains", domains) if catalogue.class.domain in domains

chosen("effects", effects) if catalogue.class.effect in effects

chosen("impacts", impacts) if {
	some impact in catalogue.class.impacts
	impact in impacts
}

# What an entry that fits is about: tools, where it cannot be told.
subject(entry) := kind if {
	is_object(entry)
	count(entry) == 1
	some kind, choice in entry
	kind in {"domains", "effects", "impacts"}
	shape.chooses(kind, choice)
} else := "tools"
