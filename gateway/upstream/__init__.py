"""What sends a decided call: one request, exactly the decided bytes, with our own credential.

Does not decide, does not retry, and never sees the agent's token.
"""
