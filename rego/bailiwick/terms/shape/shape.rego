# METADATA
# title: The shapes of what a charter says
# description: |
#   The loader finds what is wrong in a charter. The rules look again where an entry of another shape
#   would be one that never fits: a denial that never fits is a permission.
# scope: package
package bailiwick.terms.shape

# One way to say which calls are meant: by a list of names, at least one, or by a mark.
chooses(kind, value) if {
	kind in {"tools", "domains"}
	names(value)
}

chooses("effects", value) if {
	names(value)
	effects(value)
}

chooses("impacts", value) if {
	names(value)
	impacts(value)
}

chooses(kind, value) if {
	kind in {"outward", "untrusted_input"}
	value == true
}

names(value) if {
	is_array(value)
	value != []
	every name in value {
		is_string(name)
		name != ""
	}
}

effects(value) if {
	every effect in value {
		effect in {"read", "write", "delete", "escalate", "execute"}
	}
}

impacts(value) if {
	every impact in value {
		impact in {"payment", "access", "deployment", "deletion"}
	}
}

approval(value) if {
	is_string(value.approvers)
	value.approvers != ""
	every member in ["count", "expires_seconds"] {
		is_number(value[member])
		value[member] >= 1
	}
}
