"""Regular expressions, globs and networks that mean the same to every engine.

RE2 (OPA), Rust's regex (the embedded engine) and their glob libraries differ at the edges, and an
edge is where a bound is lost. Only the part on which they agree passes: this file reads each text
once, in time linear in its length, and says in words what keeps it from passing.
Syntax of RE2: https://github.com/google/re2/wiki/Syntax. Does not match anything.
"""

import ipaddress
import re
from typing import Any, Final

MAX_LENGTH: Final = 1000
"""Longest regular expression or glob, in characters."""
MAX_REPEAT: Final = 1000
"""RE2's limit, for one repeat and for the product of repeats that stand in each other."""
MAX_SIZE: Final = 2000
"""Largest program that an expression may become, in the costs below. The embedded engine compiles
a fifth more than that; and as no part costs less than 2, repeats in each other stay within 1000."""
MAX_NESTING: Final = 20
MAX_WILDCARDS: Final = 30
"""Most `*` and `**` in a glob: each becomes a part that costs as much as a dot."""

_ESCAPED: Final = frozenset(r"\.+*?()|[]{}^$-/")
_SPECIAL: Final = frozenset("*+?{}[]()|^$")
_REPEAT: Final = re.compile(r"\{(0|[1-9][0-9]{0,3})(,(0|[1-9][0-9]{0,3})?)?\}")
_NOT_IN_GLOBS: Final = "?[]{}\\"

# What a part costs in the embedded engine's program. A dot or a negated class stands for the
# whole of Unicode, which UTF-8 spells in many ways.
_LITERAL, _CLASS, _RANGE, _ANY, _GROUP, _BRANCH, _LOOP = 2, 2, 1, 24, 3, 3, 3


class _Unportable(ValueError):
    """What is wrong, to be continued after "the expression"."""


def regex_objection(pattern: str) -> str | None:
    """Say what keeps a regular expression from meaning the same everywhere; None if nothing does.

    An expression begins with `^` and ends with `$`. Between them stand printable ASCII characters,
    classes (`[a-z]`, `[^/]`), groups, alternatives in a group, and the repeats `* + ? {n} {n,}
    {n,m}`; a backslash makes a sign plain and does nothing else.
    """
    if len(pattern) > MAX_LENGTH:
        return f"is longer than {MAX_LENGTH} characters"
    if not (pattern.isascii() and pattern.isprintable()):
        return "has a character that is not printable ASCII"
    if not is_anchored(pattern):
        return "must begin with ^ and end with $"
    try:
        _Expression(pattern[1:-1]).read()
    except _Unportable as exc:
        return str(exc)
    return None


def is_anchored(pattern: str) -> bool:
    """Say whether an expression begins with `^` and ends with a `$` that is not made plain."""
    body = pattern[1:-1]
    escapes = len(body) - len(body.rstrip("\\"))
    return len(pattern) > 1 and pattern[0] == "^" and pattern[-1] == "$" and escapes % 2 == 0


def glob_objection(pattern: str) -> str | None:
    """Say what keeps a glob from meaning the same everywhere; None if nothing does.

    `*` stands for any run of characters but `/`, `**` for any run of characters; the rules make a
    regular expression of it, as the globs of the engines differ.
    """
    if not 0 < len(pattern) <= MAX_LENGTH:
        return f"must have 1 to {MAX_LENGTH} characters"
    if signs := [sign for sign in _NOT_IN_GLOBS if sign in pattern]:
        return f"has {' '.join(signs)}; only * and ** have a meaning"
    if "***" in pattern:
        return "has more than two * in a row; write ** for any run of characters"
    if pattern.count("*") - pattern.count("**") > MAX_WILDCARDS:
        return f"has more than {MAX_WILDCARDS} wildcards"
    return None


def cidr_objection(network: Any) -> str | None:
    """Say what keeps this from being a network (RFC 4632, RFC 4291); None if nothing does."""
    if not isinstance(network, str) or "/" not in network or "%" in network:
        return "must be a network such as 10.0.0.0/8 or 2001:db8::/32"
    try:
        strict = ipaddress.ip_network(network, strict=False)
    except ValueError:
        return "must be a network such as 10.0.0.0/8 or 2001:db8::/32"
    if isinstance(strict, ipaddress.IPv6Network) and strict.network_address.ipv4_mapped:
        return "must say IPv4 addresses as IPv4"
    if str(strict) != network:
        return f"must be written as {strict}"
    return None


