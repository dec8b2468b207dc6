"""Call ids: UUID version 7 (RFC 9562 §5.7), so that they sort by time.

Pure: the caller passes the time and the randomness. Does not promise order within a millisecond.
"""

from typing import Final
from uuid import UUID

ENTROPY_BYTES: Final = 10


def uuid7(now_ns: int, entropy: bytes) -> str:
    """Return a UUIDv7 for this instant, made unguessable by `entropy` (10 random bytes)."""
    milliseconds = (now_ns // 1_000_000) & (2**48 - 1)
    value = (milliseconds << 80) | int.from_bytes(entropy[:ENTROPY_BYTES], "big")
    # Version in bits 48-51, variant in bits 64-65.
    value = value & ~(0xF << 76) | (0x7 << 76)
    value = value & ~(0x3 << 62) | (0x2 << 62)
    return str(UUID(int=value))
