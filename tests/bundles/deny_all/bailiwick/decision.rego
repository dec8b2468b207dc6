# METADATA
# title: Deny everything
# description: For tests only; only the self-test's own subject is ever permitted.
package bailiwick

_class := {"effect": "read", "impacts": [], "domain": "test", "environment": "test"}

default decision := {
	"effect": "deny",
	"reasons": [{"code": "test_denies", "rule": "bailiwick.decision"}],
	"obligations": [],
	"class": null,
	"charter": null,
	"grant": null,
}

decision := {
	"effect": "permit",
	"reasons": [{"code": "test_allows", "rule": "bailiwick.decision"}],
	"obligations": [],
	"class": _class,
	"charter": "test",
	"grant": null,
} if {
	input.subject.id == "self-test"
}