class _Expression:
    """What stands between the anchors of one expression, read from the left to the right."""

    def __init__(self, body: str) -> None:
        self._body = body
        self._at = 0

    def read(self) -> None:
        """Read it whole.

        Raises:
            _Unportable: at the first part that is not of the subset.
        """
        if self._body and self._peek() not in ("|", ")"):
            self._branch(depth=0)
        if self._peek() == "|":
            raise _Unportable("has alternatives outside a group, which ^ and $ do not hold")
        if self._peek() == ")":
            raise _Unportable("closes a group that was not opened")

    def _peek(self) -> str:
        return self._body[self._at : self._at + 1]

    def _next(self) -> str:
        self._at += 1
        return self._body[self._at - 1]

    def _branch(self, depth: int) -> int:
        """Read parts up to `|`, `)` or the end; return their cost."""
        cost, begun = 0, self._at
        while self._peek() not in ("", "|", ")"):
            cost = _affordable(cost + self._repeated(self._atom(depth)))
        if self._at == begun:
            raise _Unportable("has a group or an alternative that is empty")
        return cost

    def _atom(self, depth: int) -> int:
        sign = self._next()
        if sign == "(":
            return self._group(depth + 1)
        if sign == "[":
            return self._class()
        if sign == ".":
            return _ANY
        if sign == "\\":
            self._escaped()
        elif sign in "^$":
            raise _Unportable(f"has {sign} in the middle; make it plain with \\{sign}")
        elif sign in _SPECIAL:
            raise _Unportable(f"has {sign} where it has no meaning; make it plain with \\{sign}")
        return _LITERAL

    def _escaped(self) -> str:
        sign = self._next() if self._peek() else ""
        if sign not in _ESCAPED or not sign:
            raise _Unportable(f"has \\{sign}, which engines read differently; write a class")
        return sign

    def _group(self, depth: int) -> int:
        if self._peek() == "?":
            raise _Unportable("has (?, which is not the same in every engine; use plain groups")
        if depth > MAX_NESTING:
            raise _Unportable(f"has groups more than {MAX_NESTING} deep")
        cost = _GROUP + self._branch(depth)
        while self._peek() == "|":
            self._at += 1
            cost += _BRANCH + self._branch(depth)
        if not self._peek():
            raise _Unportable("has a group that is not closed")
        self._at += 1
        return cost

    def _class(self) -> int:
        negated = self._peek() == "^"
        self._at += negated
        begun, ranges = self._at, 0
        while (sign := self._peek()) != "]":
            if not sign:
                raise _Unportable("has a class that is not closed")
            self._range(first=self._at == begun)
            ranges += 1
        if not ranges:
            raise _Unportable("has an empty class; write ] in a class as \\]")
        self._at += 1
        return (_ANY if negated else _CLASS) + ranges * _RANGE

    def _range(self, *, first: bool) -> None:
        low = self._member(first=first)
        rest = self._body[self._at : self._at + 2]
        if len(rest) == 2 and rest[0] == "-" and rest[1] != "]":
            self._at += 1
            if rest[1] == "-":
                raise _Unportable("has -- in a class, which some engines compute with")
            if self._member(first=False) < low:
                raise _Unportable("has a range in a class whose end comes before its beginning")

    def _member(self, *, first: bool) -> str:
        sign = self._next()
        if sign == "\\":
            return self._escaped()
        if sign == "[":
            raise _Unportable("has [ in a class; make it plain with \\[")
        if sign == "-" and not first and self._peek() != "]":
            raise _Unportable("has - in the middle of a class; make it plain with \\-")
        if sign in "&-~" and self._peek() == sign:
            raise _Unportable(f"has {sign}{sign} in a class, which some engines compute with")
        return sign

    def _repeated(self, cost: int) -> int:
        """Read the repeat after a part of this cost, if there is one; return the whole cost."""
        sign = self._peek()
        if sign in ("*", "+", "?") and sign:
            self._at += 1
            cost += _LOOP
        elif sign == "{":
            cost = self._counted(cost)
        else:
            return cost
        if self._peek() in ("*", "+", "?", "{") and self._peek():
            raise _Unportable("has a repeat after a repeat; put the first into a group")
        return cost

    def _counted(self, cost: int) -> int:
        found = _REPEAT.match(self._body, self._at)
        if not found:
            raise _Unportable("has { that begins no repeat such as {2,5}; make it plain with \\{")
        self._at = found.end()
        low, open_ended = int(found[1]), found[2] == ","
        high = int(found[3]) if found[3] else max(low, int(open_ended))
        if not max(low, 1) <= high <= MAX_REPEAT:
            raise _Unportable(f"has a repeat that is backwards or not within 1 to {MAX_REPEAT}")
        return low * cost + (high - low) * (cost + _LOOP) + (cost + _LOOP if open_ended else 0)


def _affordable(cost: int) -> int:
    if cost > MAX_SIZE:
        raise _Unportable("repeats too much; shorten its repeats, above all those of . and [^ ]")
    return cost
