"""What the shipped bundle decides: whole inputs, whole decisions."""

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import jsonschema
import pytest
import regorus

from gateway.core.approval import Approval, Situation
from gateway.core.call import Request, ToolCall
from gateway.core.charter import faults
from gateway.core.claims import Claims
from gateway.core.decision import PolicyStamp, effect_name, read_decision
from gateway.core.document import decision_input
from gateway.core.session_facts import SessionFacts
from gateway.policy.bundle import Bundle
from tests.rego.cases import CASES
from tests.rego.decisions import (
    ALLOWED,
    BILLING,
    CODES,
    IN_FORCE,
    OFFICE,
    RELEASE,
    SUPPORT,
    Case,
    Document,
    call,
    method,
    replaced,
    support,
)
from tests.rego.worlds import BUNDLE, WORLDS, World

__all__ = [
    "BILLING",
    "BUNDLE",
    "CASES",
    "IN_FORCE",
    "OFFICE",
    "RELEASE",
    "SCHEMA",
    "STAMP",
    "SUPPORT",
    "WORLDS",
    "Case",
    "Document",
    "World",
    "ask",
    "call",
    "engine_for",
    "members",
    "method",
    "put",
    "replaced",
    "support",
    "without",
]

RULE = "data.bailiwick.decision"
STAMP = PolicyStamp("regorus", BUNDLE.revision, BUNDLE.digest, "decision-1", "sha256:0", 0)
SCHEMA = json.loads((BUNDLE.path / "schemas" / "input.json").read_bytes())

OPTIONAL = {
    ("subject", "tenant"),
    ("subject", "on_behalf_of"),
    ("subject", "actors"),
    ("subject", "lifetime_seconds"),
    ("subject", "claims"),
    ("context", "task"),
    ("context", "grant"),
    ("context", "approval"),
    ("context", "transaction"),
    ("context", "source"),
    ("subject", "instance"),
}
"""Members that no shipped rule reads, or whose absence means the same as their null."""


OPAQUE = {
    ("subject", "type"),
    ("subject", "issuer"),
    ("subject", "proof"),
    ("subject", "scopes"),
    ("subject", "flags"),
    ("context", "call_id"),
    ("context", "time"),
    ("context", "session", "calls"),
    ("context", "session", "calls_in_minute"),
    ("context", "session", "systems"),
    ("context", "session", "domains_read"),
    ("context", "session", "untrusted_input"),
}
"""Members that must be there and of their kind, but of which any value can be permitted."""


def engine_for(bundle: Bundle, data: bytes | None = None) -> regorus.Engine:
    """Return an engine that holds a bundle, with its own data or other data."""
    engine = regorus.Engine()
    for path, source in bundle.policies:
        engine.add_policy(path, source)
    engine.add_data_json((data or bundle.data).decode())
    return engine


def ask(engine: regorus.Engine, document: Mapping[str, Any]) -> str:
    """Return the engine's answer, as text."""
    engine.set_input_json(json.dumps(document))
    return str(engine.eval_rule_as_json(RULE))


