"""Which parts of `data` the rules of a bundle may read: those that every engine has, and no others.

A sidecar holds more than the embedded engine does: the tests of the bundle, what lies in `system/`,
other bundles, and data of its own. A rule that reads of these decides differently there, so each
reference to `data` names, in constants, a part that is the rules' own. Does not look at calls
(`builtins.py`).
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway.policy.manifest import ROOTS
from gateway.policy.rego import TESTS, Tree

_RULES: Final = "bailiwick"
_NOT_RULES: Final = {package[1] for package in TESTS}


def strange_references(tree: Tree) -> Iterator[tuple[str, int]]:
    """Return each reference to `data` that engines may read differently, and its line."""
    stack: list[Any] = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, list):
            stack.extend(node)
        elif isinstance(node, Mapping):
            names, root, rest = _reference(node)
            stack.extend(rest)
            if names[:1] == ["data"] and not _is_own(names):
                yield ".".join(names), int(root["span"]["line"])


def _is_own(names: list[str]) -> bool:
    if names[1:2] == [_RULES]:
        return len(names) > 2 and names[2] not in _NOT_RULES
    return len(names) > 1 and names[1] in ROOTS


def _reference(node: Tree) -> tuple[list[str], Tree, list[Any]]:
    """Return the constant beginning of a reference, its root, and what else is to be looked at."""
    names: list[str] = []
    rest: list[Any] = []
    while True:
        if "RefDot" in node:
            names.append(str(node["RefDot"]["field"][1]))
            node = node["RefDot"]["refr"]
        elif "RefBrack" in node:
            index, node = node["RefBrack"]["index"], node["RefBrack"]["refr"]
            if "String" in index:
                names.append(str(index["String"]["value"]))
            else:
                names.clear()  # what stands behind it is no part of the constant beginning
                rest.append(index)
        elif "Var" in node:
            return [str(node["Var"]["value"]), *reversed(names)], node["Var"], rest
        else:
            return [], node, [*rest, *(value for key, value in node.items() if key != "span")]
