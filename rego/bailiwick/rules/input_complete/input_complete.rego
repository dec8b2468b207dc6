# METADATA
# title: The input is complete
# description: |
#   Every member of the decision input that is not optional is there and of its kind, so that no rule
#   decides on less than it was written for.
# scope: package
package bailiwick.rules.input_complete

# METADATA
# title: A member is missing or of the wrong kind
# custom:
#   code: input_incomplete
deny contains "input_incomplete" if not complete

complete if {
	subject_complete
	action_complete
	resource_complete
	context_complete
}

subject_complete if {
	every member in ["id", "type", "issuer", "proof"] {
		is_text(input.subject[member])
	}

	# A rule that looks for a flag would find none where there are no flags at all.
	is_array(input.subject.flags)
	is_array(input.subject.scopes)
}

action_complete if {
	is_text(input.action.name)
	is_text(input.action.protocol)
}

# The name is empty when the call is for the server itself.
resource_complete if {
	is_text(input.resource.type)
	is_text(input.resource.system)
	is_string(input.resource.name)
	is_object(input.resource.arguments)
}

context_complete if {
	is_number(input.context.time)
	is_text(input.context.call_id)
}

is_text(value) if {
	is_string(value)
	value != ""
}
