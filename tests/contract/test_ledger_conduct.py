"""Facts of sessions: what every adapter of the ledger must agree on, and what only a disk shows."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from gateway.background import background
from gateway.core.call import ToolCall
from gateway.core.claims import Claims
from gateway.core.decision import Permit
from gateway.core.errors import LedgerUnavailable
from gateway.core.session_facts import Scope, SessionFacts
from gateway.ledger import conduct
from gateway.ledger.sqlite import MAX_KNOWN, SQLiteLedger
from gateway.ports import Ledger
from gateway.wire import mcp
from tests.fakes import CLAIMS, PERMIT, FakeLedger
from tests.pipeline.line import request, resources_read, tools_call

NOW = 1_795_510_800_000_000_000
SECOND = 1_000_000_000
CRM = frozenset({"crm"})
HOUR = 3600 * SECOND
IDLE = HOUR + HOUR // conduct.EXACT
"""When the facts of an idle session are gone for certain."""
TAINTED = replace(PERMIT, untrusted_input=True)
WRITE = replace(PERMIT, classification=replace(PERMIT.classification, effect="write"))
OTHER = replace(CLAIMS, subject="spiffe://corp.example/agent/other")
ANNA, BEN = replace(CLAIMS, on_behalf_of="anna"), replace(CLAIMS, on_behalf_of="ben")


def call(system: str = "crm", session_id: str | None = None) -> ToolCall:
    """Return a decoded `tools/call`."""
    headers = {} if session_id is None else {"mcp-session-id": session_id}
    return mcp.decode(request(tools_call(), system=system, headers=headers))


@dataclass
class Subject:
    """A ledger, and how a test breaks and mends it from outside."""

    ledger: Ledger
    break_it: Callable[[], None]
    mend: Callable[[], None]

    async def facts(
        self, claims: Claims = CLAIMS, asked: ToolCall | None = None, now_ns: int = NOW
    ) -> SessionFacts:
        """Return the facts of a call, which counts."""
        return (await self.ledger.situate(asked or call(), claims, now_ns)).session

    async def seen(self, claims: Claims = CLAIMS, now_ns: int = NOW) -> SessionFacts:
        """Return the facts without counting a call."""
        return await self.facts(claims, mcp.decode(request(resources_read(), headers={})), now_ns)

    async def calls(
        self,
        claims: Claims = CLAIMS,
        permit: Permit = PERMIT,
        asked: ToolCall | None = None,
        now_ns: int = NOW,
    ) -> None:
        """Make a call that is permitted."""
        await self.facts(claims, asked, now_ns)
        await self.ledger.permitted(asked or call(), claims, permit, now_ns)


def run(path: Path, statement: str) -> list[Any]:
    """Run a statement as another process would."""
    with closing(sqlite3.connect(path, timeout=5, isolation_level=None)) as db:
        return db.execute(statement).fetchall()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a ledger is kept."""
    return tmp_path / "ledger.db"


@pytest.fixture(params=["SQLiteLedger", "FakeLedger"])
def subject(request: pytest.FixtureRequest, path: Path) -> Iterator[Subject]:
    """Each adapter of the port in turn."""
    if request.param == "FakeLedger":
        fake = FakeLedger()
        broken = {"situate": "raises", "permitted": "raises"}
        yield Subject(fake, lambda: fake.broken.update(broken), fake.broken.clear)
        return
    ledger = SQLiteLedger(path)
    yield Subject(
        ledger,
        lambda: run(path, "ALTER TABLE conduct_marks RENAME TO elsewhere") and None,
        lambda: run(path, "ALTER TABLE elsewhere RENAME TO conduct_marks") and None,
    )
    ledger.close()


async def test_of_a_new_session_nothing_is_known_but_the_call_itself(subject: Subject) -> None:
    """core/session_facts: the call being decided is counted."""
    assert await subject.seen() == SessionFacts()
    assert await subject.facts() == SessionFacts(calls=1, calls_in_minute=1)
    assert await subject.facts() == SessionFacts(calls=2, calls_in_minute=2)
    assert await subject.seen() == SessionFacts(calls=2, calls_in_minute=2)