def members(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every member and entry, but nothing within a call's arguments."""
    if path == ("resource", "arguments"):
        return
    named = isinstance(value, Mapping)
    for name, item in value.items() if named else enumerate(value):
        yield (*path, name)
        if isinstance(item, Mapping | list):
            yield from members(item, (*path, name))


def without(document: Document, path: tuple[Any, ...]) -> Document:
    """Return a copy of the input that lacks one member."""
    changed = copy.deepcopy(document)
    parent: Any = changed
    for name in path[:-1]:
        parent = parent[name]
    del parent[path[-1]]
    return changed


def put(document: Document, path: tuple[Any, ...], value: Any) -> Document:
    """Return a copy of a document with another value in one place."""
    changed = copy.deepcopy(document)
    parent: Any = changed
    for name in path[:-1]:
        parent = parent[name]
    parent[path[-1]] = value
    return changed


@pytest.fixture(scope="module")
def engine() -> regorus.Engine:
    """Return an engine that holds the shipped bundle."""
    return engine_for(BUNDLE)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_input_is_decided_as_the_table_says(engine: regorus.Engine, case: Case) -> None:
    """The whole decision is the expected one, and the gateway reads it as such."""
    answer = ask(engine, case.document)
    assert json.loads(answer) == case.expected
    assert effect_name(read_decision(answer.encode(), STAMP)) == case.expected["effect"]


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_input_is_decided_as_the_table_of_other_charters_says(world: World) -> None:
    """What the shipped charters do not say, and what no loader would pass."""
    answer = ask(engine_for(BUNDLE, world.data), world.document)
    assert json.loads(answer) == world.expected
    jsonschema.Draft202012Validator(SCHEMA).validate(world.document)


def test_the_tables_give_every_reason_there_is() -> None:
    """House: a code is stable API, so each is shown at least once."""
    expected = [*(case.expected for case in CASES), *(world.expected for world in WORLDS)]
    assert {reason["code"] for one in expected for reason in one["reasons"]} == CODES


def test_every_shipped_charter_is_complete() -> None:
    """An example with a fault would deny everything (design §5)."""
    assert dict(BUNDLE.faults) == {"billing-agent": (), "release-agent": (), "support-agent": ()}


@pytest.mark.parametrize("case", CASES[:-1], ids=lambda case: case.name)
def test_every_real_input_is_valid_against_the_shipped_schema(case: Case) -> None:
    """The schema describes what is asked; the version row is the one that must not fit it."""
    errors = list(jsonschema.Draft202012Validator(SCHEMA).iter_errors(case.document))
    assert bool(errors) == (case.name == "another version")


def test_document_that_the_gateway_builds_is_valid_and_decided(engine: regorus.Engine) -> None:
    """Writer, schema and rules mean the same document (design §5)."""
    request = Request("POST", "/company/mcp", "company", {}, b"{}", "127.0.0.1")
    asked = ToolCall(request, "tools/call", "tool", "list_invoices", {}, "modern", None, 1)
    claims = Claims(
        BILLING, "https://issuer.example", "us", 0, 9, "jwt", "ES256", None, None, "sha256:0"
    )
    pending = Situation(Approval("approval-1", "pending", IN_FORCE + 1))
    busy = Situation(session=SessionFacts(9, 3, frozenset({"company"}), frozenset({"crm"}), True))
    for situation in (Situation(), pending, busy):
        document = decision_input(asked, claims, situation, "call-1", IN_FORCE)
        jsonschema.Draft202012Validator(SCHEMA).validate(document)
        assert json.loads(ask(engine, document)) == ALLOWED


@pytest.mark.parametrize("test", BUNDLE.self_tests, ids=lambda test: test.name)
def test_self_test_of_the_bundle_holds_and_fits_the_schema(
    engine: regorus.Engine, test: Any
) -> None:
    """A bundle whose own vectors fail would never become ready."""
    document = json.loads(test.document)
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    answer = json.loads(ask(engine, document))
    assert (answer["effect"], tuple(reason["code"] for reason in answer["reasons"])) == (
        test.effect,
        test.codes,
    )


@pytest.mark.parametrize(
    "document",
    [
        call("list_invoices"),
        call("read_file", {"path": "invoices/1"}),
        method("initialize"),
        support("read_file", {"path": "support/1.txt"}),
    ],
    ids=["free arguments", "bounded argument", "protocol method", "hours, flows and limits"],
)
def test_no_required_member_can_be_left_out(engine: regorus.Engine, document: Document) -> None:
    """A missing member denies; it never skips a rule and never breaks the engine."""
    assert json.loads(ask(engine, document))["effect"] == "permit"
    permitted = set()
    for path in members(document):
        answer = ask(engine, without(document, path))
        if effect_name(read_decision(answer.encode(), STAMP)) == "permit":
            permitted.add(path)
    assert permitted == OPTIONAL


@pytest.mark.parametrize("value", [None, True, 0, "", "x", [], {}], ids=repr)
def test_no_required_member_can_be_of_another_kind(engine: regorus.Engine, value: Any) -> None:
    """Whatever stands in the place of a section or a member, the answer is a decision."""
    permitted = set()
    for document in (
        call("read_file", {"path": "invoices/1"}),
        support("send_reminder", {"invoice_id": "INV-1"}),
    ):
        for path in members(document):
            answer = ask(engine, put(document, path, value))
            if effect_name(read_decision(answer.encode(), STAMP)) == "permit":
                permitted.add(path)
    assert permitted <= OPTIONAL | OPAQUE


@pytest.mark.parametrize("member", ["systems", "subjects", "charters"])
def test_a_bundle_without_a_part_of_its_data_denies(member: str) -> None:
    """Data that is not there is as good as a charter that is not there."""
    data = json.loads(BUNDLE.data)
    del data[member]
    answer = ask(engine_for(BUNDLE, json.dumps(data).encode()), call("list_invoices"))
    assert effect_name(read_decision(answer.encode(), STAMP)) == "deny"


@pytest.mark.parametrize(
    "member",
    ["environment", "expires", "systems", "approvals", "limits", "task_required", "faults"],
)
def test_a_charter_that_does_not_say_a_member_that_rules_read_denies(member: str) -> None:
    """Even if the loader's check were missing, silence in a charter is no permission."""
    data = json.loads(BUNDLE.data)
    del data["charters"]["billing-agent"][member]
    answer = ask(engine_for(BUNDLE, json.dumps(data).encode()), call("list_invoices"))
    assert effect_name(read_decision(answer.encode(), STAMP)) == "deny"


def test_a_charter_with_a_fault_denies_everything() -> None:
    """An incomplete charter denies, whatever else it says (design §5)."""
    data = json.loads(BUNDLE.data)
    fault = {"code": "member_missing", "where": "owner", "sentence": "`owner` is missing."}
    data["charters"]["billing-agent"]["faults"] = [fault]
    engine = engine_for(BUNDLE, json.dumps(data).encode())
    answers = [json.loads(ask(engine, case.document)) for case in CASES]
    assert {a["effect"] for a in answers if a["charter"] == "billing-agent"} == {"deny"}


@pytest.mark.parametrize("value", [None, "", 0, [], {}, [None]], ids=repr)
def test_whatever_stands_in_a_charter_the_rules_answer(value: Any) -> None:
    """What the rules could not read is a fault, and a charter with faults is not read."""
    whole = dict(BUNDLE.charters["billing-agent"])
    for path in members(whole):
        changed = put(whole, path, value)
        marks = [asdict(fault) for fault in faults(changed, BUNDLE.systems)]
        data = json.loads(BUNDLE.data)
        data["charters"]["billing-agent"] = {**changed, "faults": marks}
        answer = ask(engine_for(BUNDLE, json.dumps(data).encode()), call("list_invoices"))
        effect = effect_name(read_decision(answer.encode(), STAMP))
        assert effect == "deny" or not marks, path


@pytest.mark.parametrize("value", [None, True, 0, {}, [[]]], ids=repr)
@pytest.mark.parametrize("member", ["approvals", "deny", "flows", "hours", "limits"])
def test_what_the_rules_cannot_read_in_a_charter_never_permits(member: str, value: Any) -> None:
    """House: an entry that no loader would pass denies; it is never skipped."""
    data = json.loads(BUNDLE.data)
    said = data["charters"]["support-agent"]
    said["approvals"] = [
        {"tools": ["deploy_service"], "approvers": "x", "count": 1, "expires_seconds": 1},
        {"impacts": ["access"], "approvers": "x", "count": 1, "expires_seconds": 1},
    ]
    document = support("send_reminder", {"invoice_id": "INV-1"})
    whole = json.loads(ask(engine_for(BUNDLE, json.dumps(data).encode()), document))
    assert whole["effect"] == "permit"
    for path in [(), *members(said[member])]:
        changed = put(said, (member, *path), value)
        if changed == said:
            continue
        data["charters"]["support-agent"] = changed
        answer = json.loads(ask(engine_for(BUNDLE, json.dumps(data).encode()), document))
        assert answer["effect"] == "deny", path
