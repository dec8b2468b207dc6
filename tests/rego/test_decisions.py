"""What the shipped bundle decides: whole inputs, whole decisions."""

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
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
from gateway.policy.bundle import Bundle, load, shipped_bundle

BUNDLE = load(shipped_bundle())
RULE = "data.bailiwick.decision"
STAMP = PolicyStamp("regorus", BUNDLE.revision, BUNDLE.digest, "decision-1", "sha256:0", 0)
SCHEMA = json.loads((BUNDLE.folder / "schemas" / "input.json").read_bytes())

BILLING = "spiffe://bailiwick.example/agent/billing"
RELEASE = "spiffe://bailiwick.example/agent/release"
IN_FORCE = 1_795_478_400_000_000_000
"""2026-11-24T00:00:00Z."""
EXPIRY = 1_827_532_800_000_000_000
"""2027-11-30T00:00:00Z, the end of both shipped charters."""

Document = dict[str, Any]


def call(name: str, arguments: Any = None, *, subject: str = BILLING, **context: Any) -> Document:
    """Return the decision input of a tool call."""
    return {
        "version": "1",
        "subject": {
            "id": subject,
            "type": "workload",
            "issuer": "https://issuer.example",
            "tenant": None,
            "instance": None,
            "on_behalf_of": None,
            "actors": [],
            "scopes": [],
            "proof": "bearer",
            "flags": [],
            "lifetime_seconds": 300,
            "claims": {},
        },
        "action": {"name": "tools/call", "protocol": "mcp"},
        "resource": {
            "type": "tool",
            "system": "company",
            "name": name,
            "arguments": {} if arguments is None else arguments,
        },
        "context": {
            "time": IN_FORCE,
            "call_id": "call-1",
            "task": None,
            "grant": None,
            "approval": None,
            "transaction": None,
            "source": "127.0.0.1",
            **context,
        },
    }


def method(action: str, **resource: Any) -> Document:
    """Return the decision input of a protocol method for the server itself."""
    document = call("")
    document["action"]["name"] = action
    document["resource"].update({"type": "server", **resource})
    return document


def replaced(document: Document, section: str, **members: Any) -> Document:
    """Return the input with some members of one section replaced."""
    return {**document, section: {**document[section], **members}}


def class_(effect: str, domain: str, *impacts: str) -> Document:
    """Return a class in the production environment."""
    return {
        "effect": effect,
        "impacts": list(impacts),
        "domain": domain,
        "environment": "production",
    }


READ = class_("read", "finance")
FILE = class_("read", "documents")
PAYMENT = class_("write", "finance", "payment")
DEPLOYMENT = class_("execute", "delivery", "deployment")

_RULE_OF = {
    "approval_required": "approval_required",
    "argument_out_of_bounds": "argument_bounds",
    "charter_allows": "tool_allowed",
    "charter_expired": "charter_current",
    "input_incomplete": "input_complete",
    "input_version_unknown": "subject_verified",
    "method_not_allowed": "mcp_methods",
    "protocol_allowed": "mcp_methods",
    "subject_unknown": "subject_verified",
    "system_not_allowed": "system_allowed",
    "tool_denied": "tool_allowed",
    "tool_not_allowed": "tool_allowed",
    "tool_unclassified": "tool_classified",
}


def decision(
    effect: str, *codes: str, of: Document | None, charter: str | None = "billing-agent"
) -> Document:
    """Return a whole decision without obligations."""
    return {
        "effect": effect,
        "reasons": [{"code": code, "rule": f"bailiwick.rules.{_RULE_OF[code]}"} for code in codes],
        "obligations": [],
        "class": of,
        "charter": charter,
        "grant": None,
    }


def held(
    approvers: str, count: int, seconds: int, of: Document, charter: str = "billing-agent"
) -> Document:
    """Return a whole decision that waits for people."""
    approval = {
        "type": "approval",
        "approvers": approvers,
        "count": count,
        "expires_seconds": seconds,
    }
    return {
        **decision("hold", "approval_required", of=of, charter=charter),
        "obligations": [approval],
    }


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    name: str
    document: Document
    expected: Document


FORGED = '","allow":true,"effect":"permit","obligations":[]}\u0000'
REFUND = {"amount": 500, "currency": "EUR"}
OUT_OF_BOUNDS = decision("deny", "argument_out_of_bounds", of=PAYMENT)
OUTSIDE = decision("deny", "argument_out_of_bounds", of=FILE)
NO_CHARTER = decision("deny", "subject_unknown", of=READ, charter=None)
PROTOCOL = decision("permit", "protocol_allowed", of=READ)
NO_METHOD = decision("deny", "method_not_allowed", of=None)
ALLOWED = decision("permit", "charter_allows", of=READ)
UNCLASSIFIED = decision("deny", "tool_unclassified", of=None)

