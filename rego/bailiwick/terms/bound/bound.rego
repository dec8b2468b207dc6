# METADATA
# title: Bounds on arguments
# description: |
#   Neither a value nor a limit of another kind keeps a bound, and no value that an agent may choose is
#   an error here. An operator that is not known is never kept.
# scope: package
package bailiwick.terms.bound

import data.bailiwick.terms.address

# Says whether the arguments of the call keep every bound.
all_kept(bounds) if {
	is_object(bounds)
	every name, bound in bounds {
		is_object(bound)
		bound != {}
		every operator, limit in bound {
			kept(operator, name, limit)
		}
	}
}

kept("eq", name, limit) if input.resource.arguments[name] == limit

# The order of Rego puts every text above every number, so kinds are looked at first.
kept("lte", name, limit) if {
	is_number(input.resource.arguments[name])
	is_number(limit)
	input.resource.arguments[name] <= limit
}

kept("gte", name, limit) if {
	is_number(input.resource.arguments[name])
	is_number(limit)
	input.resource.arguments[name] >= limit
}

kept("in", name, limit) if {
	is_array(limit)
	input.resource.arguments[name] in limit
}

kept("prefix", name, limit) if {
	value := input.resource.arguments[name]
	is_string(value)
	is_string(limit)
	startswith(value, limit)
	not climbs(value)
}

kept("glob", name, limit) if {
	value := input.resource.arguments[name]
	is_string(value)
	is_string(limit)
	not climbs(value)
	not regex.match(`[?\[\]{}\\]`, limit)
	regex.match(glob_expression(limit), value)
}

# Bounded twice, so that an alternative in the limit is bounded as well.
kept("regex", name, limit) if {
	value := input.resource.arguments[name]
	is_string(value)
	is_string(limit)
	startswith(limit, "^")
	endswith(limit, "$")
	not longer(value, 4096)
	regex.match(concat("", ["^(?:", limit, ")$"]), value)
}

kept("cidr", name, limit) if {
	value := input.resource.arguments[name]
	address.plain(value)
	some network in address.networks(limit)
	net.cidr_contains(network, value)
}

kept("absent", name, true) if {
	is_object(input.resource.arguments)
	not present(name)
}

kept("required", name, true) if present(name)

present(name) if {
	is_object(input.resource.arguments)
	name in object.keys(input.resource.arguments)
}

# Ways by which a path leaves the beginning it was given, plain or percent-encoded.
climbs(value) if {
	some mark in ["..", "\\", "%2e", "%2f", "%5c", "\u0000"]
	contains(lower(value), mark)
}

# Engines count the letters of a text in different ways, but cut it in the same places.
longer(value, letters) if substring(value, letters, 1) != ""

# `**` is any run of letters, `*` any but `/`; engines differ on what their own globs mean by these.
glob_expression(pattern) := concat("", [
	"^",
	concat("(?s:.*)", [concat("[^/]*", split(run, "*")) | some run in split(plain, "**")]),
	"$",
]) if {
	plain := regex.replace(pattern, `[.+()|^$]`, `\$0`)
}
