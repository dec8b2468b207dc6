"""Revisions of a policy bundle, and which of two is the older one.

A revision is numbers joined by `.` or `-` (`2026.11.24-1`), compared number by number from the
left: only of such names can a gateway tell that a bundle goes back. Does not remember revisions.
"""

import re
from typing import Final

from gateway.core.errors import BundleError

MAX_LENGTH: Final = 64
EXAMPLE: Final = "2026.11.24-1"

_GRAMMAR: Final = re.compile(r"[0-9]{1,18}([.-][0-9]{1,18})*")


def order(revision: str) -> tuple[int, ...]:
    """Return what revisions are compared by; equal for two spellings of one revision.

    `.` and `-` weigh the same, and a number that is missing at the end counts as zero.

    Raises:
        BundleError: it is no revision; the message shows one.
    """
    if len(revision) > MAX_LENGTH or not _GRAMMAR.fullmatch(revision):
        raise BundleError(
            f"`revision` must be numbers of at most 18 digits joined by . or -, like {EXAMPLE}, "
            f"at most {MAX_LENGTH} characters: otherwise nobody can tell which bundle is older"
        )
    numbers = [int(number) for number in re.split("[.-]", revision)]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def is_older(revision: str, than: str) -> bool:
    """Say whether a revision comes before another.

    Raises:
        BundleError: one of them is no revision.
    """
    return order(revision) < order(than)
