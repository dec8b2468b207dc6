package bailiwick.tests.expression

import data.bailiwick.terms.bound
import data.bailiwick.testing

default matched(_, _) := false

matched(pattern, value) if {
	bound.all_kept({"x": {"regex": pattern}}) with input as testing.tool_call("ship", {"x": value})
}

long := concat("", [letter | some _ in numbers.range(1, 4096); letter := "a"])

test_success_regex if {
	matched("^[A-Z]{2}-[0-9]{4}$", "AB-1234")
	matched("^a|b$", "a")
	matched("^a|b$", "b")
	matched("^.$", "\ud83d\ude00")
	matched("^a+$", long)
}

test_fail_regex if {
	every value in ["AB-123", "AB-12345", "ab-1234", " AB-1234", "AB-1234\n", "x\nAB-1234"] {
		not matched("^[A-Z]{2}-[0-9]{4}$", value)
	}
}

test_fail_regex_bounds_every_alternative if {
	not matched("^a|b$", "ax")
	not matched("^a|b$", "xb")
}

test_fail_regex_of_a_long_text if not matched("^a+$", concat("", [long, "a"]))

test_fail_regex_without_ends if {
	every pattern in ["a", "^a", "a$", ""] {
		not matched(pattern, "a")
	}
}
