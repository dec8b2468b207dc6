"""What every engine is asked within. Does not ask."""

from typing import Final

MAX_DOCUMENT_BYTES: Final = 256 * 1024
"""Largest decision input; a larger one is denied unasked (policy reference §7.1)."""
