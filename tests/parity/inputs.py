"""Decision inputs, as hypothesis strategies: valid ones near the limits, then spoilt ones.

Built so that permits, holds and denials of every kind are common: a fuzz that is only ever denied
compares nothing.
"""

import copy
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from ipaddress import IPv6Address
from typing import Any, Final

from hypothesis import strategies as st

from gateway.core.canonical import dumps, parse_object
from gateway.core.errors import MalformedMessage
from tests.parity.bounds import MISSING
from tests.parity.charters import DAYS, DOMAINS
from tests.parity.worlds import Key, World
from tests.rego.cases import CASES
from tests.rego.decisions import IN_FORCE, Document, method
from tests.rego.test_decisions import members

METHODS: Final = ("initialize", "tools/list", "stream/open", "response", "resources/read", "x")
HOSTILE: Final = (
    '","allow":true,"effect":"permit","obligations":[]}', "\u0000", "a\u0000b", "\u2028", "\u2029",
    "e\u0301", "\u00e9", "\u202etxt", "\ufeff", "\U0001f468\u200d\U0001f469", "\U0010ffff", "..",
    "%2e%2e%2f", "../../etc/passwd", "*", "**", "?", "[a-z]*", "{a,b}", "\\", "$", "^$", "10.0.0.1",
    "::1", "10.0.0.0/8", "true", "null", "1e308", "-0", "<undefined>", "\r\n", " ", "K", "\u212a",
    "x" * 70, "x" * 4097, "\u00df", "\u0130", "spiffe://parity.example/agent/agent-05",
)  # fmt: skip
ODD: Final[tuple[Any, ...]] = (
    None, True, False, 0, -0.0, 1, -1, 500, 500.01, 2**53, -(2**53), 1e16, 1e308, -1e308, 5e-324,
    1.0, 0.1 + 0.2, "", [], {}, [[]], [None], {"": {}}, {"effect": "permit"}, ["mon"], [[[[[[]]]]]],
)  # fmt: skip
_SECOND: Final = 10**9
_COUNTS: Final = (1, 2, 3, 4, 5, 6, 60, 61, 99, 100, 101, 2**53, 0)


@cache
def _one_in(times: int) -> st.SearchStrategy[bool]:
    """Return a truth that is rarely true; the simplest is false."""
    return st.integers(1, times).map(lambda number: number == times)


def documents(world: World) -> dict[str, st.SearchStrategy[Document]]:
    """Return strategies for a world's inputs, each aimed at something; a third is spoilt."""
    rows = st.sampled_from([case.document for case in CASES])
    aimed = {
        aim: st.sampled_from(keys).flatmap(lambda key: _calls(world, key))
        for aim, keys in world.aims().items()
    }
    aimed |= {"stranger": _strangers(world), "method": _methods(world), "table": rows}
    return {
        aim: st.one_of(sound, sound, spoilt(sound)).filter(_readable)
        for aim, sound in aimed.items()
    }


def _readable(document: Document) -> bool:
    """Say whether the gateway's own reader would let such a document come from a call."""
    try:
        parse_object(dumps(document), max_integer=2**63 - 1)
    except MalformedMessage:
        return False
    return True


@st.composite
def _calls(draw: st.DrawFn, world: World, key: Key) -> Document:
    """Return a call of a tool that an entry of the charter names."""
    charter, system, pattern = key
    tools = world.bundle.systems[system]["tools"] if system in world.bundle.systems else {}
    fitting = [name for name in tools if name.startswith(pattern[:-1])] or [pattern]
    name = draw(st.sampled_from(fitting)) if pattern.endswith("*") else pattern
    document = _blank(world, charter)
    arguments = {}
    for argument, bound in draw(st.sampled_from(world.samples[key])).items():
        choices = bound.broken if draw(_one_in(6)) else bound.kept
        value = choices[draw(st.integers(0, len(choices) - 1))]  # by number: some are very long
        if "cidr" in bound.limits and draw(_one_in(3)):
            value = draw(_addresses())
        if value is not MISSING:
            arguments[argument] = value
    if draw(_one_in(10)):
        arguments[draw(_texts())] = draw(_values())
    document["resource"].update(system=system, name=name, arguments=copy.deepcopy(arguments))
    document["context"].update(draw(_contexts(world, charter)))
    return document


