# METADATA
# title: The call belongs to a task
# description: |
#   Unless the charter says that no task is required, a call that names none is denied.
# scope: package
package bailiwick.rules.task_required

import data.bailiwick.facts

# METADATA
# title: The call names no task
# custom:
#   code: task_required
deny contains "task_required" if {
	facts.charter_complete
	not facts.charter.task_required == false
	not has_task
}

has_task if {
	is_string(input.context.task)
	input.context.task != ""
}
