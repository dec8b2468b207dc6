# METADATA
# title: The calls are within limits
# description: |
#   The agent has not called tools more often than its charter lets it, in a minute and in a session.
#   Both counts hold the call that is being decided. A count or a limit that is no number is exceeded.
# scope: package
package bailiwick.rules.limits

import data.bailiwick.call
import data.bailiwick.facts
import data.bailiwick.terms.limit

# METADATA
# title: More calls in the last minute than the charter lets
# custom:
#   code: rate_limited
deny contains "rate_limited" if {
	facts.charter_complete
	call.is_tool
	not limit.kept(facts.charter, "calls_per_minute", call.session, "calls_in_minute")
}

# METADATA
# title: More calls in the session than the charter lets
# custom:
#   code: call_budget_spent
deny contains "call_budget_spent" if {
	call.is_tool
	_ := facts.charter.limits.calls_per_session
	not limit.kept(facts.charter, "calls_per_session", call.session, "calls")
}
