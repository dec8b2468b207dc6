# METADATA
# title: The arguments are within bounds
# description: |
#   At least one allow entry that covers the tool has every bound kept. A bounded argument that is
#   missing breaks its bound (except `absent`), and so does an operator that is not known here.
# scope: package
package bailiwick.rules.argument_bounds

import data.bailiwick.facts

# METADATA
# title: An argument is out of bounds
# custom:
#   code: argument_out_of_bounds
deny contains "argument_out_of_bounds" if {
	count(facts.covering) > 0
	not within_bounds
}

within_bounds if {
	some entry in facts.covering
	keeps_bounds(object.get(entry, "arguments", {}))
}

keeps_bounds(bounds) if {
	is_object(bounds)
	every name, bound in bounds {
		is_object(bound)
		every operator, limit in bound {
			keeps(operator, name, limit)
		}
	}
}

keeps("eq", name, limit) if input.resource.arguments[name] == limit

# The order of Rego puts every text above every number, so kinds are looked at first.
keeps("lte", name, limit) if {
	is_number(input.resource.arguments[name])
	is_number(limit)
	input.resource.arguments[name] <= limit
}

keeps("gte", name, limit) if {
	is_number(input.resource.arguments[name])
	is_number(limit)
	input.resource.arguments[name] >= limit
}

keeps("in", name, limit) if {
	is_array(limit)
	input.resource.arguments[name] in limit
}

keeps("prefix", name, limit) if {
	value := input.resource.arguments[name]
	is_string(value)
	startswith(value, limit)
	not climbs(value)
}

keeps("absent", name, true) if not name in object.keys(input.resource.arguments)

keeps("required", name, true) if name in object.keys(input.resource.arguments)

# Ways by which a path leaves the beginning it was given, plain or percent-encoded.
climbs(value) if {
	some mark in ["..", "\\", "%2e", "%2f", "%5c", "\u0000"]
	contains(lower(value), mark)
}
