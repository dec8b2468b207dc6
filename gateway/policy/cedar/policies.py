"""One Cedar policy, and how it is written down.

What a policy means to the gateway stands in its annotations: `@code` and `@rule` are the reason it
gives, `@effect("hold")` and its companions say that a permit waits for people, and the other
annotations are what a permit is bound to. Cedar itself reads none of them.
Does not know charters, and does not evaluate.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.policy.cedar.names import literal

RULES: Final = "bailiwick.rules"


@dataclass(frozen=True, slots=True)
class Policy:
    """A forbid, a permit or a hold, which is a permit that waits."""

    effect: str
    """`deny`, `permit` or `hold`."""
    code: str
    rule: str
    """Name of the rule among those of the bundle, without the package they are in."""
    clause: str
    """Where in the charter it comes from; empty for what every charter has."""
    principal: str = "principal"
    action: str = "action"
    resource: str = "resource"
    when: str = ""
    """Condition; empty for none."""
    unless: str = ""
    """Instead of it: the condition under which it does not apply."""
    obligations: tuple[Mapping[str, Any], ...] = ()

    @property
    def name(self) -> str:
        """The `@id`, unless another policy of the set has it."""
        return f"{self.clause or 'every charter'}: {self.code}"


def named(policies: Iterable[Policy]) -> dict[str, Policy]:
    """Return policies by an id of their own, in their order."""
    found: dict[str, Policy] = {}
    for policy in policies:
        name, number = policy.name, 1
        while name in found:
            number += 1
            name = f"{policy.name} {number}"
        found[name] = policy
    return found


def written(policies: Mapping[str, Policy]) -> str:
    """Return policies as Cedar source."""
    return "\n".join(_written(name, policy) for name, policy in policies.items())


def annotations(name: str, policy: Policy) -> dict[str, str]:
    """Return the annotations of a policy."""
    found = {
        "id": name,
        "code": policy.code,
        "rule": f"{RULES}.{policy.rule}",
        "effect": policy.effect,
    }
    for obligation in policy.obligations:
        found |= _obligation(obligation)
    return found


def _obligation(obligation: Mapping[str, Any]) -> dict[str, str]:
    members = dict(obligation)
    match members.pop("type"):
        case "approval":
            return {name: str(value) for name, value in members.items()}
        case "check":
            return {f"check_{members['name']}": str(members["action"])}
        case kind:
            return {str(kind): "true"}


def _written(name: str, policy: Policy) -> str:
    marks = [f"@{key}({literal(text)})" for key, text in annotations(name, policy).items()]
    word = "forbid" if policy.effect == "deny" else "permit"
    scope = f"{word} (\n  {policy.principal},\n  {policy.action},\n  {policy.resource}\n)"
    condition = ""
    if policy.when:
        condition = f"\nwhen {{ {policy.when} }}"
    if policy.unless:
        condition = f"\nunless {{ {policy.unless} }}"
    return "\n".join([*marks, f"{scope}{condition};\n"])
