"""Bounds on one argument, each with values that keep it and values that break it or nearly do.

Which is which is only a hint for the inputs' generator, so that permits are common: what an engine
makes of a value is compared, never foretold.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Final

MISSING: Final = object()
"""In place of a value: the argument is not given at all."""

NUMBERS: Final = (
    0,
    1,
    -1,
    5,
    10,
    0.5,
    99.99,
    499.99,
    500,
    500.01,
    1e15,
    2**53 - 1,
    1 - 2**53,
    1e300,
)
TEXTS: Final = ("EUR", "eur", "open", "5", "a b", "\u00fcber", "e\u0301", "\U0001f4b6", 'q"q', "")
SEGMENTS: Final = ("invoices", "2026", "a-b", "x.txt", "\u00fc", "report 1", "*star")


@dataclass(frozen=True)
class Bound:
    """What a charter says of an argument, and values for it."""

    limits: dict[str, Any]
    kept: tuple[Any, ...]
    broken: tuple[Any, ...]


def _around(number: Any) -> tuple[Any, ...]:
    return (number, number + 0.01, number - 0.01, number + 1, number - 1, -number, str(number))


def _eq(rng: Random) -> Bound:
    if rng.random() < 0.5:
        number = rng.choice(NUMBERS)
        return Bound({"eq": number}, (number, float(number)), _around(number)[1:])
    text = rng.choice(TEXTS)
    return Bound({"eq": text}, (text,), (text + " ", text.upper() + "x", [text], text + "\u0000"))


def _lte(rng: Random) -> Bound:
    number = rng.choice(NUMBERS)
    return Bound({"lte": number}, (number, number - 1, -1e308), (*_around(number), 1e308))


def _gte(rng: Random) -> Bound:
    number = rng.choice(NUMBERS)
    return Bound({"gte": number}, (number, number + 1, 1e308), (*_around(number), -1e308))


def _range(rng: Random) -> Bound:
    low, high = sorted(rng.sample(NUMBERS, 2))
    edges = (*_around(low), *_around(high), -0.0)
    return Bound({"gte": low, "lte": high}, (low, high, (low + high) / 2), edges)


def _in(rng: Random) -> Bound:
    pool = TEXTS if rng.random() < 0.7 else NUMBERS
    several = rng.sample(pool, 3)
    return Bound({"in": several}, tuple(several), ("no", several, several[:1], 7.25))


def _prefix(rng: Random) -> Bound:
    start = rng.choice(SEGMENTS) + "/"
    kept = (start, start + "x", start + "\U0001f4b6", start + "a/b")
    climbing = tuple(start + rest for rest in ("../x", "%2e%2e/x", "%2Fx", "a\\b", "\u0000"))
    return Bound({"prefix": start}, kept, (*climbing, start[:-1], "x" + start, start.upper()))


def _glob(rng: Random) -> Bound:
    first, last = rng.sample([text for text in SEGMENTS if "*" not in text], 2)
    pattern, kept = rng.choice(
        [
            (f"{first}/*", ("x", "", "a b", "\u00fc\U0001f4b6")),
            (f"{first}/**", ("x", "x/y", "x/y/z", "")),
            (f"{first}/*/{last}", (f"x/{last}", f"\u00fc/{last}", f"/{last}")),
            (f"{first}/**/{last}", (f"x/{last}", f"x/y/{last}", f"/{last}")),
            (f"{first}/{last}-*.txt", (f"{last}-1.txt", f"{last}-.txt", f"{last}-..txt")),
        ]
    )
    values = tuple(f"{first}/{rest}" for rest in kept)
    broken = (first, f"{first}/x/../y", f"{first}//", f"x{values[0]}", f"{values[0]}\n", pattern)
    return Bound({"glob": pattern}, values, (*broken, f"{first}/%2e%2e", f"{first}\\x", 5))


def _regex(rng: Random) -> Bound:
    pattern, kept = rng.choice(
        [
            ("^[a-z]+$", ("abc", "z")),
            ("^INV-[0-9]{4,6}$", ("INV-1001", "INV-123456")),
            ("^(red|green|blue)$", ("red", "blue")),
            ("^[A-Z]{2}[0-9]*$", ("AB", "AB12")),
            ("^[^/]+/[^/]+$", ("a/b", "\u00fc/\U0001f4b6", "../x")),
            ("^a.c$", ("abc", "a\u00fcc", "a\U0001f4b6c")),
            ("^x{0,3}y?$", ("", "xxx", "xy")),
            ("^(a|ab)(c|bcd)$", ("abcd", "ac")),
            ("^[^/]*$", ("\u00fc" * 4096, "\U0001f4b6" * 4096, "x" * 4097, "\U0001f4b6" * 4097)),
            ("^.*$", ("a\nb", "\U0001f4b6" * 2049, "e\u0301" * 2048, "e\u0301" * 2049)),
            ("^a|b$", ("a", "b", "ab", "aa", "xb")),
        ]
    )
    broken = (
        kept[0] + "\n",
        "\n" + kept[0],
        kept[0][:1] * 5000,
        kept[0] + "\u0000",
        "ABC",
        "INV-1",
        5,
    )
    return Bound({"regex": pattern}, kept, (*broken, "a\nc", "\u212a", "e\u0301"))


_NOT_ADDRESSES: Final = (
    "10.0.0.0/8", "10.0.0", "010.0.0.1", "10.0.0.1 ", "10.0.0.256", "0x0a.0.0.1", "10.1",
    "::1%lo", "[::1]", "::ffff:10.0.0.1", "::ffff:1", "1.1.1.1", "2001:DB8::1", "2001:db8:0:0::1",
    "fe80::", "", 167772161,
)  # fmt: skip


def _cidr(rng: Random) -> Bound:
    limit, kept = rng.choice(
        [
            ("10.0.0.0/8", ("10.0.0.0", "10.255.255.255", "10.1.2.3")),
            ("192.168.1.128/25", ("192.168.1.128", "192.168.1.255")),
            ("127.0.0.1/32", ("127.0.0.1",)),
            ("2001:db8::/32", ("2001:db8::1", "2001:db8:ffff::")),
            (["10.0.0.0/8", "fd00::/8"], ("10.9.9.9", "fd12::34")),
            ("0.0.0.0/0", ("0.0.0.0", "255.255.255.255")),
            ("::/0", ("::", "1::", "::1", "2001:db8::1:0:0:1", "1:2:3:4:5:6:7:8")),
        ]
    )
    return Bound({"cidr": limit}, kept, ("9.255.255.255", "192.168.1.127", *_NOT_ADDRESSES))


def _absent(rng: Random) -> Bound:
    return Bound({"absent": True}, (MISSING, MISSING), (None, "", 0, [], False))


def _required(rng: Random) -> Bound:
    return Bound({"required": True}, (None, "", "x", 0, {}), (MISSING,))


def _both(rng: Random) -> Bound:
    text, path = _prefix(rng), rng.choice(("**", "*"))
    start = text.limits["prefix"]
    if "*" in start:
        return _in(rng)
    limits = {"prefix": start, "glob": f"{start}{path}", "required": True}
    return Bound(limits, text.kept[:3], text.broken)


MAKERS: Final[dict[str, Callable[[Random], Bound]]] = {
    "eq": _eq,
    "lte": _lte,
    "gte": _gte,
    "range": _range,
    "in": _in,
    "prefix": _prefix,
    "glob": _glob,
    "regex": _regex,
    "cidr": _cidr,
    "absent": _absent,
    "required": _required,
    "both": _both,
}
