# METADATA
# title: Permit everything
# description: For tests only; what is compared with a direct line.
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
	input.version == "1"
}
