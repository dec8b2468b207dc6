from dataclasses import replace
from typing import Any

import pytest

from gateway.core.call import ToolCall
from gateway.core.claims import Claims
from gateway.core.decision import EFFECTS, Permit
from gateway.core.session_facts import UNTRUSTED, SessionFacts, brought, counts, scope_of
from gateway.wire import mcp
from tests.fakes import CLAIMS, PERMIT
from tests.pipeline.line import request, resources_read, tools_call

CALL = mcp.decode(request(tools_call()))
READ = mcp.decode(request(resources_read()))
PROMPT = mcp.decode(
    request(b'{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"p"}}')
)
LIST = mcp.decode(request(b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}'))
ANNA, BEN = replace(CLAIMS, on_behalf_of="anna"), replace(CLAIMS, on_behalf_of="ben")


def test_facts_are_written_as_policy_reads_them() -> None:
    """rego/schemas/input.json: `context.session`; sets in an order that does not change."""
    facts = SessionFacts(3, 2, frozenset({"b", "a", "c"}), frozenset({"hr", "crm"}), True)
    assert facts.as_context() == {
        "calls": 3,
        "calls_in_minute": 2,
        "systems": ["a", "b", "c"],
        "domains_read": ["crm", "hr"],
        "untrusted_input": True,
    }


def test_marks_become_facts() -> None:
    """House: a system is not a domain of the same name."""
    marks: Any = frozenset({("system", "x"), ("domain", "y"), ("domain", "z")})
    assert SessionFacts.of(2, 1, marks) == SessionFacts(2, 1, frozenset("x"), frozenset("yz"))
    assert SessionFacts.of(0, 0, frozenset({UNTRUSTED})) == SessionFacts(untrusted_input=True)


@pytest.mark.parametrize("effect", EFFECTS)
def test_only_reads_bring_their_domain(effect: str) -> None:
    """core/session_facts: or every write would taint the domain that it wrote to."""
    permit = replace(PERMIT, classification=replace(PERMIT.classification, effect=effect))
    domain = {("domain", "crm")} if effect == "read" else set()
    assert brought(CALL, permit) == {("system", "crm"), *domain}


def test_a_domain_is_the_one_that_policy_says() -> None:
    """Design §4: labels come from the catalogue."""
    permit = replace(PERMIT, classification=replace(PERMIT.classification, domain="hr"))
    assert brought(CALL, permit) == {("system", "crm"), ("domain", "hr")}


@pytest.mark.parametrize("asked", [CALL, READ, PROMPT], ids=["tool", "resource", "prompt"])
def test_whatever_returns_content_brings_its_system_and_domain(asked: ToolCall) -> None:
    """House: a bundle of one's own may permit resources and prompts."""
    assert brought(asked, PERMIT) == {("system", "crm"), ("domain", "crm")}


TAINTED = replace(PERMIT, untrusted_input=True)


@pytest.mark.parametrize(
    ("asked", "permit", "expected"),
    [(LIST, PERMIT, set()), (LIST, TAINTED, {UNTRUSTED})],
    ids=["plain", "with the words of strangers"],
)
def test_the_protocol_itself_brings_nothing_unless_policy_says_so(
    asked: ToolCall, permit: Permit, expected: set[Any]
) -> None:
    """House: to list tools is not to read data."""
    assert brought(asked, permit) == expected


def test_only_tool_calls_count() -> None:
    """core/session_facts: `calls`."""
    assert [counts(asked) for asked in (CALL, READ, PROMPT, LIST)] == [True, False, False, False]


def flows(before: Claims, after: Claims) -> bool:
    """Say whether what one call brings is among the facts of another."""
    return bool(set(scope_of(before).noted) & set(scope_of(after).read))


@pytest.mark.parametrize("before", [CLAIMS, ANNA], ids=["alone", "anna"])
@pytest.mark.parametrize("after", [CLAIMS, ANNA], ids=["alone", "anna"])
def test_whether_a_person_is_named_or_not_nothing_is_shed(before: Claims, after: Claims) -> None:
    """House: a workload always holds a credential of its own."""
    assert flows(before, after)
    assert len(set(scope_of(before).noted) & set(scope_of(after).read)) == 1, "counted once"


def test_what_is_done_for_one_person_is_not_in_anothers_session() -> None:
    """core/session_facts: for one person."""
    assert not flows(ANNA, BEN)
    assert not flows(BEN, ANNA)


@pytest.mark.parametrize(
    "other",
    [{"subject": "x"}, {"issuer": "x"}, {"tenant": "x"}, {"tenant": ""}],
    ids=["subject", "issuer", "tenant", "empty tenant"],
)
@pytest.mark.parametrize("claims", [CLAIMS, ANNA], ids=["alone", "anna"])
def test_workloads_are_apart(other: dict[str, str], claims: Claims) -> None:
    """core/session_facts: of one workload."""
    elsewhere = replace(claims, **other)  # type: ignore[arg-type]
    assert not set(scope_of(claims).keys) & set(scope_of(elsewhere).keys)


def test_a_person_cannot_be_named_so_that_it_is_nobody() -> None:
    """House: what a digest is over is unambiguous (RFC 8785)."""
    for name in ("", "for nobody", "everything", "null"):
        named = replace(CLAIMS, on_behalf_of=name)
        assert scope_of(named).noted[0] not in scope_of(CLAIMS).keys


@pytest.mark.parametrize(
    "changed",
    [
        replace(CLAIMS, instance="pod-2"),
        replace(CLAIMS, token_id="t", token_digest="sha256:1", expires_at=0),
        replace(CLAIMS, scopes=("a",), key_id="k", proof="dpop"),
        replace(CLAIMS, actors=("a",), other={"x": 1}),
    ],
    ids=["instance", "token", "key", "history"],
)
def test_nothing_else_of_the_claims_starts_another_session(changed: Claims) -> None:
    """House: what an agent can vary at will sheds nothing."""
    assert scope_of(changed) == scope_of(CLAIMS)


@pytest.mark.parametrize("claims", [CLAIMS, ANNA], ids=["alone", "anna"])
def test_the_keys_of_a_scope_do_not_say_whose_they_are(claims: Claims) -> None:
    """House: digests, each once."""
    keys = scope_of(claims).keys
    assert len(set(keys)) == len(keys) <= 3
    assert all(key.startswith("sha256:") and "anna" not in key for key in keys)
