package bailiwick.tests.argument_bounds

import data.bailiwick.rules.argument_bounds as rule
import data.bailiwick.testing

answer(bounds, arguments) := result if {
	result := rule.deny with input as testing.tool_call("ship", arguments)
		with data.subjects as testing.subjects
		with data.charters as testing.bounded({"allow": [{
			"tools": ["ship"],
			"effects": ["write"],
			"arguments": bounds,
		}]})
		with data.systems as testing.systems
}

kept := set()

broken := {"argument_out_of_bounds"}

test_success_no_bounds if answer({}, {"any": 1}) == kept

test_success_eq if answer({"to": {"eq": "home"}}, {"to": "home"}) == kept

test_success_lte_and_gte if {
	every amount in [0, 4, 10] {
		answer({"amount": {"gte": 0, "lte": 10}}, {"amount": amount}) == kept
	}
}

test_success_in if answer({"currency": {"in": ["EUR"]}}, {"currency": "EUR"}) == kept

test_success_prefix if answer({"path": {"prefix": "a/"}}, {"path": "a/b c.txt"}) == kept

test_success_absent if answer({"force": {"absent": true}}, {}) == kept

test_success_required if answer({"note": {"required": true}}, {"note": null}) == kept

test_fail_eq_of_another_kind if answer({"n": {"eq": 1}}, {"n": "1"}) == broken

test_fail_number_outside if {
	every amount in [-1, 10.01, 11] {
		answer({"amount": {"gte": 0, "lte": 10}}, {"amount": amount}) == broken
	}
}

test_fail_number_of_another_kind if {
	every amount in ["5", null, true, [5], {"value": 5}] {
		every operator in ["lte", "gte"] {
			answer({"amount": {operator: 5}}, {"amount": amount}) == broken
		}
	}
}

test_fail_in_of_another_value if {
	every currency in ["eur", "EUR ", null, ["EUR"]] {
		answer({"currency": {"in": ["EUR"]}}, {"currency": currency}) == broken
	}
}

test_fail_prefix_left_again if {
	every path in [
		"a", "b/a/", "a/../b", "a/..", "a/%2e%2E/b", "a/%2E./b", "a\\..\\b", "a/%5c", "a/\u0000",
		["a/"], null,
	] {
		answer({"path": {"prefix": "a/"}}, {"path": path}) == broken
	}
}

test_fail_absent_is_there if answer({"force": {"absent": true}}, {"force": null}) == broken

test_fail_absent_false_is_no_operator if answer({"force": {"absent": false}}, {"force": 1}) == broken

test_fail_missing_argument if {
	every bound in [{"eq": null}, {"lte": 1}, {"gte": 1}, {"in": [null]}, {"prefix": ""}, {"required": true}] {
		answer({"amount": bound}, {}) == broken
	}
}

test_fail_unknown_operator if {
	answer({"amount": {"lte": 10, "matches": ".*"}}, {"amount": 1}) == broken
}

test_fail_bound_is_no_object if {
	every bound in [10, [], null, "", [10]] {
		answer({"amount": bound}, {"amount": 1}) == broken
	}
}

test_fail_limit_of_another_kind if {
	every bound in [{"lte": "10"}, {"gte": null}, {"in": {"one": 1}}, {"prefix": 1}] {
		answer({"amount": bound}, {"amount": 1}) == broken
	}
}

test_fail_bounds_are_no_object if {
	every bounds in [null, [], "", 1] {
		answer(bounds, {"amount": 1}) == broken
	}
}

test_fail_arguments_are_no_object if {
	every arguments in [null, [], "x", 1] {
		every bound in [{"absent": true}, {"required": true}, {"eq": 1}] {
			answer({"amount": bound}, arguments) == broken
		}
	}
}
