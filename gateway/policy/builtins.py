"""What Rego in a bundle may do, above all which functions it may call: those that answer alike.

A rule that reads a clock, a network, chance or the process it runs in gives decisions that nobody
can make again; one whose function only one engine has decides differently in the other. So there is
a list of what may be called, and everything else is refused.
Does not check types or arguments (`opa check` does).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from gateway.policy.references import strange_references
from gateway.policy.rego import Source, Tree
from gateway.policy.speech import SETS, is_spoken, misplaced, reaching_in, sets

ALLOWED: Final = frozenset(
    """
    abs array.concat array.reverse array.slice base64.decode base64.encode base64.is_valid
    base64url.decode base64url.encode base64url.encode_no_pad bits.and bits.lsh bits.negate bits.or
    bits.rsh bits.xor ceil concat contains count endswith floor format_int
    glob.quote_meta graph.reachable hex.decode hex.encode indexof indexof_n intersection is_array
    is_boolean is_null is_number is_object is_set is_string json.filter json.is_valid json.marshal
    json.patch json.remove json.unmarshal lower max min net.cidr_contains net.cidr_is_valid
    numbers.range numbers.range_step object.filter object.get object.keys object.remove
    object.subset object.union object.union_n product regex.find_n regex.is_valid regex.match
    regex.replace regex.split replace round semver.compare semver.is_valid sort split sprintf
    startswith strings.any_prefix_match strings.any_suffix_match strings.replace_n
    strings.reverse substring sum time.add_date time.clock time.date time.diff
    time.parse_duration_ns time.parse_rfc3339_ns time.weekday to_number trim trim_left trim_prefix
    trim_right trim_space trim_suffix type_name union units.parse units.parse_bytes upper
    urlquery.decode urlquery.encode walk
    """.split()
)
"""Measured to exist in regorus and in OPA."""

ONLY_IN_TESTS: Final = frozenset({"print", "trace"})
ONLY_IN_SYSTEM: Final = frozenset({"opa.runtime"})
"""A sidecar takes the secret of its caller from its own environment."""

_OTHERS: Final = frozenset(
    """
    all and any assign cast_array cast_boolean cast_null cast_object cast_set cast_string crypto div
    eq equal graphql gt gte http internal io lt lte minus mul neq opa or plus providers rand
    re_match rego rem set_diff uri uuid yaml
    """.split()
)
RESERVED: Final = _OTHERS | {
    name.partition(".")[0] for name in ALLOWED | ONLY_IN_TESTS | ONLY_IN_SYSTEM
}
"""First parts of the names of OPA's builtins: engines differ on whose name a rule's would be."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that Rego in a bundle may not do."""

    path: str
    line: int
    sentence: str

    def __str__(self) -> str:
        """Return the finding as one line that names its place."""
        return f"{self.path}:{self.line}: {self.sentence}"


def findings(parsed: Iterable[tuple[Source, Tree]]) -> tuple[Finding, ...]:
    """Return what these files may not do, in order of path and line.

    Args:
        parsed: files with their syntax trees.
    """
    parsed = tuple(parsed)
    names: dict[tuple[str, ...], set[str]] = {}
    for source, tree in parsed:
        names.setdefault(source.package, set()).update(name for name, _ in defined(tree))
    found = {
        finding
        for source, tree in parsed
        for finding in (*_reading(source, tree), *_in_file(source, tree, names[source.package]))
    }
    found.update(_speaking(parsed))
    return tuple(sorted(found, key=lambda one: (one.path, one.line, one.sentence)))


def _reading(source: Source, tree: Tree) -> Iterator[Finding]:
    for name, line in strange_references(tree) if source.is_rule else ():
        sentence = f"may not read {name}, which is not the same in every engine"
        yield Finding(source.path, line, sentence)


