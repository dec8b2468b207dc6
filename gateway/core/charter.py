"""What a charter and a systems catalogue must say before anything is decided on them.

A charter is complete only when every member is said and every high-impact tool it can reach has
an approver; each thing that lacks is one `Fault`, and a charter with faults denies everything.
The patterns and operators are those of the bundle's rules (`rego/bailiwick/`).
Does not decide a call. Faults do not know the time, warnings do: an expired charter is not faulty.
"""

from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

from gateway.core.charter_reach import reach_faults
from gateway.core.charter_shape import shape_faults
from gateway.core.charter_warnings import EXPIRED, reach_warnings, time_warnings
from gateway.core.fault import Fault
from gateway.core.reach import covers
from gateway.core.system_shape import system_shape_faults

__all__ = ["EXPIRED", "Fault", "covers", "faults", "system_faults", "warnings"]

MAX_FAULTS: Final = 100
"""Most faults told of one document: each repeats its path, so a short file could fill memory."""


def faults(charter: Mapping[str, Any], systems: Mapping[str, Mapping[str, Any]]) -> list[Fault]:
    """Return what keeps a charter from being complete, at most MAX_FAULTS; empty when it is.

    Args:
        charter: the charter as read from its file.
        systems: the catalogue, by system name, itself without faults.
    """
    found = list(islice(shape_faults(charter), MAX_FAULTS))
    if len(found) == MAX_FAULTS:
        return found  # which other members are broken, nobody knows
    reached = reach_faults(charter, systems, _broken(found))
    return [*found, *islice(reached, MAX_FAULTS - len(found))]


def system_faults(system: Mapping[str, Any]) -> list[Fault]:
    """Return what is wrong with one system, at most MAX_FAULTS; empty when it is sound."""
    return list(islice(system_shape_faults(system), MAX_FAULTS))


def warnings(
    charter: Mapping[str, Any], systems: Mapping[str, Mapping[str, Any]], now_ns: int
) -> list[Fault]:
    """Return what somebody should look at, though it is no fault.

    One of the code `expired` means that the charter denies everything. Of a charter with faults
    only those are found that the faults do not hide.

    Args:
        charter: the charter as read from its file.
        systems: the catalogue, by system name, itself without faults.
        now_ns: nanoseconds since the Unix epoch.
    """
    found = faults(charter, systems)
    told: list[Fault] = []
    if not _broken(found) & {"", "expires", "observe"}:
        told += time_warnings(charter, now_ns)
    if not found:
        told += reach_warnings(charter, systems)
    return told


def _broken(found: list[Fault]) -> set[str]:
    """Return the members of the document that hold a fault; "" stands for the whole."""
    return {fault.path[0] if fault.path else "" for fault in found}
