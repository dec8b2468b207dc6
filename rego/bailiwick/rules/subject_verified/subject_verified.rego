# METADATA
# title: The subject is verified and known
# description: |
#   The input is of the version these rules are written for, and its subject, which only a verified
#   credential can name, is one that the bundle gives a charter.
# scope: package
package bailiwick.rules.subject_verified

import data.bailiwick.facts

# METADATA
# title: The input is of another version
# custom:
#   code: input_version_unknown
deny contains "input_version_unknown" if not input.version == "1"

# METADATA
# title: No charter names this subject
# custom:
#   code: subject_unknown
deny contains "subject_unknown" if not is_string(facts.given)
