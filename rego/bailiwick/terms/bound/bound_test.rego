package bailiwick.tests.bound

import data.bailiwick.terms.bound
import data.bailiwick.testing

default kept(_, _) := false

kept(limits, value) if {
	bound.all_kept({"x": limits}) with input as testing.tool_call("ship", {"x": value})
}

default missing(_) := false

missing(limits) if {
	bound.all_kept({"x": limits}) with input as testing.tool_call("ship", {"y": 1})
}

globbed(pattern, value) := kept({"glob": pattern}, value)

long := concat("", [letter | some _ in numbers.range(1, 4096); letter := "a"])

# Whatever an agent may send; none of it is an error, whatever the operator.
hostile := [
	null, true, 0, -1, 1.5, 1e300, "", " ", "\u0000", "\n", "*", "**", "/", "../..", "%2e%2e", "[", "]", "{", "}", "(", ")",
	"\\", "^$", "a{9999}", "10.0.0.0/8", "10.0.0", "::1/64", ":::", "1.2.3.4\n", "999.1.1.1", "٣", "\u202e", "\ud83d\ude00",
	long, [], ["a"], {}, {"a": "b"},
]

test_success_glob_one_level if {
	every value in ["a/b.txt", "a/.txt", "a/b.c.txt", "a/\n.txt", "a/é\ud83d\ude00.txt"] {
		globbed("a/*.txt", value)
	}
}

test_fail_glob_one_level if {
	every value in ["a/b/c.txt", "a.txt", "a/b.txt/", "a/b_txt", "/a/b.txt", "a/b.txt\n", "A/b.txt"] {
		not globbed("a/*.txt", value)
	}
}

test_success_glob_all_levels if {
	every value in ["a/b.txt", "a/b/c.txt", "a//.txt", "a/b\n/c.txt"] {
		globbed("a/**.txt", value)
	}
	globbed("**", "any/thing")
	globbed("a**", "a/b")
	globbed("*", "")
	globbed("a/***", "a/b/c")
}

test_fail_glob_climbs if {
	every value in ["a/../b", "a/%2e%2E/b", "a\\b", "a/\u0000", "a/%2fb"] {
		not globbed("a/**", value)
	}
}

test_success_glob_takes_all_else_as_it_is if {
	every text in ["a.b", "a+b", "(a)", "a|b", "$a", "^a", "a-b", "a,b", "a b", "a#b", "!a", "é", "a$", "a^b$"] {
		globbed(text, text)
		globbed(concat("", [text, "*"]), text)
	}
}

test_fail_glob_takes_nothing_else if {
	not globbed("a.b", "axb")
	not globbed("a|b", "a")
	not globbed("a+", "aa")
	not globbed("(a)", "a")
	not globbed("", "a")
}

test_fail_glob_of_another_language if {
	every pattern in ["a?", "[a]", "{a,b}", "\\a", "a]", "a}"] {
		not globbed(pattern, pattern)
		not globbed(pattern, "a")
		not globbed(pattern, "ab")
	}
}

test_fail_hostile_values if {
	every value in hostile {
		not kept({"glob": "k/**"}, value)
		not kept({"regex": "^k[a-z]*$"}, value)
		not kept({"cidr": ["192.0.2.0/24", "2001:db8::/32"]}, value)
		not kept({"prefix": "k/"}, value)
		not kept({"eq": "k"}, value)
		not kept({"in": ["k"]}, value)
		not kept({"lte": -2}, value)
		not kept({"gte": 2e300}, value)
		not kept({"absent": true}, value)
		kept({"required": true}, value)
	}
}

test_fail_missing if {
	every limits in [{"glob": "**"}, {"regex": "^.*$"}, {"cidr": "0.0.0.0/0"}] {
		not missing(limits)
	}
}

test_fail_one_of_several_operators if {
	both := {"glob": "a/**", "regex": "^[a-z/]+$"}
	kept(both, "a/b")
	not kept(both, "a/B")
	not kept(both, "b/b")
	not kept(object.union(both, {"absent": true}), "a/b")
}

test_fail_limit_of_another_kind if {
	every limit in [null, true, 1, [], ["a"], {}, {"a": 1}] {
		every operator in ["glob", "regex", "prefix"] {
			not kept({operator: limit}, "a")
		}
	}
	every limit in [null, true, 1, [], [1], {}, {"a": "10.0.0.0/8"}, ["10.0.0.0/8", 1]] {
		not kept({"cidr": limit}, "10.0.0.1")
	}
}

test_fail_no_operator if not kept({}, "a")