async def test_a_permitted_call_marks_its_session_for_the_next_one(subject: Subject) -> None:
    """Issue: rules over session facts."""
    await subject.calls()
    assert await subject.seen() == SessionFacts(1, 1, CRM, CRM)
    await subject.calls(permit=TAINTED, asked=call("erp"))
    both = frozenset({"crm", "erp"})
    assert await subject.seen() == SessionFacts(2, 2, both, CRM, True)


async def test_a_call_that_was_not_permitted_marks_nothing(subject: Subject) -> None:
    """core/session_facts: what was not sent brought nothing; it counts all the same."""
    assert await subject.facts() == SessionFacts(1, 1)
    assert (await subject.seen()).systems == frozenset()


async def test_what_only_writes_marks_its_system_and_no_domain(subject: Subject) -> None:
    """core/session_facts: `domains_read`."""
    await subject.calls(permit=WRITE)
    assert await subject.seen() == SessionFacts(1, 1, CRM)


async def test_marks_are_never_taken_back(subject: Subject) -> None:
    """core/session_facts: facts only widen."""
    await subject.calls(permit=TAINTED)
    for _ in range(3):
        await subject.calls()
    assert (await subject.seen()).untrusted_input


SAME = {
    "a new session of MCP": (CLAIMS, call(session_id="s-2")),
    "another system": (CLAIMS, call("erp")),
    "a new token": (replace(CLAIMS, token_id="t-2", token_digest="sha256:22"), call()),
    "another key": (replace(CLAIMS, key_id="k-2"), call()),
    "another instance": (replace(CLAIMS, instance="pod-2"), call()),
    "history at another length": (replace(CLAIMS, actors=("a", "b")), call()),
    "fewer scopes": (replace(CLAIMS, scopes=()), call()),
    "on behalf of somebody": (ANNA, call()),
}


@pytest.mark.parametrize(("claims", "asked"), SAME.values(), ids=SAME.keys())
async def test_taint_cannot_be_shed_by_what_an_agent_chooses(
    claims: Claims, asked: ToolCall, subject: Subject
) -> None:
    """Issue: taint flow; a new session, token, pod or person starts no new one."""
    await subject.calls(permit=TAINTED)
    facts = await subject.facts(claims, asked)
    assert (facts.calls, facts.calls_in_minute, facts.untrusted_input) == (2, 2, True)
    assert facts.domains_read == {"crm"}


async def test_taint_cannot_be_shed_by_leaving_the_person_out(subject: Subject) -> None:
    """House: a workload always holds a credential of its own."""
    await subject.calls(ANNA, TAINTED)
    facts = await subject.facts()
    assert (facts.calls, facts.untrusted_input, facts.systems) == (2, True, {"crm"})


APART = {
    "another subject": OTHER,
    "another issuer": replace(CLAIMS, issuer="https://other.example"),
    "another tenant": replace(CLAIMS, tenant="t-2"),
    "no name is not no tenant": replace(CLAIMS, tenant=""),
}


@pytest.mark.parametrize("claims", APART.values(), ids=APART.keys())
async def test_sessions_of_other_workloads_are_apart(claims: Claims, subject: Subject) -> None:
    """core/session_facts: of one workload."""
    await subject.calls(permit=TAINTED)
    assert await subject.facts(claims) == SessionFacts(1, 1)


async def test_one_persons_session_is_not_anothers(subject: Subject) -> None:
    """core/session_facts: for one person; what is done for nobody is in everybody's."""
    await subject.calls(ANNA, TAINTED)
    assert await subject.facts(BEN) == SessionFacts(1, 1)
    await subject.calls(CLAIMS, PERMIT, call("erp"))
    ben, anna = await subject.seen(BEN), await subject.seen(ANNA)
    assert (ben.calls, ben.untrusted_input, ben.systems) == (2, False, {"erp"})
    assert (anna.calls, anna.untrusted_input, anna.systems) == (2, True, {"crm", "erp"})


