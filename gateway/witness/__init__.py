"""A witness: remembers the newest checkpoint of each log it knows, and cosigns what follows it.

It runs on another host, for somebody else than the log's owner, and speaks
https://c2sp.org/tlog-witness; it holds no records.
"""
