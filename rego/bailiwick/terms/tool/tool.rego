# METADATA
# title: Patterns of tools
# description: A pattern is a tool's name, or its beginning and `*`.
# scope: package
package bailiwick.terms.tool

# Says whether one of the patterns covers the tool that is called.
covered(patterns) if input.resource.name in patterns

covered(patterns) if {
	is_array(patterns)
	some pattern in patterns
	is_string(pattern)
	endswith(pattern, "*")
	startswith(input.resource.name, trim_suffix(pattern, "*"))
}
