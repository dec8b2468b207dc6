# METADATA
# title: IP addresses in plain form
# description: |
#   The one text that an address has (RFC 5952 for IPv6), so that everyone who reads it reads the same
#   address. An IPv4 address in IPv6 is not plain: engines differ on which of the two it is.
# scope: package
package bailiwick.terms.address

plain(value) if {
	is_string(value)
	regex.match(`^((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(\.|$)){4}$`, value)
	not endswith(value, ".")
}

plain(value) if {
	is_string(value)
	regex.match(`^[0-9a-f:]{2,39}$`, value)
	not startswith(value, "::ffff:")
	shortest(split(value, "::"))
}

# Nothing to leave out: eight groups, no two zeros in a row.
shortest([whole]) if {
	count(groups(whole)) == 8
	not zeros(whole, 2)
}

# The first of the longest runs of zeros is left out, and all of it.
shortest([left, right]) if {
	count(groups(left)) + count(groups(right)) <= 6
	missing := (8 - count(groups(left))) - count(groups(right))
	not endswith(concat("", [":", left]), ":0")
	not startswith(concat("", [right, ":"]), "0:")
	not zeros(left, missing)
	not zeros(right, missing + 1)
}

groups("") := []

groups(text) := parts if {
	parts := split(text, ":")
	every part in parts {
		regex.match(`^(0|[1-9a-f][0-9a-f]{0,3})$`, part)
	}
}

# Says whether a run of so many zeros is in it.
zeros(text, length) if {
	run := substring(":0:0:0:0:0:0:0:0:0", 0, 2 * length)
	contains(concat("", [":", text, ":"]), concat("", [run, ":"]))
}

networks(limit) := [limit] if is_string(limit)

networks(limit) := limit if {
	is_array(limit)
	every network in limit {
		is_string(network)
	}
}