def _speaking(parsed: Iterable[tuple[Source, Tree]]) -> Iterator[Finding]:
    """Return where a rule would be passed over by the decision."""
    silent: dict[tuple[str, ...], Source] = {}
    speaking: set[tuple[str, ...]] = set()
    misplacement = "rules belong into a package bailiwick.rules.NAME"
    for source, tree in parsed:
        for line in reaching_in(source, tree):
            yield Finding(source.path, line, misplacement)
        if not is_spoken(source):
            continue
        if misplaced(source):
            yield Finding(source.path, 1, misplacement)
        silent.setdefault(source.package, source)
        for name, line, is_set in sets(tree):
            speaking.add(source.package)
            if not is_set:
                sentence = f"`{name}` is a set of codes here; write `{name} contains CODE if …`"
                yield Finding(source.path, line, sentence)
    for package, source in silent.items():
        if package not in speaking:
            yield Finding(source.path, 1, f"nothing here is one of {', '.join(SETS)}")


def _in_file(source: Source, tree: Tree, of_package: set[str]) -> Iterator[Finding]:
    imported = dict(_imported(source, tree))
    names = [*defined(tree), *imported.items()]
    for name, line in names:
        if name in RESERVED:
            yield Finding(source.path, line, f"`{name}` is the name of a builtin; choose another")
    own = (of_package | imported.keys() | {"data"}) - RESERVED
    may = ALLOWED
    if source.is_test:
        may |= ONLY_IN_TESTS
    if source.is_system:
        may |= ONLY_IN_SYSTEM
    for kind, node in _nodes(tree):
        if kind == "Call":
            parts, line = _path(node["fcn"]), _line(node)
            if parts is None or (parts[0] not in own and ".".join(parts) not in may):
                called = ".".join(parts) if parts else "what a value names"
                yield Finding(source.path, line, f"may not call {called}")
        elif kind == "with" and not source.is_test and _path(node["refr"], 1) != ["input"]:
            sentence = "`with` may replace input only, but in tests"
            yield Finding(source.path, _line(node), sentence)


def _nodes(tree: Any) -> Iterator[tuple[str, Tree]]:
    """Return every call and every `with` of a syntax tree."""
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            if "Call" in node:
                yield "Call", node["Call"]
            for modifier in node.get("with_mods", ()):
                yield "with", modifier
            stack.extend(value for key, value in node.items() if key != "span")
        elif isinstance(node, list):
            stack.extend(node)


def _imported(source: Source, tree: Tree) -> Iterator[tuple[str, int]]:
    for one in tree["imports"]:
        parts = _path(one["refr"]) or [""]
        if parts[0] in ("rego", "future"):
            continue
        # The tree holds only the place of an alias.
        place = one.get("as") or {"start": 0, "end": 0}
        alias = source.text.encode()[place["start"] : place["end"]].decode()
        yield alias or parts[-1], _line(one)


def defined(tree: Tree) -> Iterator[tuple[str, int]]:
    """Return the first name of every rule, and its line."""
    for rule in tree["rules"]:
        body = rule.get("Spec") or rule.get("Default") or {}
        heads = body["head"].values() if "head" in body else [body]
        for head in heads:
            parts = _path(head["refr"], 1)
            yield (parts[0] if parts else ""), _line(body)


def _path(node: Tree, depth: int | None = None) -> list[str] | None:
    """Return the names on the way of a reference, or the first few; None if one is no constant."""
    parts: list[str] = []
    while True:
        if "Var" in node:
            parts.append(_text(node["Var"]))
            return parts[::-1][:depth]
        if "RefDot" in node:
            node, name = node["RefDot"]["refr"], _text(node["RefDot"]["field"])
        elif "RefBrack" in node:
            index = node["RefBrack"]["index"]
            node = node["RefBrack"]["refr"]
            if "String" in index:
                name = _text(index["String"])
            elif depth is None:
                return None
            else:
                name = ""
        else:
            return None
        parts.append(name)


def _text(node: Any) -> str:
    """Return a name, which the tree holds as [place, name] or as {value: name}."""
    return str(node["value"] if isinstance(node, dict) else node[1])


def _line(node: Tree) -> int:
    return int(node["span"]["line"])
