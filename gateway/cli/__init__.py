"""The command line's room: one file a command group; `main` puts them together.

Commands print and exit; what they do is one call into a room below.
"""
