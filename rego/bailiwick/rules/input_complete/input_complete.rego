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
	every text in [
		input.subject.id, input.subject.type, input.subject.issuer, input.subject.proof,
		input.action.name, input.action.protocol,
		input.resource.type, input.resource.system,
		input.context.call_id,
	] {
		is_string(text)
		text != ""
	}

	# A rule that looks for a flag would find none where there are no flags at all.
	is_array(input.subject.flags)
	is_array(input.subject.scopes)

	# The name is empty when the call is for the server itself.
	is_string(input.resource.name)
	is_object(input.resource.arguments)
	is_number(input.context.time)
	session_complete
}

# What nobody looked up must not be taken for innocence.
session_complete if {
	is_number(input.context.session.calls)
	input.context.session.calls >= 0
	is_number(input.context.session.calls_in_minute)
	input.context.session.calls_in_minute >= 0
	is_array(input.context.session.systems)
	is_array(input.context.session.domains_read)
	is_boolean(input.context.session.untrusted_input)
}
