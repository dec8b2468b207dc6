"""What outlives a call: requests for a person's approval, and whose each session is.

A state change is one statement, durable when it returns; a ledger that cannot be asked denies.
Does not decide what needs approval (`rego/`), and does not answer requests.
"""
