"""The Cedar decision point: starting, refusing, and what an input cannot do to it."""

import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.core.canonical import dumps
from gateway.core.decision import Deny, Permit, effect_name
from gateway.core.errors import BundleError, PolicyAnswerInvalid, PolicyError, PolicyUnavailable
from gateway.policy.bundle import Bundle, load, shipped_bundle
from gateway.policy.cedar.library import Library
from gateway.policy.cedar.point import CedarDecisionPoint, _is_quick
from gateway.policy.limits import MAX_DOCUMENT_BYTES
from gateway.policy.selftest import SelfTest
from tests.fakes_policy import TickingClock, eventually
from tests.unit.policy.cedar.worlds import SYSTEMS, bounded, bundle_of, call, charter, shipped


def asked(tool: str = "list_orders", **arguments: object) -> bytes:
    """Return a decision input as the gateway writes it."""
    return json.dumps(call(tool, arguments)).encode()


async def started(bundle: Bundle) -> CedarDecisionPoint:
    """Return a point that serves."""
    point = CedarDecisionPoint(bundle, TickingClock(), deadline_seconds=30)
    await point.start()
    return point


async def test_the_shipped_bundle_passes_its_self_tests() -> None:
    """Policy §7.3: a permit, a deny and a hostile text, before anything is decided."""
    assert (await started(shipped())).healthy()


@pytest.mark.parametrize(
    "test",
    [
        SelfTest("effect", asked(), "deny", ("charter_allows",)),
        SelfTest("codes", asked(), "permit", ("protocol_allowed",)),
        SelfTest("error", b"{", "deny", ("pdp_error",)),
    ],
    ids=lambda test: test.name,
)
async def test_a_bundle_that_fails_a_self_test_is_not_served(test: SelfTest) -> None:
    """Policy §7.2 rule 10."""
    point = CedarDecisionPoint(replace(bundle_of(charter()), self_tests=(test,)), TickingClock())
    with pytest.raises(BundleError):
        await point.start()
    assert not point.healthy()
    with pytest.raises(PolicyUnavailable):
        await point.decide(asked())


async def test_a_start_leaves_the_memory_of_the_loader_alone(tmp_path: Path) -> None:
    """House: a reload of ten thousand charters takes the time of those that changed."""
    folder = tmp_path / "policy"
    shutil.copytree(shipped_bundle(), folder)
    charter = folder / "charters" / "billing-agent.yaml"
    charter.write_text(f"{charter.read_text()}# another text\n")
    bundle = load(folder)
    point = CedarDecisionPoint(bundle, TickingClock())
    await point.start()
    await point.aclose()
    path = "charters/billing-agent.yaml"
    assert load(folder).documents[path] is bundle.documents[path]


OWN_RULE = ("bailiwick/rules/own/own.rego", 'package bailiwick.rules.own\n\ndeny contains "own"\n')


@pytest.mark.parametrize(
    "rules",
    [
        (*shipped().policies, OWN_RULE),
        shipped().policies[1:],
        tuple((path, f"{text}\n") for path, text in shipped().policies),
    ],
    ids=["one more", "one less", "changed"],
)
async def test_a_bundle_with_other_rules_is_not_served(rules: tuple[tuple[str, str], ...]) -> None:
    """Issue: every engine gives the same answer; here a denial that was added would not apply."""
    point = CedarDecisionPoint(replace(bundle_of(charter()), policies=rules), TickingClock())
    with pytest.raises(BundleError, match=r"bailiwick/.*\.rego: is not as this version ships it"):
        await point.start()
    assert not point.healthy()


async def test_a_point_that_is_closed_decides_nothing() -> None:
    """House: nobody decides after the end; closing twice is closing once."""
    point = await started(bundle_of(charter()))
    await point.aclose()
    await point.aclose()
    assert not point.healthy()
    with pytest.raises(PolicyUnavailable) as caught:
        await point.decide(asked())
    assert caught.value.reason_code == "pdp_unavailable"


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"null",
        b"[]",
        b'"permit"',
        b"{",
        b"\xff\xfe{}",
        b'{"version": "1", "version": "1"}',
        b'{"context": {"time": NaN}}',
        b'{"subject": {"id": "\\ud800"}}',
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'{"context": {"time": ' + b"9" * 400 + b"}}",
    ],
    ids=lambda document: repr(document[:30]),
)
async def test_a_document_that_is_none_is_a_policy_error(document: bytes) -> None:
    """Policy §7.1: refused before the engine, and never an exception of another kind."""
    point = await started(bundle_of(charter()))
    with pytest.raises(PolicyAnswerInvalid) as caught:
        await point.decide(document)
    assert caught.value.reason_code == "pdp_error"


async def test_a_document_that_is_too_large_is_not_read() -> None:
    """Policy §7.1: at most 256 KiB."""
    point = await started(bundle_of(charter()))
    with pytest.raises(PolicyError) as caught:
        await point.decide(asked(note="x" * MAX_DOCUMENT_BYTES))
    assert caught.value.reason_code == "pdp_input_too_large"


