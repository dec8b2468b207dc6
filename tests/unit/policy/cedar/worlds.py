"""Small bundles for Cedar, and the two engines side by side: the bundle's own rules and Cedar.

Does not write files: a charter is a value here, as its file would have been read.
"""

import copy
import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import regorus

from gateway.core.canonical import dumps
from gateway.policy.bundle import Bundle, load, shipped_bundle
from gateway.policy.cedar.library import Library
from gateway.policy.cedar.point import decision_document

Value = dict[str, Any]

SUBJECT = "agent-1"
NOW = 1_795_478_400_000_000_000
"""2026-11-24T00:00:00Z, a Tuesday."""

SYSTEMS: Value = {
    "shop": {
        "owner": "shop-team",
        "domain": "sales",
        "environment": "test",
        "protocol": "mcp",
        "tools": {
            "list_orders": {"effect": "read", "impacts": []},
            "read_order": {"effect": "read", "impacts": [], "domain": "orders"},
            "read_mail": {"effect": "read", "impacts": [], "untrusted": True},
            "ship": {"effect": "write", "impacts": [], "outward": True},
            "refund": {"effect": "write", "impacts": ["payment"], "observable": True},
            "drop": {"effect": "delete", "impacts": ["deletion"]},
            "run": {"effect": "execute", "impacts": []},
            "odd": {"effect": "unclassified", "impacts": []},
        },
    },
    "people": {
        "owner": "people-team",
        "domain": "hr",
        "environment": "test",
        "protocol": "mcp",
        "untrusted": True,
        "tools": {
            "read_person": {"effect": "read", "impacts": [], "untrusted": False},
            "read_letter": {"effect": "read", "impacts": []},
            "promote": {"effect": "escalate", "impacts": ["access", "payment"]},
        },
    },
    "live": {
        "owner": "shop-team",
        "domain": "sales",
        "environment": "production",
        "protocol": "mcp",
        "tools": {"list_orders": {"effect": "read", "impacts": []}},
    },
}

CHARTER: Value = {
    "subject": SUBJECT,
    "owner": "team",
    "purpose": "Tests.",
    "environment": "test",
    "expires": "2026-12-01T00:00:00Z",
    "systems": {"shop": {"allow": [{"tools": ["list_*", "read_*"], "effects": ["read"]}]}},
    "approvals": [],
    "evidence": {"capture": ["arguments", "results"]},
    "limits": {"calls_per_minute": 10},
    "task_required": False,
}

SESSION: Value = {
    "calls": 1,
    "calls_in_minute": 1,
    "systems": [],
    "domains_read": [],
    "untrusted_input": False,
}


@cache
def shipped() -> Bundle:
    """Return the shipped bundle, for its rules."""
    return load(shipped_bundle())


def bundle_of(*charters: Value, systems: Value = SYSTEMS, faulty: bool = False) -> Bundle:
    """Return a bundle with the shipped rules and these charters, named `charter-0` and so on."""
    named = {f"charter-{number}": charter for number, charter in enumerate(charters)}
    faults = [{"code": "member_missing", "where": "", "sentence": ""}] if faulty else []
    data = {
        "charters": {name: {**charter, "faults": faults} for name, charter in named.items()},
        "subjects": {charter["subject"]: name for name, charter in named.items()},
        "systems": systems,
    }
    return replace(
        shipped(),
        charters=named,
        systems=systems,
        data=dumps(data),
        faults={name: tuple(faults) for name in named},
        self_tests=(),
    )


def charter(**changes: Any) -> Value:
    """Return the small charter with some of its members replaced."""
    return {**copy.deepcopy(CHARTER), **changes}


def allowing(*entries: Value, **changes: Any) -> Value:
    """Return a charter that allows this on the shop and nothing else."""
    return charter(systems={"shop": {"allow": list(entries)}}, **changes)


def bounded(bounds: Value, **changes: Any) -> Value:
    """Return a charter that allows to ship within these bounds."""
    entry = {"tools": ["ship"], "effects": ["write"], "arguments": bounds}
    return allowing(entry, **changes)


def call(tool: str, arguments: Any = None, *, system: str = "shop", **context: Any) -> Value:
    """Return the decision input of a tool call; `session` replaces members of the session."""
    session = {**SESSION, **context.pop("session", {})}
    return {
        "version": "1",
        "subject": {
            "id": SUBJECT,
            "type": "workload",
            "issuer": "https://issuer",
            "scopes": [],
            "proof": "bearer",
            "flags": [],
        },
        "action": {"name": "tools/call", "protocol": "mcp"},
        "resource": {
            "type": "tool",
            "system": system,
            "name": tool,
            "arguments": {} if arguments is None else arguments,
        },
        "context": {
            "time": NOW,
            "call_id": "call-1",
            "task": None,
            "session": session,
            **context,
        },
    }


def method(name: str, system: str = "shop", kind: str = "server") -> Value:
    """Return the decision input of a method that calls no tool."""
    document = call("", system=system)
    document["action"]["name"] = name
    document["resource"]["type"] = kind
    return document


class Engines:
    """One bundle in both engines."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.library = Library(bundle)
        self._rego = regorus.Engine()
        for path, source in bundle.policies:
            self._rego.add_policy(path, source)
        self._rego.add_data_json(bundle.data.decode())

    def cedar(self, document: Mapping[str, Any]) -> Value:
        """Return what Cedar decides."""
        answer: Value = json.loads(decision_document(self.library, dumps(document)))
        return answer

    def rego(self, document: Mapping[str, Any]) -> Value:
        """Return what the bundle's own rules decide."""
        self._rego.set_input_json(json.dumps(document))
        answer: Value = json.loads(self._rego.eval_rule_as_json("data.bailiwick.decision"))
        return answer

    def both(self, document: Mapping[str, Any]) -> Value:
        """Return the decision that both make."""
        cedar, rego = self.cedar(document), self.rego(document)
        assert cedar == rego
        return cedar


def codes(decision: Mapping[str, Any]) -> list[str]:
    """Return the reason codes of a decision."""
    return [reason["code"] for reason in decision["reasons"]]
