"""The policy bundle, and the engines that decide on it.

An engine answers one document with one decision (`gateway.ports.DecisionPoint`); whatever goes
wrong on the way there is a denied call. Does not know tokens, sockets of agents, or evidence.
"""
