"""What outlives a call: approval requests, whose a session is, what it did, the newest policy.

A state change is one statement or transaction, durable when it returns, but for counts and last
uses, of which a crash may take the newest; a ledger that cannot be asked denies.
Does not decide what needs approval (`rego/`), and does not answer requests.
"""
