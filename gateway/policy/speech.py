"""How a package of rules speaks to the decision: by sets of reason codes.

The decision asks every package right under `bailiwick.rules` for its sets `deny`, `hold` and
`permit`, and passes over what is none: a denial written otherwise would be a permission. So nothing
else has these names there, no package lies further in, and none is without any of them; nor does a
rule from outside reach in by its name. Held when a bundle is loaded, once, rather than at each
decision. Does not judge what a rule says.
"""

from collections.abc import Iterator
from typing import Final

from gateway.policy.rego import Source, Tree

SETS: Final = ("deny", "hold", "permit")
_RULES: Final = ("bailiwick", "rules")


def is_spoken(source: Source) -> bool:
    """Say whether a file belongs to what the decision asks."""
    return source.is_rule and source.package[:2] == _RULES


def misplaced(source: Source) -> bool:
    """Say whether the decision would not find the file's package."""
    return len(source.package) != len(_RULES) + 1


def sets(tree: Tree) -> Iterator[tuple[str, int, bool]]:
    """Return each rule of one of the three names: name, line, and whether it adds to a set."""
    return (named for named in _named(tree) if named[0] in SETS)


def reaching_in(source: Source, tree: Tree) -> Iterator[int]:
    """Return the line of each rule that is named as if it were in a package of rules."""
    if source.is_rule and source.package == _RULES[:1]:
        yield from (line for name, line, _ in _named(tree) if name == _RULES[1])


def _named(tree: Tree) -> Iterator[tuple[str, int, bool]]:
    for rule in tree["rules"]:
        body = rule.get("Spec") or rule.get("Default") or {}
        heads = body["head"] if "head" in body else {"Default": body}
        for kind, head in heads.items():
            name, plain = _name(head["refr"])
            yield name, int(body["span"]["line"]), kind == "Set" and plain


def _name(reference: Tree) -> tuple[str, bool]:
    """Return the first name of a reference, and whether it is all of it."""
    node, plain = reference, True
    while "Var" not in node:
        inner = node.get("RefDot") or node.get("RefBrack")
        if inner is None:
            return "", False
        node, plain = inner["refr"], False
    return str(node["Var"]["value"]), plain
