# METADATA
# title: Who may ask OPA what, tested
# scope: package
package system.authz.tests

import data.system.authz

decision := {
	"method": "POST",
	"path": ["v1", "data", "bailiwick", "decision"],
	"identity": "s3cret",
}

test_the_token_may_ask_for_the_decision if {
	authz.allow with input as decision with data.system.authz.token as "s3cret"
}

test_a_verified_certificate_may_ask_for_the_decision if {
	asked := object.union(object.remove(decision, ["identity"]), {"client_certificates": [{}]})
	authz.allow with input as asked with data.system.authz.token as ""
}

test_no_certificate_is_no_certificate if {
	asked := object.union(object.remove(decision, ["identity"]), {"client_certificates": []})
	not authz.allow with input as asked with data.system.authz.token as "s3cret"
}

test_no_credential_is_refused if {
	asked := object.remove(decision, ["identity"])
	not authz.allow with input as asked with data.system.authz.token as "s3cret"
}

test_another_token_is_refused if {
	every identity in ["", "s3cre", "s3cret ", "S3CRET", null, true, ["s3cret"]] {
		asked := object.union(decision, {"identity": identity})
		not authz.allow with input as asked with data.system.authz.token as "s3cret"
	}
}

test_an_empty_token_lets_nobody_in if {
	asked := object.union(decision, {"identity": ""})
	not authz.allow with input as asked with data.system.authz.token as ""
}

test_another_method_is_refused if {
	every method in ["GET", "PUT", "PATCH", "DELETE", "HEAD", "post", ""] {
		asked := object.union(decision, {"method": method})
		not authz.allow with input as asked with data.system.authz.token as "s3cret"
	}
}

test_another_path_is_refused if {
	every path in [
		[],
		[""],
		["v1"],
		["v1", "data"],
		["v1", "data", "bailiwick"],
		["v1", "data", "bailiwick", "decision", ""],
		["v1", "data", "bailiwick", "decision", "effect"],
		["v1", "data", "bailiwick", "Decision"],
		["v1", "data", "charters"],
		["v0", "data", "bailiwick", "decision"],
		["v1", "query"],
		["v1", "compile"],
		["v1", "policies", "system", "authz"],
		["v1", "config"],
		["v1", "status"],
		["health"],
		["metrics"],
		"v1/data/bailiwick/decision",
	] {
		asked := object.union(decision, {"path": path})
		not authz.allow with input as asked with data.system.authz.token as "s3cret"
	}
}

test_an_empty_request_is_refused if not authz.allow with input as {}
