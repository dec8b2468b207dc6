"""What Bailiwick knows without looking: values, formats and rules of the evidence and the decision.

Everything here is pure: no I/O, no clock, no randomness, no logging, so that an auditor can run it
on another machine and get the same answer. Does not know any adapter, protocol or setting.
"""
