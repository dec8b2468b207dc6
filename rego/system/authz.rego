# METADATA
# title: Who may ask OPA what
# description: |
#   For an OPA sidecar that runs with `--authorization=basic`: the gateway may ask for the one
#   decision, and nobody may do anything else. OPA asks these rules for its diagnostic listener
#   too, so health is checked by asking for a decision.
#   The gateway proves who it is by the bearer token that OPA has in its environment
#   (`--authentication=token`), or by a client certificate of the authority that OPA was given
#   (`--authentication=tls`): let that authority issue to the gateway only.
# scope: package
package system.authz

decision_path := ["v1", "data", "bailiwick", "decision"]

# METADATA
# entrypoint: true
default allow := false

allow if {
	input.method == "POST"
	input.path == decision_path
	is_gateway
}

default is_gateway := false

# An unset token is no token: no credential would be equal to it.
is_gateway if {
	token != ""
	input.identity == token
}

# OPA puts a certificate here only when it has verified it.
is_gateway if count(input.client_certificates) > 0

default token := ""

token := opa.runtime().env.BAILIWICK_OPA_TOKEN