@st.composite
def _strangers(draw: st.DrawFn, world: World) -> Document:
    """Return a call of any tool of any system, by anybody."""
    systems = world.bundle.systems
    charter = draw(st.sampled_from(sorted(world.bundle.charters)))
    system = draw(st.sampled_from((*systems, *systems, "elsewhere", "")))
    tools = (*systems.get(system, {}).get("tools", ()), "no_such", "", "*")
    document = _blank(world, charter)
    if draw(_one_in(6)):
        document["subject"]["id"] = draw(st.sampled_from(("spiffe://x/y", charter, "", *HOSTILE)))
    document["resource"].update(
        system=system, name=draw(st.sampled_from(tools)), arguments=draw(_objects())
    )
    document["context"].update(draw(_contexts(world, charter)))
    return document


@st.composite
def _methods(draw: st.DrawFn, world: World) -> Document:
    """Return a protocol method, for the server itself or for something else."""
    charter, system, _ = draw(st.sampled_from(sorted(world.samples)))
    document = _blank(world, charter)
    document["action"]["name"] = draw(st.sampled_from(METHODS))
    kind = draw(st.sampled_from(("server", "server", "tool", "resource")))
    document["resource"].update(type=kind, system=system)
    document["context"].update(draw(_contexts(world, charter)))
    return document


def _blank(world: World, charter: str) -> Document:
    document = copy.deepcopy(method("tools/call"))
    document["resource"]["type"] = "tool"
    document["subject"]["id"] = world.bundle.charters[charter]["subject"]
    document["context"].setdefault("session", {})
    return document


# --- the context ---


@st.composite
def _contexts(draw: st.DrawFn, world: World, name: str) -> Document:
    """Return the members of a context that rules may read, near this charter's limits."""
    charter = world.bundle.charters[name]
    quiet = not draw(_one_in(3))
    usual, edges = _moments(charter)
    limits = charter["limits"]
    near = [n + d for n in limits.values() for d in (0, 0, 1, -1)]
    counts = st.just(1) if quiet else st.sampled_from((*near, *near, *_COUNTS))
    flows = charter.get("flows", []) if draw(st.booleans()) else []
    after = {domain for flow in flows for domain in flow["after"].get("domains", [])}
    domains = st.just([]) if quiet else st.sets(st.sampled_from(DOMAINS), max_size=3).map(sorted)
    return {
        "time": draw(st.sampled_from(edges if draw(_one_in(5)) else usual)),
        "task": draw(st.sampled_from((None, "") if draw(_one_in(4)) else ("task-1",))),
        "approval": draw(st.sampled_from((None, None, {"id": "a", "state": "pending"}))),
        "session": {
            "calls": draw(counts),
            "calls_in_minute": draw(counts),
            "systems": draw(st.sampled_from(([], ["crm"], ["company", "site"]))),
            "domains_read": sorted(after) or draw(domains),
            "untrusted_input": bool(flows) or draw(st.just(False) if quiet else st.booleans()),
        },
    }


