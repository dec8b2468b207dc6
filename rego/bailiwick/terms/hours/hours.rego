# METADATA
# title: The hours of a charter
# description: |
#   Of a week in UTC: `from` is in, `to` is out, and "24:00" is the end of the day. Time is in
#   nanoseconds since the epoch. An entry that cannot be read closes all hours.
# scope: package
package bailiwick.terms.hours

# Says whether the call comes within one of the entries.
within(hours) if {
	is_array(hours)
	every entry in hours {
		sound(entry)
	}
	moment := since_monday(input.context.time)
	some entry in hours
	some day in entry.days
	moment >= midnight(day) + since_midnight(entry.from)
	moment < midnight(day) + since_midnight(entry.to)
}

sound(entry) if {
	is_object(entry)
	object.keys(entry) == {"days", "from", "to"}
	is_array(entry.days)
	entry.days != []
	every day in entry.days {
		midnight(day) >= 0
	}
	since_midnight(entry.from) < since_midnight(entry.to)
}

# The epoch was a Thursday. Only of whole numbers that no engine holds as a float, which has no
# remainder.
since_monday(now) := (now + (3 * 86400000000000)) % (7 * 86400000000000) if {
	now < 9223372036854775808
	regex.match(`^[0-9]+$`, json.marshal(now))
}

midnight(name) := index * 86400000000000 if {
	some index, day in ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
	day == name
}

since_midnight("24:00") := 86400000000000

since_midnight(clock) := time.parse_rfc3339_ns(concat("", ["1970-01-01T", clock, ":00Z"])) if {
	is_string(clock)
	regex.match(`^([01][0-9]|2[0-3]):[0-5][0-9]$`, clock)
}
