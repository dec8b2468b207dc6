"""A small company to try the gateway on: what an agent may touch, with sample data.

Everything here listens on loopback only and keeps its data in memory.
No other room imports this one, and it is not part of what protects anything.
"""