class WitnessClock(TickingClock):
    """Says in which threads it was read."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: set[threading.Thread] = set()

    def monotonic_ns(self) -> int:
        """Return the next microsecond."""
        self.readers.add(threading.current_thread())
        return super().monotonic_ns()


async def test_what_takes_long_is_decided_beside_the_event_loop() -> None:
    """House: to compile a charter takes 20 ms and more, 256 KiB of brackets 0.1 s."""
    clock, here = WitnessClock(), threading.current_thread()
    point = CedarDecisionPoint(bundle_of(charter()), clock, deadline_seconds=30)
    await point.start()
    for document, inside in [
        (dumps(call("list_orders")), False),  # the charter was not read yet
        (dumps(call("list_orders")), True),
        (dumps(call("list_orders", {"note": [[]] * 20_000})), False),
        (dumps(call("list_orders")), True),
    ]:
        clock.readers.clear()
        assert isinstance(await point.decide(document), Permit)
        assert (here in clock.readers) == inside


class StoppedClock(TickingClock):
    """A clock that keeps whoever reads it, until it goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.goes_on = threading.Event()
        self.goes_on.set()

    def monotonic_ns(self) -> int:
        """Return the next microsecond, once it goes on."""
        assert self.goes_on.wait(30)
        return super().monotonic_ns()


async def test_what_is_not_decided_in_time_is_denied_and_there_for_the_next_call() -> None:
    """Policy §7.2: a deadline; what was being compiled goes on."""
    clock = StoppedClock()
    point = CedarDecisionPoint(bundle_of(charter()), clock, deadline_seconds=0.1)
    await point.start()
    clock.goes_on.clear()
    document = dumps(call("list_orders"))
    with pytest.raises(PolicyUnavailable) as caught:
        await point.decide(document)
    assert caught.value.reason_code == "pdp_timeout"
    clock.goes_on.set()
    await eventually(lambda: _is_quick(point._library, document))
    assert isinstance(await point.decide(document), Permit)


@pytest.mark.parametrize(
    "subject", ['"', '"::"x', "a\nb", "\0", "agent-1\0", "Agent-1", "", 'x" || true'], ids=repr
)
async def test_no_subject_is_taken_for_another(subject: str) -> None:
    """House: what a credential says is compared, never parsed."""
    point = await started(bundle_of(charter()))
    document = call("list_orders")
    document["subject"]["id"] = subject
    decision = await point.decide(json.dumps(document).encode())
    assert isinstance(decision, Deny)
    assert decision.charter is None


@pytest.mark.parametrize("name", ['a"]', "a\nb", "*", "\\", "é", "a/b", "a\0"], ids=repr)
async def test_a_tool_may_have_any_name(name: str) -> None:
    """House: the name of a tool is quoted wherever it stands."""
    tools = {name: {"effect": "read", "impacts": []}, "other": {"effect": "read", "impacts": []}}
    systems = {"shop": {**SYSTEMS["shop"], "tools": tools}}
    allow = [{"tools": [name if name != "*" else "*"], "effects": ["read"]}]
    point = await started(bundle_of(charter(systems={"shop": {"allow": allow}}), systems=systems))
    assert isinstance(await point.decide(asked(name)), Permit)
    assert isinstance(await point.decide(asked(name + "x")), Deny)


async def test_a_check_that_cannot_be_carried_out_denies() -> None:
    """Policy §7.2 rule 4: an obligation that is not known voids the permit."""
    tool = {"effect": "read", "impacts": [], "checks": {"secrets": "block"}}
    systems = {"shop": {**SYSTEMS["shop"], "tools": {"list_orders": tool}}}
    point = await started(bundle_of(charter(), systems=systems))
    with pytest.raises(PolicyError) as caught:
        await point.decide(asked())
    assert caught.value.reason_code == "pdp_obligation_unknown"


async def test_a_charter_that_cannot_be_compiled_denies_its_agent_only() -> None:
    """House: any failure on the way is a denied call."""
    broken = bounded({"x": {"lte": "no number"}}, subject="agent-2")
    point = await started(bundle_of(charter(), broken))
    document = call("ship", {"x": 1})
    document["subject"]["id"] = "agent-2"
    with pytest.raises(PolicyAnswerInvalid) as caught:
        await point.decide(json.dumps(document).encode())
    assert caught.value.reason_code == "pdp_error"
    assert effect_name(await point.decide(asked())) == "permit"


def test_policies_are_held_against_the_schema_before_they_decide() -> None:
    """Issue: schema-validated; Cedar would read this limit and fail at every call."""
    library = Library(bundle_of(charter(limits={"calls_per_minute": "context"})))
    with pytest.raises(BundleError, match=r"charters/charter-0.yaml: .* rate_limited"):
        library.of("agent-1")


async def test_a_domain_named_like_an_action_is_refused() -> None:
    """House: a group of actions and an action never share a name."""
    tools = {"b": {"effect": "read", "impacts": [], "domain": "a/b"}}
    systems = {"domain:a": {**SYSTEMS["shop"], "tools": tools}}
    with pytest.raises(BundleError):
        Library(bundle_of(charter(), systems=systems))
