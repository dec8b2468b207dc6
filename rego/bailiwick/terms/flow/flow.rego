# METADATA
# title: The flows of a charter
# description: |
#   A flow forbids, or has a person approve, what may follow on something the agent did before: after
#   it read a domain, or took in words of strangers, calls of some kind. Only a call that it plainly
#   does not mean is spared, so one that cannot be read denies every tool.
# scope: package
package bailiwick.terms.flow

import data.bailiwick.call
import data.bailiwick.catalogue
import data.bailiwick.terms.shape
import data.bailiwick.terms.tool

entries(list) := list if is_array(list)

entries(list) := [null] if not is_array(list)

spares(flow) if {
	sound(flow)
	not applies(flow)
}

# What a flow that does not spare the call does to it.
consequence(flow) := {"approval": flow.approval} if {
	sound(flow)
	is_object(flow.approval)
} else := {"deny": true}

applies(flow) if {
	set_off(flow.after)
	fits(flow.to)
}

set_off(after) if {
	some domain in after.domains
	domain in call.session.domains_read
}

# What nobody looked up is no innocence.
set_off(after) if {
	after.domains
	not looked_up(call.session)
}

set_off(after) if {
	after.untrusted_input
	not call.session.untrusted_input == false
}

looked_up(session) if is_array(session.domains_read)

fits(to) if catalogue.tool.effect in to.effects

# Whatever is not plainly said to be no way out is one.
fits(to) if {
	to.outward
	object.get(catalogue.tool, "outward", false) != false
}

fits(to) if tool.covered(to.tools)

fits(to) if catalogue.domain in to.domains

sound(flow) if {
	is_object(flow)
	object.keys(flow) in {{"after", "to", "deny"}, {"after", "to", "approval"}}
	choices(flow.after, {"domains", "untrusted_input"})
	choices(flow.to, {"effects", "outward", "tools", "domains"})
	ends(flow)
}

ends(flow) if flow.deny == true

ends(flow) if shape.approval(flow.approval)

choices(value, known) if {
	is_object(value)
	count(value) > 0
	every name, choice in value {
		name in known
		shape.chooses(name, choice)
	}
}
