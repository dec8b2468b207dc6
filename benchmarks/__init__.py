"""Measurements anyone can repeat: `make bench`. Ratios from one run, never single figures."""
