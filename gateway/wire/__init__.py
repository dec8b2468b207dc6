"""Bytes to calls, and refusals to bytes: everything about protocols, without any I/O.

What is not understood is refused, never guessed. Does not read sockets and does not decide.
"""
