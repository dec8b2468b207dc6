"""What a person may want to consider when classifying an offer: words that only raise risk.

Every hint and every word of a name can add to a suggestion, none takes anything away: a server that
says `readOnlyHint` of everything gets the same suggestions as one that says nothing. A read is
suggested only for an HTTP method that is safe by its definition (RFC 9110 §9.2.1), and never beside
something riskier. Does not classify: a draft leaves every tool unclassified, and so denied.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.policy.offer import Offer

_RISK: Final = ("escalate", "execute", "delete", "write", "read")
"""Effects, the riskiest first."""
_IMPACTS: Final = ("payment", "access", "deployment", "deletion")
_FLAGS: Final = ("outward", "untrusted")
"""Members of a tool in the catalogue that say where its data goes and comes from."""
_METHODS: Final[Mapping[str, str]] = {"GET": "read", "HEAD": "read", "DELETE": "delete"}
"""Any other method suggests a write."""
_HINTED: Final[Mapping[str, tuple[str, ...]]] = {
    "destructiveHint": ("delete", "write"),
    "openWorldHint": ("outward", "untrusted"),
}
"""What a hint that is true adds; false adds nothing, like a hint that is not there."""
_NAMED: Final[Mapping[tuple[str, ...], str]] = {
    ("delete", "deletion"): "clear del delete destroy drop erase prune purge remove reset rm "
    "truncate uninstall unlink wipe",
    (
        "write",
        "payment",
    ): "bill buy charge checkout debit order pay payment payments payout payouts "
    "purchase refund remit settle transfer wire withdraw",
    ("execute", "deployment"): "deploy deployment promote provision publish release restart "
    "rollback rollout scale",
    ("escalate", "access"): "acl admin assign credential credentials elevate grant grants "
    "impersonate invite key keys passwd password permission permissions permit policies policy "
    "privilege privileges revoke role roles secret secrets share sudo token tokens",
    ("execute",): "bash call command eval exec execute invoke job python query run script shell "
    "sql start stop trigger",
    ("write",): "add append approve cancel close commit create disable edit enable import insert "
    "merge move open patch put rename replace save set store submit sync update upload upsert "
    "write",
    ("write", "outward"): "comment email export mail message notify post push reply send sms tweet "
    "webhook",
    ("outward", "untrusted"): "browse crawl download fetch http https scrape url web website",
    ("untrusted",): "email emails inbox issue issues mail message messages search ticket tickets",
}
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Effects, impacts and flags to consider; the riskiest effect first, each may be empty."""

    effects: tuple[str, ...] = ()
    impacts: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()

    def text(self) -> str:
        """Return it in a few words, empty if there is nothing to suggest."""
        parts = (
            " or ".join(self.effects),
            f"impacts {', '.join(self.impacts)}" if self.impacts else "",
            ", ".join(f"{flag}?" for flag in self.flags),
        )
        return "; ".join(filter(None, parts))

    def as_fields(self) -> dict[str, Any]:
        """Return it as JSON members."""
        return {"effects": self.effects, "impacts": self.impacts, "flags": self.flags}


def suggestion(offer: Offer) -> Suggestion:
    """Return what an offer makes one think of."""
    words = set(_words(offer))
    effects = tuple(effect for effect in _RISK if effect in words)
    if len(effects) > 1:
        effects = tuple(effect for effect in effects if effect != "read")
    return Suggestion(
        effects,
        tuple(impact for impact in _IMPACTS if impact in words),
        tuple(flag for flag in _FLAGS if flag in words),
    )


def understates(effect: Any, offer: Offer) -> bool:
    """Say whether the catalogue calls a read what the server itself calls destructive."""
    return effect == "read" and offer.hints.get("destructiveHint") is True


def _words(offer: Offer) -> Iterable[str]:
    for hint, words in _HINTED.items():
        if offer.hints.get(hint) is True:
            yield from words
    method, _, path = (offer.operation or "").partition(" ")
    said = {word.lower() for word in _WORD.findall(f"{offer.name} {path}")}
    for words, names in _NAMED.items():
        if said & set(names.split()):
            yield from words
    if method:
        yield _METHODS.get(method, "write")
