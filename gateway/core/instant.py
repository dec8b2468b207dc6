"""Instants as text: RFC 3339 in UTC, always with six digits of a second.

The same nanoseconds give the same text on every machine, so a time in a record compares and sorts
as text. RFC 3339 §5.6, https://www.rfc-editor.org/rfc/rfc3339#section-5.6. Does not read the time.
"""

from datetime import UTC, datetime


def iso(ns: int) -> str:
    """Return nanoseconds since the Unix epoch as `2026-11-24T09:00:00.000000Z`.

    What is finer than a microsecond is cut off, never rounded up into the future.

    Raises:
        ValueError, OverflowError: the instant lies outside the years 1 to 9999.
    """
    seconds, rest = divmod(ns, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1000)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