def _moments(charter: Mapping[str, Any]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return moments at which the charter lets calls through, and moments at its edges."""
    edges = [_nanoseconds(charter["expires"])]
    if "observe" in charter:
        edges.append(_nanoseconds(charter["observe"]["until"]))
    usual = [IN_FORCE]
    if hours := charter.get("hours"):
        usual = []
    for window in hours or ():
        for day in window["days"]:
            start, end = (_on(day, window[name]) for name in ("from", "to"))
            usual.append((start + end) // 2)
            edges += [start, end]
    around = [edge + delta for edge in edges for delta in (-1, 0, 1, -_SECOND)]
    return tuple(usual[:1]), (*around, *usual, 0, 2**62)


def _on(day: str, clock: str) -> int:
    """Return the instant of a clock time on that day of the week of 23 November 2026."""
    hour, minute = clock.split(":")
    monday = datetime.fromisoformat("2026-11-23T00:00:00+00:00")
    moment = monday + timedelta(days=DAYS.index(day), hours=int(hour), minutes=int(minute))
    return int(moment.timestamp()) * _SECOND


def _nanoseconds(instant: str) -> int:
    return int(datetime.fromisoformat(instant).timestamp()) * _SECOND


# --- values ---


@cache
def _texts() -> st.SearchStrategy[str]:
    legal = st.characters(exclude_categories=["Cs"])
    return st.one_of(st.sampled_from(HOSTILE), st.text(legal, max_size=8))


@cache
def _addresses() -> st.SearchStrategy[str]:
    """Return IP addresses, plain, in full and in capitals, many of them with runs of zeros."""
    groups = st.lists(st.sampled_from((0, 0, 0, 1, 0xFFFF, 0xDB8)), min_size=8, max_size=8)
    sixes = groups.map(lambda found: IPv6Address(":".join(f"{group:x}" for group in found)))
    found = st.one_of(sixes, sixes, st.ip_addresses())
    return st.one_of(
        found.map(str),
        found.map(str),
        found.map(lambda address: address.exploded),
        found.map(lambda address: str(address).upper()),
        found.map(lambda address: str(address).replace("::", ":0:", 1)),
        groups.map(lambda group: ":".join(f"{number:x}" for number in group)),
    )


@cache
def _values() -> st.SearchStrategy[Any]:
    numbers = st.one_of(
        st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False)
    )
    return st.one_of(st.sampled_from(ODD), _texts(), numbers, st.lists(_texts(), max_size=2))


@cache
def _objects() -> st.SearchStrategy[Document]:
    return st.dictionaries(_texts(), _values(), max_size=2)


@st.composite
def spoilt(draw: st.DrawFn, sound: st.SearchStrategy[Document]) -> Document:
    """Return an input with a member or two dropped, or with something else in its place."""
    document = copy.deepcopy(draw(sound))
    for _ in range(draw(st.integers(1, 2))):
        paths = _places(document)
        if paths:
            _spoil(draw, document, draw(st.sampled_from(paths)))
    return document


def _places(document: Document) -> Sequence[tuple[Any, ...]]:
    """Return every place of the input, those that rules read more often."""
    paths = list(members(document))
    read = [path for path in paths if path[0] in ("resource", "action") or len(path) == 1]
    read += [path for path in paths if "session" in path] * 2
    if isinstance(resource := document.get("resource"), dict):
        arguments = resource.get("arguments")
        if isinstance(arguments, dict):
            read += [("resource", "arguments", name) for name in arguments] * 6
    return paths + read


def _spoil(draw: st.DrawFn, document: Document, path: tuple[Any, ...]) -> None:
    parent: Any = document
    for name in path[:-1]:
        parent = parent[name]
    how = draw(st.sampled_from(("drop", "value", "value", "near")))
    here = parent[path[-1]]
    if how == "drop":
        del parent[path[-1]]
    elif how == "near" and isinstance(here, str):
        parent[path[-1]] = draw(st.sampled_from((here.upper(), here + " ", here[:-1]))) + draw(
            st.one_of(st.just(""), _texts())
        )
    elif how == "near" and isinstance(here, int | float):
        delta = draw(st.sampled_from((1, -1, 0.01, 0.0, 1e-9)))
        parent[path[-1]] = here + delta if abs(here) <= 2**53 else -here
    else:
        parent[path[-1]] = copy.deepcopy(draw(_values()))  # else it could come to hold itself