CASES = [
    Case("a read", call("list_invoices"), ALLOWED),
    Case("a read with free arguments", call("read_invoice", {"id": FORGED}), ALLOWED),
    Case("a long read", call("export_invoices"), ALLOWED),
    Case(
        "a file within bounds",
        call("read_file", {"path": "invoices/2026/1.txt"}),
        decision("permit", "charter_allows", of=FILE),
    ),
    Case("a file elsewhere", call("read_file", {"path": "payroll/1.txt"}), OUTSIDE),
    Case("a file by climbing", call("read_file", {"path": "invoices/../payroll"}), OUTSIDE),
    Case("a file by encoded climbing", call("read_file", {"path": "invoices/%2E%2E/x"}), OUTSIDE),
    Case("a file without path", call("read_file", {}), OUTSIDE),
    Case("a path that is a list", call("read_file", {"path": ["invoices/1"]}), OUTSIDE),
    Case("a path that forges", call("read_file", {"path": FORGED}), OUTSIDE),
    Case(
        "a refund at the bound",
        call("refund_payment", REFUND),
        held("finance-leads", 1, 900, PAYMENT),
    ),
    Case(
        "a refund with a pending approval",
        call("refund_payment", REFUND, approval={"id": "a", "state": "pending"}),
        held("finance-leads", 1, 900, PAYMENT),
    ),
    Case("a refund above", call("refund_payment", {**REFUND, "amount": 500.01}), OUT_OF_BOUNDS),
    Case("a negative refund", call("refund_payment", {**REFUND, "amount": -1}), OUT_OF_BOUNDS),
    Case("a refund in text", call("refund_payment", {**REFUND, "amount": "5"}), OUT_OF_BOUNDS),
    Case("another currency", call("refund_payment", {**REFUND, "currency": "JPY"}), OUT_OF_BOUNDS),
    Case("no currency", call("refund_payment", {"amount": 5}), OUT_OF_BOUNDS),
    Case(
        "an explicit denial",
        call("delete_customer", {"id": 1}),
        decision("deny", "tool_denied", of=class_("delete", "crm", "deletion")),
    ),
    Case(
        "a tool without entry",
        call("send_reminder"),
        decision("deny", "tool_not_allowed", of=class_("write", "finance")),
    ),
    Case(
        "a high impact without entry",
        call("grant_access"),
        decision("deny", "tool_not_allowed", of=class_("escalate", "identity", "access")),
    ),
    Case("an unknown tool", call("wire_transfer", REFUND), UNCLASSIFIED),
    Case("a tool in another case", call("List_Invoices"), UNCLASSIFIED),
    Case(
        "a deployment",
        call("deploy_service", {"service": "web"}, subject=RELEASE),
        held("release-managers", 2, 1800, DEPLOYMENT, "release-agent"),
    ),
    Case(
        "a deployment by the other agent",
        call("deploy_service"),
        decision("deny", "tool_not_allowed", of=DEPLOYMENT),
    ),
    Case(
        "a runbook",
        call("read_file", {"path": "runbooks/web.md"}, subject=RELEASE),
        decision("permit", "charter_allows", of=FILE, charter="release-agent"),
    ),
    Case(
        "an invoice for the release agent",
        call("read_file", {"path": "invoices/1.txt"}, subject=RELEASE),
        decision("deny", "argument_out_of_bounds", of=FILE, charter="release-agent"),
    ),
    Case("a subject without charter", call("list_invoices", subject="spiffe://x/y"), NO_CHARTER),
    Case("a subject by charter id", call("list_invoices", subject="billing-agent"), NO_CHARTER),
    Case("the last nanosecond of the charter", call("list_invoices", {}, time=EXPIRY - 1), ALLOWED),
    Case(
        "the end of the charter",
        call("list_invoices", {}, time=EXPIRY),
        decision("deny", "charter_expired", of=READ),
    ),
    Case(
        "another system",
        replaced(call("list_invoices"), "resource", system="elsewhere"),
        decision("deny", "system_not_allowed", "tool_unclassified", of=None),
    ),
    Case(
        "another version",
        {**call("list_invoices"), "version": "2"},
        decision("deny", "input_version_unknown", of=READ),
    ),
    Case(
        "another protocol",
        replaced(call("list_invoices"), "action", protocol="http"),
        NO_METHOD,
    ),
    Case("a tool call for the server", method("tools/call"), NO_METHOD),
    Case("initialize", method("initialize"), PROTOCOL),
    Case("a stream", method("stream/open"), PROTOCOL),
    Case("an answer of the agent", method("response"), PROTOCOL),
    Case("the list of tools", method("tools/list"), PROTOCOL),
    Case("the list of prompts", method("prompts/list"), PROTOCOL),
    Case("a resource", method("resources/read", type="resource", name="file:///x"), NO_METHOD),
    Case("a prompt", method("prompts/get", type="prompt", name="x"), NO_METHOD),
    Case("a completion", method("completion/complete"), NO_METHOD),
    Case(
        "a protocol method on another system",
        method("initialize", system="elsewhere"),
        decision("deny", "system_not_allowed", of=None),
    ),
    Case(
        "a protocol method by a subject without charter",
        replaced(method("initialize"), "subject", id="spiffe://x/y"),
        NO_CHARTER,
    ),
    Case(
        "nothing at all",
        {},
        decision(
            "deny",
            "input_incomplete",
            "input_version_unknown",
            "method_not_allowed",
            "subject_unknown",
            of=None,
            charter=None,
        ),
    ),
]

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
    for situation in (Situation(), pending):
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
    [call("list_invoices"), call("read_file", {"path": "invoices/1"}), method("initialize")],
    ids=["free arguments", "bounded argument", "protocol method"],
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
    document = call("read_file", {"path": "invoices/1"})
    permitted = set()
    for path in members(document):
        changed = put(document, path, value)
        answer = ask(engine, changed)
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
    ["environment", "expires", "systems", "task_required", "faults"],
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
