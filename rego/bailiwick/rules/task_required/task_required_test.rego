package bailiwick.tests.task_required

import data.bailiwick.rules.task_required as rule
import data.bailiwick.testing

answer(charters, task) := result if {
	result := rule.deny with input as testing.changed(
		testing.tool_call("refund", {}),
		{"context": {"task": task}},
	)
		with data.subjects as testing.subjects
		with data.charters as charters
}

test_success_task_named if answer(testing.charters({"task_required": true}), "task-1") == set()

test_success_no_task_needed if answer(testing.charters({}), null) == set()

test_fail_no_task if {
	every task in [null, "", false, 0, {}] {
		answer(testing.charters({"task_required": true}), task) == {"task_required"}
	}
}

test_fail_charter_does_not_say if {
	answer(testing.charters_without("task_required"), null) == {"task_required"}
}