async def test_a_minute_is_the_last_sixty_seconds_at_least(subject: Subject) -> None:
    """core/session_facts: `calls_in_minute`; at its edge a second too much, never too little."""
    for later in (0, 1, 30 * SECOND, 59 * SECOND):
        await subject.facts(now_ns=NOW + later)
    edge = 60 * SECOND - 1
    assert (await subject.seen(now_ns=NOW + edge)).calls_in_minute == 4
    assert (await subject.seen(now_ns=NOW + edge + 2 * SECOND)).calls_in_minute == 2
    assert (await subject.seen(now_ns=NOW + 121 * SECOND)).calls_in_minute == 0
    assert (await subject.seen(now_ns=NOW + 121 * SECOND)).calls == 4


async def test_a_call_late_in_its_second_is_of_the_last_minute_for_all_of_it(
    subject: Subject,
) -> None:
    """core/session_facts: counted by seconds, and never too little."""
    await subject.facts(now_ns=NOW + SECOND - 1)
    assert (await subject.seen(now_ns=NOW + 61 * SECOND - 2)).calls_in_minute == 1
    assert (await subject.seen(now_ns=NOW + 62 * SECOND)).calls_in_minute == 0


async def test_a_session_is_forgotten_once_it_was_idle_for_long_enough(subject: Subject) -> None:
    """Settings: `ledger.session_idle_seconds`; what ended counts nowhere."""
    await subject.calls(permit=TAINTED)
    assert (await subject.seen(now_ns=NOW + HOUR - 1)).untrusted_input
    assert await subject.seen(now_ns=NOW + IDLE) == SessionFacts()
    assert await subject.facts(now_ns=NOW + IDLE) == SessionFacts(1, 1)
    assert await subject.facts(now_ns=NOW + IDLE + 2 * SECOND) == SessionFacts(2, 2)


async def test_what_is_noted_does_not_bring_back_a_session_that_ended(subject: Subject) -> None:
    """Settings: as above, whatever comes first in the new one."""
    await subject.calls(permit=TAINTED)
    await subject.ledger.permitted(call("erp"), CLAIMS, WRITE, NOW + IDLE)
    assert await subject.seen(now_ns=NOW + IDLE) == SessionFacts(0, 0, frozenset({"erp"}))


async def test_every_call_keeps_its_session_alive(subject: Subject) -> None:
    """Settings: idle is since the last call, refused ones too."""
    await subject.calls(permit=TAINTED)
    for hours in range(1, 6):
        now_ns = NOW + hours * (HOUR - 1)
        assert (await subject.facts(now_ns=now_ns)).untrusted_input
    assert (await subject.seen(now_ns=now_ns)).calls == 6


async def test_a_request_that_is_no_call_does_not_keep_a_session_alive(subject: Subject) -> None:
    """House: clients ping for ever."""
    await subject.calls(permit=TAINTED)
    assert (await subject.seen(now_ns=NOW + HOUR - 1)).untrusted_input
    assert await subject.facts(now_ns=NOW + IDLE) == SessionFacts(1, 1)


async def test_calls_for_people_keep_alive_what_was_done_for_nobody(subject: Subject) -> None:
    """House: or a workload would shed its own taint by waiting in another's name."""
    await subject.calls(permit=TAINTED)
    for hours in range(1, 4):
        assert (await subject.facts(ANNA, now_ns=NOW + hours * (HOUR - 1))).untrusted_input


async def test_a_hundred_calls_at_once_are_all_counted(subject: Subject) -> None:
    """Ledger.situate: may be called concurrently; no two calls are told the same count."""
    told: list[int] = []

    async def one() -> None:
        told.append((await subject.facts()).calls)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(one)
    assert sorted(told) == list(range(1, 101))


async def test_a_broken_store_is_said_and_gets_well_again(subject: Subject) -> None:
    """Design §7: `ledger_unavailable`, before a decision and after it."""
    await subject.calls()
    subject.break_it()
    for use in (subject.facts, lambda: subject.ledger.permitted(call(), CLAIMS, TAINTED, NOW)):
        with pytest.raises(LedgerUnavailable):
            await use()
        assert not subject.ledger.healthy()
    subject.mend()
    await subject.calls(permit=TAINTED)
    assert (await subject.seen()).untrusted_input
    assert subject.ledger.healthy()


