# METADATA
# title: The limits of a charter
# description: A count or a limit that is no number is exceeded.
# scope: package
package bailiwick.terms.limit

# Says whether a count of the session is at most a limit of the charter.
kept(charter, limit, session, calls) if {
	is_number(session[calls])
	is_number(charter.limits[limit])
	session[calls] <= charter.limits[limit]
}
