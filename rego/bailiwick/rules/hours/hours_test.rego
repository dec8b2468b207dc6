package bailiwick.tests.hours

import data.bailiwick.rules.hours as rule
import data.bailiwick.testing

answer(moment, charters) := result if {
	result := rule.deny with input as testing.changed(testing.method("ping"), {"context": {"time": moment}})
		with data.subjects as testing.subjects
		with data.charters as charters
		with data.systems as testing.systems
}

at(moment, hours) := answer(moment, testing.charters({"hours": hours}))

ns(text) := time.parse_rfc3339_ns(text)

week := ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

office := [{"days": ["mon", "tue", "wed", "thu", "fri"], "from": "08:00", "to": "18:00"}]

closed := {"outside_hours"}

# 2026-11-23 was a Monday.
test_success_within if {
	at(ns("2026-11-23T08:00:00Z"), office) == set()
	at(ns("2026-11-23T18:00:00Z") - 1, office) == set()
	at(ns("2026-11-27T12:34:56Z"), office) == set()
}

test_fail_a_nanosecond_outside if {
	at(ns("2026-11-23T08:00:00Z") - 1, office) == closed
	at(ns("2026-11-23T18:00:00Z"), office) == closed
}

test_fail_other_days if {
	every moment in ["2026-11-28T12:00:00Z", "2026-11-29T12:00:00Z"] {
		at(ns(moment), office) == closed
	}
}

test_success_each_day_of_the_week if {
	every index, day in week {
		noon := ns("2026-11-23T12:00:00Z") + (index * 86400000000000)
		at(noon, [{"days": [day], "from": "00:00", "to": "24:00"}]) == set()
		at(noon, [{"days": [other | some other in week; other != day], "from": "00:00", "to": "24:00"}]) == closed
	}
}

test_success_the_week_wraps_at_midnight_of_sunday if {
	monday := ns("2026-11-30T00:00:00Z")
	at(monday - 1, [{"days": ["sun"], "from": "23:59", "to": "24:00"}]) == set()
	at(monday, [{"days": ["mon"], "from": "00:00", "to": "00:01"}]) == set()
	at(monday, [{"days": ["sun"], "from": "00:00", "to": "24:00"}]) == closed
	at(monday - 1, [{"days": ["mon"], "from": "00:00", "to": "24:00"}]) == closed
}

test_success_any_entry_opens if {
	at(ns("2026-11-28T12:00:00Z"), array.concat(office, [{"days": ["sat"], "from": "12:00", "to": "12:01"}])) == set()
}

test_success_epoch_and_the_last_moment if {
	at(0, [{"days": ["thu"], "from": "00:00", "to": "00:01"}]) == set()
	at(9223372036854775807, [{"days": ["fri"], "from": "23:47", "to": "23:48"}]) == set()
}

test_success_no_hours_said if answer(ns("2026-11-28T12:00:00Z"), testing.charters({})) == set()

test_success_incomplete_charter_is_not_read if {
	answer(testing.now, testing.charters({"faults": [{}], "hours": null})) == set()
}

test_fail_time_of_another_kind if {
	every moment in [null, "0", true, [], 1.5, -1, 1e300, 9223372036854775808] {
		at(moment, [{"days": week, "from": "00:00", "to": "24:00"}]) == closed
	}
}

test_fail_no_time if {
	document := testing.without(testing.method("ping"), "/context/time")
	said := rule.deny with input as document
		with data.subjects as testing.subjects
		with data.charters as testing.charters({"hours": office})
	said == closed
}

test_fail_entry_that_cannot_be_read_closes_all if {
	every entry in [
		null, "mon", [], {}, {"days": ["mon"], "from": "08:00"},
		{"days": [], "from": "00:00", "to": "24:00"}, {"days": "mon", "from": "00:00", "to": "24:00"},
		{"days": {"a": "mon"}, "from": "00:00", "to": "24:00"},
		{"days": ["Mon"], "from": "00:00", "to": "24:00"}, {"days": [0], "from": "00:00", "to": "24:00"},
		{"days": ["mon"], "from": "18:00", "to": "08:00"}, {"days": ["mon"], "from": "08:00", "to": "08:00"},
		{"days": ["mon"], "from": "8:00", "to": "18:00"}, {"days": ["mon"], "from": "08:00", "to": "24:01"},
		{"days": ["mon"], "from": "08:60", "to": "18:00"}, {"days": ["mon"], "from": 8, "to": 18},
		{"days": ["mon"], "from": "08:00", "to": "18:00", "zone": "UTC"},
	] {
		at(ns("2026-11-23T12:00:00Z"), array.concat(office, [entry])) == closed
	}
}

test_fail_hours_are_no_list if {
	every hours in [null, false, [], {}, "08:00", {"days": week, "from": "00:00", "to": "24:00"}, {"a": office[0]}] {
		at(ns("2026-11-23T12:00:00Z"), hours) == closed
	}
}
