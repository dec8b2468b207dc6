"""Where callers are seen: one account in many places, one credential in two (OWASP NHI9).

A workload runs in few places, and a token or a certificate of its own is used in one. More networks
than settings allow within the window are `shared_account`; two for one token or certificate are
`two_networks`. Flags say what is seen now: once the window has passed without it, they fall away.

Networks are compared, not addresses: a host changes its address within its network by itself. For
IPv6 that network is the /64 (RFC 4291 §2.5.4; RFC 8981 addresses vary within it), for IPv4 the /24,
the smallest block that is routed on its own and what a site or a NAT pool usually has. Loopback is
one network; an IPv4-mapped address is the IPv4 address; what is no address names itself (a socket).

Memory is bounded: subjects, credentials of a subject, networks of either. One subject cannot push
another's out except by being many. Does not refuse anybody: policy reads the flags.
"""

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from gateway.core.claims import Claims, Flag
from gateway.ports import Clock
from gateway.settings import Identity

MAX_SUBJECTS: Final = 10_000
MAX_CREDENTIALS: Final = 32
"""Tokens and certificates of one subject that are watched at once; the latest ones."""

_FORGOTTEN_AT_ONCE: Final = 2
"""More than come at once, so that what is old goes; few, so that no call pays for a flood."""


class _Networks:
    """The networks seen last, with the time of each; the one seen longest ago comes first."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def more_than(self, allowed: int, network: str, now: int, oldest: int) -> bool:
        """Add a network; say whether more than `allowed` were seen since `oldest`.

        Only one more than allowed is kept: the answer hangs on the one seen longest ago of these.
        """
        last = self._last
        last.pop(network, None)
        last[network] = now
        if len(last) > allowed + 1:
            del last[next(iter(last))]
        return len(last) > allowed and next(iter(last.values())) >= oldest


@dataclass(slots=True)
class _Subject:
    networks: _Networks = field(default_factory=_Networks)
    credentials: dict[str, _Networks] = field(default_factory=dict)
    """By digest; the one seen longest ago comes first."""
    last: int = 0
    """When it was seen."""


class Sightings:
    """Who was seen where lately. Owned by its authenticator; nothing here waits.

    A subject is told apart by issuer, name and instance: replicas of a workload may run anywhere if
    the issuer says which is which. Without instances, all replicas are one subject.

    Args:
        settings: the window, and from how many networks a subject may come within it.
        clock: the time.
    """

    def __init__(self, settings: Identity, clock: Clock) -> None:
        self._window_ns = round(settings.window_seconds * 1_000_000_000)
        self._allowed = settings.sources_per_subject
        self._clock = clock
        self._subjects: OrderedDict[tuple[str, str, str | None], _Subject] = OrderedDict()

    def seen(self, claims: Claims, source: str) -> tuple[Flag, ...]:
        """Note that a verified caller was seen, and return what looks wrong about it now.

        Args:
            claims: who it is; token and certificate are watched by their digests.
            source: address of the peer, or another name for where the request came from.
        """
        network, now = network_of(source), self._clock.monotonic_ns()
        oldest = now - self._window_ns
        subject = self._subject(claims, oldest)
        subject.last = now
        flags: list[Flag] = []
        if subject.networks.more_than(self._allowed, network, now, oldest):
            flags.append("shared_account")
        digests = [claims.token_digest] if claims.token_digest else []
        if claims.certificate:
            digests.append(claims.certificate.digest)
        # A list, since both have to be noted whatever the first one says.
        twice = [
            _credential(subject, digest).more_than(1, network, now, oldest) for digest in digests
        ]
        if any(twice):
            flags.append("two_networks")
        return tuple(flags)

    def _subject(self, claims: Claims, oldest: int) -> _Subject:
        key = (claims.issuer, claims.subject, claims.instance)
        subject = self._subjects.get(key)
        if subject is None:
            self._forget(oldest)
            subject = self._subjects[key] = _Subject()
        else:
            self._subjects.move_to_end(key)
        return subject

    def _forget(self, oldest: int) -> None:
        """Make room for one subject; forget a few that were not seen within the window."""
        if len(self._subjects) >= MAX_SUBJECTS:
            self._subjects.popitem(last=False)
        for _ in range(_FORGOTTEN_AT_ONCE):
            if self._subjects and next(iter(self._subjects.values())).last < oldest:
                self._subjects.popitem(last=False)

    def __len__(self) -> int:
        """Return how many subjects are remembered."""
        return len(self._subjects)


def _credential(subject: _Subject, digest: str) -> _Networks:
    known = subject.credentials
    networks = known.pop(digest, None) or _Networks()
    known[digest] = networks
    if len(known) > MAX_CREDENTIALS:
        del known[next(iter(known))]
    return networks


@lru_cache(maxsize=4096)
def network_of(source: str) -> str:
    """Return the network that an address is in; what is no IP address is one by itself."""
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return source
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if address.is_loopback:
        return "loopback"
    prefix = 24 if address.version == 4 else 64
    return str(ipaddress.ip_network((address, prefix), strict=False))