# What only a store on disk can show.


def opened(path: Path) -> Subject:
    """Return a ledger on disk."""
    return Subject(SQLiteLedger(path), lambda: None, lambda: None)


def close(subject: Subject) -> None:
    """Close a ledger on disk."""
    assert isinstance(subject.ledger, SQLiteLedger)
    subject.ledger.close()


async def test_facts_survive_the_process(path: Path) -> None:
    """Ledger.situate: a restart sheds nothing, and resets no budget."""
    first = opened(path)
    for _ in range(3):
        await first.calls(ANNA, TAINTED)
    before = await first.seen(ANNA)
    close(first)
    second = opened(path)
    assert await second.seen(ANNA) == before == SessionFacts(3, 3, CRM, CRM, True)
    close(second)


async def test_a_crash_takes_no_mark_and_at_most_the_counts_of_a_second(path: Path) -> None:
    """Ledger.permitted: durable when this returns. The first ledger is never closed in order."""
    first = opened(path)
    await first.calls(permit=TAINTED)
    for tenth in range(1, 30):
        await first.facts(now_ns=NOW + tenth * SECOND // 10)
    second = opened(path)
    facts = await second.seen(now_ns=NOW + 3 * SECOND)
    assert (facts.systems, facts.untrusted_input) == ({"crm"}, True)
    assert 20 <= facts.calls <= 30
    close(second)
    close(first)


async def test_an_answer_that_goes_on_keeps_its_mark_alive(subject: Subject) -> None:
    """core/session_facts: or what comes late would taint nothing."""
    await subject.calls(permit=TAINTED)
    for hour in (1, 2):
        await subject.ledger.permitted(call(), CLAIMS, TAINTED, NOW + hour * HOUR - SECOND)
    assert (await subject.seen(now_ns=NOW + 3 * HOUR - 2 * SECOND)).untrusted_input
    # Also if the session was forgotten meanwhile.
    await subject.ledger.permitted(call(), CLAIMS, TAINTED, NOW + 9 * HOUR)
    assert (await subject.seen(now_ns=NOW + 9 * HOUR)).untrusted_input


async def test_a_call_that_another_one_overtook_writes_nothing_again(path: Path) -> None:
    """House: a call waits for the disk only if it brings something new."""
    subject = opened(path)
    await subject.calls(permit=TAINTED)
    await subject.facts(now_ns=NOW + 2)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        await subject.ledger.permitted(call(), CLAIMS, TAINTED, NOW + 1)
    close(subject)


async def test_a_burst_is_seen_by_another_gateway_although_no_call_follows_it(path: Path) -> None:
    """ledger/conduct: or a limited agent would take turns between gateways."""
    with closing(SQLiteLedger(path)) as one, closing(SQLiteLedger(path)) as other:
        for burst in range(5):
            await one.situate(call(), CLAIMS, NOW + burst)
        asked = mcp.decode(request(resources_read(), headers={}))
        async with background() as tasks:
            tasks.start_soon(one.tended, 0.001)
            with anyio.fail_after(10):
                while (await other.situate(asked, CLAIMS, NOW + SECOND)).session.calls < 5:
                    await anyio.lowlevel.checkpoint()


async def test_a_file_that_failed_is_well_again_although_no_call_comes(path: Path) -> None:
    """House: who says that it is not ready gets no calls, and would say so for ever."""
    with closing(SQLiteLedger(path)) as ledger:
        run(path, "ALTER TABLE conduct RENAME TO elsewhere")
        with pytest.raises(LedgerUnavailable):
            await ledger.situate(call(), CLAIMS, NOW)
        async with background() as tasks:
            tasks.start_soon(ledger.tended, 0.001)
            with anyio.move_on_after(0.1):
                while not ledger.healthy():
                    await anyio.lowlevel.checkpoint()
            assert not ledger.healthy()
            run(path, "ALTER TABLE elsewhere RENAME TO conduct")
            with anyio.fail_after(10):
                while not ledger.healthy():
                    await anyio.lowlevel.checkpoint()


async def test_gateways_on_one_file_agree_on_marks_at_once(path: Path) -> None:
    """House: the same agent may be served by either."""
    one, two = opened(path), opened(path)
    await two.facts()
    await one.calls(permit=TAINTED)
    assert (await two.facts()).untrusted_input
    await two.calls(asked=call("erp"))
    assert (await one.facts()).systems == {"crm", "erp"}
    close(one)
    close(two)


async def test_gateways_on_one_file_add_up_their_counts(path: Path) -> None:
    """House: a budget is not doubled by a second gateway; it knows after a second."""
    one, two = opened(path), opened(path)
    for second in range(5):
        for subject in (one, two):
            await subject.facts(now_ns=NOW + second * SECOND)
    assert (await one.facts(now_ns=NOW + 5 * SECOND)).calls >= 10
    close(one)
    close(two)
    third = opened(path)
    assert await third.seen(now_ns=NOW + 5 * SECOND) == SessionFacts(11, 11)
    close(third)


@pytest.mark.parametrize("after", [59 * SECOND, 30 * 60 * SECOND], ids=["soon", "late"])
async def test_no_gateway_forgets_a_session_that_another_one_serves(path: Path, after: int) -> None:
    """House: the file knows the last use well enough, also of one whose counts still wait."""
    one, two = opened(path), opened(path)
    await one.calls(permit=TAINTED)
    await one.facts(OTHER, now_ns=NOW + after - SECOND // 2)
    await one.facts(now_ns=NOW + after)
    last_moment = NOW + after + HOUR - 1
    await two.facts(OTHER, now_ns=last_moment)
    assert (await two.seen(now_ns=last_moment)).untrusted_input
    assert (await one.facts(now_ns=last_moment)).untrusted_input
    close(one)
    close(two)


async def test_a_use_that_still_waits_keeps_a_session_alive(path: Path) -> None:
    """House: what the file has is older than what is known."""
    subject = opened(path)
    await subject.calls(permit=TAINTED)
    await subject.facts(OTHER, now_ns=NOW + 58 * SECOND)
    await subject.facts(now_ns=NOW + 58 * SECOND + 1)
    assert run(path, "SELECT COUNT(*) FROM conduct WHERE used_at > 0 AND calls > 1") == [(0,)]
    assert (await subject.facts(now_ns=NOW + HOUR + 117 * SECOND)).untrusted_input
    close(subject)


async def test_a_mark_that_the_session_has_is_not_written_again(path: Path) -> None:
    """House: a call whose facts are known does not wait for the disk."""
    subject = opened(path)
    await subject.calls(permit=TAINTED)
    await subject.facts()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for permit in (PERMIT, TAINTED, WRITE):
            await subject.ledger.permitted(call(), CLAIMS, permit, NOW)
        with pytest.raises(LedgerUnavailable):
            await subject.ledger.permitted(call("erp"), CLAIMS, PERMIT, NOW)
    close(subject)


async def test_what_is_known_of_one_session_is_not_taken_for_another(path: Path) -> None:
    """House: each has to note what it brings."""
    subject = opened(path)
    await subject.calls(permit=TAINTED)
    await subject.calls(OTHER, TAINTED)
    close(subject)
    again = opened(path)
    for claims in (OTHER, CLAIMS):
        assert (await again.seen(claims)).untrusted_input
    close(again)


async def test_what_one_person_brought_is_noted_for_the_next_as_well(path: Path) -> None:
    """House: that the workload has it already does not put it into a person's session."""
    subject = opened(path)
    for claims in (ANNA, BEN):
        await subject.facts(claims)
        await subject.calls(claims, TAINTED)
        assert (await subject.seen(claims)).untrusted_input
    close(subject)


async def test_what_was_known_of_a_session_that_ended_is_noted_again(path: Path) -> None:
    """House: marks that were forgotten are not taken for known."""
    subject = opened(path)
    await subject.calls(permit=TAINTED)
    await subject.calls(permit=TAINTED, now_ns=NOW + IDLE)
    close(subject)
    again = opened(path)
    assert await again.seen(now_ns=NOW + IDLE) == SessionFacts(1, 1, CRM, CRM, True)
    close(again)


async def test_whoever_drops_out_of_memory_loses_no_mark(
    path: Path,
) -> None:
    """House: memory is bounded, and what it forgets is on disk."""
    subject = opened(path)
    await subject.calls(permit=TAINTED)
    ledger = subject.ledger
    assert isinstance(ledger, SQLiteLedger)
    for number in range(MAX_KNOWN):
        ledger._know(Scope((str(number), ""), ("",)), frozenset(), NOW)
    assert len(ledger._known) == MAX_KNOWN
    await ledger.permitted(call(), CLAIMS, TAINTED, NOW)
    assert (await subject.facts()).untrusted_input
    close(subject)


async def test_counts_that_cannot_be_written_deny(path: Path) -> None:
    """House: a ledger that cannot be written denies; what was counted is not lost by it."""
    subject = opened(path)
    await subject.facts()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert (await subject.facts(now_ns=NOW + SECOND // 2)).calls == 2
        with pytest.raises(LedgerUnavailable):
            await subject.facts(now_ns=NOW + SECOND)
    assert (await subject.facts(now_ns=NOW + SECOND)).calls == 4
    close(subject)


async def test_calls_write_about_once_a_second(path: Path) -> None:
    """House: counts wait in memory, a second at most while calls come."""
    subject = opened(path)
    written = []
    for later in (0, SECOND - 1, SECOND, SECOND + 1, 3 * SECOND, 3 * SECOND + 1):
        await subject.facts(now_ns=NOW + later)
        written.append(run(path, "SELECT MAX(calls) FROM conduct")[0][0])
    assert written == [1, 1, 3, 3, 5, 5]
    close(subject)


async def test_a_clock_that_was_set_back_keeps_every_fact(path: Path) -> None:
    """House: time that goes wrong widens, never narrows."""
    subject = opened(path)
    await subject.calls(permit=TAINTED)
    facts = await subject.facts(now_ns=NOW - 10 * HOUR)
    assert (facts.calls, facts.calls_in_minute, facts.untrusted_input) == (2, 2, True)
    assert run(path, "SELECT MAX(calls) FROM conduct") == [(2,)], "and none waits until then"
    close(subject)


async def test_what_waits_is_bounded(path: Path) -> None:
    """House: many workloads in one second fill no memory, and none of their counts is lost."""
    subject = opened(path)
    agents = [replace(CLAIMS, subject=f"agent-{n}") for n in range(conduct.MAX_WAITING // 2 + 10)]
    for claims in agents:
        await subject.facts(claims)
    assert run(path, "SELECT COUNT(*) FROM conduct")[0][0] > conduct.MAX_WAITING
    assert (await subject.seen(agents[0])).calls == (await subject.seen(agents[-1])).calls == 1
    close(subject)


async def test_counts_are_written_without_waiting_for_the_disk_and_marks_are_not(
    path: Path,
) -> None:
    """House: SQLite, `PRAGMA synchronous`; what a crash may take and what it may not."""
    subject, said = opened(path), list[str]()
    ledger = subject.ledger
    assert isinstance(ledger, SQLiteLedger)
    ledger._db.set_trace_callback(said.append)

    def waits() -> bool:
        return "PRAGMA synchronous = NORMAL" not in said[: said.index("COMMIT")]

    await subject.facts()
    assert not waits()
    said.clear()
    await ledger.permitted(call(), CLAIMS, PERMIT, NOW)
    assert waits()
    close(subject)


async def test_seconds_that_are_past_leave_the_file(path: Path) -> None:
    """House: sixty a session and few more, however long it lasts."""
    subject = opened(path)
    for second in range(0, 400, 2):
        await subject.facts(now_ns=NOW + second * SECOND)
    (most,) = run(path, "SELECT MAX(n) FROM (SELECT COUNT(*) n FROM conduct_seconds GROUP BY key)")
    assert most[0] <= conduct.WINDOW_SECONDS // 2 + 1
    close(subject)


async def test_sessions_that_ended_leave_the_file(path: Path) -> None:
    """House: the ledger does not grow with every session there ever was."""
    subject = opened(path)
    await subject.calls(permit=TAINTED)
    await subject.facts(OTHER, now_ns=NOW + IDLE)
    close(subject)
    assert run(path, "SELECT COUNT(*) FROM conduct_marks") == [(0,)]
    assert run(path, "SELECT COUNT(*) FROM conduct") == [(2,)]


@pytest.mark.parametrize("counted", [True, False], ids=["a call", "a mark"])
async def test_a_session_that_ended_counts_nowhere_however_many_wait_to_be_removed(
    counted: bool, path: Path
) -> None:
    """House: a write removes a few at a time, and always those that it is about."""
    subject = opened(path)
    await subject.calls(permit=TAINTED)
    with closing(sqlite3.connect(path)) as db:
        rows = [(f"k-{n}", 1, NOW - 1) for n in range(9 * conduct.FORGOTTEN_AT_ONCE)]
        db.executemany("INSERT INTO conduct VALUES (?, ?, ?)", rows)
        db.commit()
    if counted:
        await subject.facts(now_ns=NOW + IDLE)
    await subject.ledger.permitted(call("erp"), CLAIMS, WRITE, NOW + IDLE)
    close(subject)
    again = opened(path)
    facts = await again.seen(now_ns=NOW + IDLE)
    assert facts == SessionFacts(int(counted), int(counted), frozenset({"erp"}))
    close(again)


async def test_when_there_are_too_many_sessions_new_ones_are_refused_and_none_is_lost(
    path: Path,
) -> None:
    """House: whoever were pushed out would have shed its taint."""
    subject = opened(path)
    await subject.calls(permit=TAINTED)
    with closing(sqlite3.connect(path)) as db:
        rows = [(f"k-{n}", 1, NOW) for n in range(conduct.MAX_KEPT - 2)]
        db.executemany("INSERT INTO conduct VALUES (?, ?, ?)", rows)
        db.commit()
    with pytest.raises(LedgerUnavailable) as refused:
        await subject.facts(OTHER)
    assert refused.value.reason_code == "sessions_full"
    assert (await subject.facts()).untrusted_input, "who was there goes on"
    assert subject.ledger.healthy()
    assert (await subject.facts(OTHER, now_ns=NOW + IDLE)).calls == 1, "once the others ended"
    close(subject)


async def test_a_ledger_of_an_older_version_gets_facts(path: Path) -> None:
    """House: an upgrade needs no step of its own."""
    SQLiteLedger(path).close()
    for table in ("conduct_marks", "conduct_seconds", "conduct"):
        run(path, f"DROP TABLE {table}")
    subject = opened(path)
    await subject.calls(permit=TAINTED)
    assert (await subject.seen()).untrusted_input
    close(subject)


async def test_the_file_does_not_say_whose_a_session_is(path: Path) -> None:
    """House: whom agents act for is personal; the digest is all that is needed."""
    subject = opened(path)
    await subject.calls(replace(CLAIMS, on_behalf_of="canary-person"), TAINTED)
    kept = b"".join(file.read_bytes() for file in path.parent.iterdir())
    close(subject)
    assert b"conduct_marks" in kept and b"canary-person" not in kept


async def test_after_counts_were_written_every_other_write_is_synced(path: Path) -> None:
    """Ledger.permitted: durable, whatever came before it on this connection."""
    subject = opened(path)
    for second in range(3):
        await subject.facts(now_ns=NOW + second * SECOND)
    ledger = subject.ledger
    assert isinstance(ledger, SQLiteLedger)
    assert ledger._db.execute("PRAGMA synchronous").fetchone() == (2,)
    close(subject)


async def test_a_closed_ledger_notes_nothing(path: Path) -> None:
    """House: a call that comes while we stop is denied."""
    subject = opened(path)
    await subject.calls()
    close(subject)
    with pytest.raises(LedgerUnavailable):
        await subject.ledger.permitted(call("erp"), CLAIMS, PERMIT, NOW)
