import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from gateway.core.approval import Approval, Situation
from gateway.core.call import ToolCall
from gateway.core.claims import Claims
from gateway.core.errors import LedgerUnavailable
from gateway.core.obligation import ApprovalNeeded
from gateway.ledger.approvals import MAX_PENDING, MAX_PENDING_PER_SUBJECT
from gateway.ledger.sqlite import DEADLINE_SECONDS, SQLiteLedger
from gateway.ports import Ledger
from gateway.wire import mcp
from tests.fakes import CLAIMS, FakeLedger
from tests.pipeline.line import HOLD, request, tools_call

NOW = 1_795_510_800_000_000_000
SECOND = 1_000_000_000


def call(**params: Any) -> ToolCall:
    """Return a decoded `tools/call`."""
    return mcp.decode(request(tools_call(**params)))


@dataclass
class Subject:
    """A ledger, and how a test breaks and mends it from outside."""

    ledger: Ledger
    break_it: Callable[[], None]
    mend: Callable[[], None]

    async def hold(
        self, asked: ToolCall | None = None, claims: Claims = CLAIMS, now_ns: int = NOW
    ) -> Approval:
        """Hold a call."""
        return await self.ledger.hold(asked or call(), claims, HOLD, "call-1", now_ns)

    async def situate(
        self, asked: ToolCall | None = None, claims: Claims = CLAIMS, now_ns: int = NOW
    ) -> Situation:
        """Ask about a call."""
        return await self.ledger.situate(asked or call(), claims, now_ns)


def other_process(path: Path, *statements: str) -> None:
    """Run statements as another process would."""
    with closing(sqlite3.connect(path, timeout=5, isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)


@pytest.fixture(params=["SQLiteLedger", "FakeLedger"])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Each adapter of the port in turn."""
    if request.param == "FakeLedger":
        fake = FakeLedger()
        broken = {"situate": "raises", "hold": "raises"}
        yield Subject(fake, lambda: fake.broken.update(broken), fake.broken.clear)
        return
    path = tmp_path / "state" / "ledger.db"
    ledger = SQLiteLedger(path)
    yield Subject(
        ledger,
        lambda: other_process(path, "ALTER TABLE approvals RENAME TO elsewhere"),
        lambda: other_process(path, "ALTER TABLE elsewhere RENAME TO approvals"),
    )
    ledger.close()


async def test_a_call_that_nobody_held_has_no_approval(subject: Subject) -> None:
    """Ledger.situate: nothing known is said as nothing."""
    assert (await subject.situate()).approval is None
    assert subject.ledger.healthy()


async def test_a_held_call_is_found_by_its_repeat(subject: Subject) -> None:
    """Design §2: the repeat of the same call walks the line again."""
    held = await subject.hold()
    assert (held.state, held.expires_at) == ("pending", NOW + 600 * SECOND)
    assert (await subject.situate()).approval == held
    assert (await subject.situate(call())).approval == held, "a new decoding of the same bytes"


async def test_a_repeat_joins_the_request_that_is_open(subject: Subject) -> None:
    """Ledger.hold: the first expiry stands, or repeating would keep a request open for ever."""
    held = await subject.hold()
    assert await subject.hold(now_ns=NOW + SECOND) == held


async def test_fifty_repeats_at_once_open_one_request(subject: Subject) -> None:
    """Ledger.hold: may be called concurrently."""
    ids: list[str] = []

    async def one() -> None:
        ids.append((await subject.hold()).id)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(one)
    assert (len(ids), len(set(ids))) == (50, 1)


OTHERS: dict[str, tuple[ToolCall, Claims]] = {
    "a changed byte of an argument": (call(arguments={"customer": "c-2"}), CLAIMS),
    "a number that was text": (call(arguments={"customer": 1}), CLAIMS),
    "one argument more": (call(arguments={"customer": "c-1", "all": None}), CLAIMS),
    "another tool": (call(name="crm.write"), CLAIMS),
    "another system": (
        replace(call(), request=replace(call().request, system="erp")),
        CLAIMS,
    ),
    "another subject": (call(), replace(CLAIMS, subject="spiffe://corp.example/agent/other")),
    "another issuer": (call(), replace(CLAIMS, issuer="https://other.example")),
    "another tenant": (call(), replace(CLAIMS, tenant="t-2")),
    "on behalf of somebody": (call(), replace(CLAIMS, on_behalf_of="user-1")),
    "another actor": (call(), replace(CLAIMS, actors=("a", "b"))),
}


@pytest.mark.parametrize(("asked", "claims"), OTHERS.values(), ids=OTHERS.keys())
async def test_another_call_is_another_request(
    asked: ToolCall, claims: Claims, subject: Subject
) -> None:
    """Design §1.5: an approval bounds one exact call by one subject."""
    held = await subject.hold()
    assert (await subject.situate(asked, claims)).approval is None
    assert (await subject.hold(asked, claims)).id != held.id


async def test_the_order_of_arguments_does_not_make_another_request(subject: Subject) -> None:
    """core/approval: the digest is taken over RFC 8785 bytes."""
    held = await subject.hold(call(arguments={"a": 1, "b": 2}))
    assert (await subject.hold(call(arguments={"b": 2, "a": 1}))).id == held.id


async def test_a_request_ends_at_the_instant_of_its_expiry(subject: Subject) -> None:
    """Design §4: `expires_at` is an instant; from it on, the request is gone."""
    held = await subject.hold()
    assert (await subject.situate(now_ns=held.expires_at - 1)).approval == held
    assert (await subject.situate(now_ns=held.expires_at)).approval is None
    assert (await subject.hold(now_ns=held.expires_at)).id != held.id


async def test_only_tool_calls_are_looked_up(subject: Subject) -> None:
    """House: nothing else can be held by policy, so nothing else has an approval."""
    other = replace(call(), action="prompts/get")
    assert (await subject.situate(other)).approval is None


async def test_a_broken_store_is_said_and_gets_well_again(subject: Subject) -> None:
    """Design §7: `ledger_unavailable`; healthy speaks of the last use."""
    held = await subject.hold()
    subject.break_it()
    with pytest.raises(LedgerUnavailable):
        await subject.situate()
    assert not subject.ledger.healthy()
    with pytest.raises(LedgerUnavailable):
        await subject.hold()
    assert not subject.ledger.healthy()
    subject.mend()
    assert (await subject.situate()).approval == held
    assert subject.ledger.healthy()
    assert (await subject.hold()).id == held.id, "no transaction was left open"


# What only a store on disk can show.


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a ledger is kept."""
    return tmp_path / "ledger.db"


async def test_a_request_survives_the_process(path: Path) -> None:
    """Ledger.hold: durable when this returns."""
    first = SQLiteLedger(path)
    held = await first.hold(call(), CLAIMS, HOLD, "call-1", NOW)
    first.close()
    second = SQLiteLedger(path)
    assert (await second.situate(call(), CLAIMS, NOW)).approval == held
    second.close()


async def test_two_gateways_on_one_file_open_one_request(path: Path) -> None:
    """House: the check and the insert are one transaction, also across processes."""
    ledgers = [SQLiteLedger(path), SQLiteLedger(path)]
    ids: set[str] = set()

    async def one(ledger: SQLiteLedger) -> None:
        ids.add((await ledger.hold(call(), CLAIMS, HOLD, "call-1", NOW)).id)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(one, ledgers[number % 2])
    for ledger in ledgers:
        ledger.close()
    assert len(ids) == 1


async def test_a_request_that_another_gateway_is_about_to_store_is_joined(path: Path) -> None:
    """House: the write lock is taken before the check, so the check sees what it waited for."""
    ledger, found = SQLiteLedger(path), []
    held = await ledger.hold(call(), CLAIMS, HOLD, "call-1", NOW)

    async def hold() -> None:
        found.append(await ledger.hold(call(), CLAIMS, HOLD, "call-2", NOW))

    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        row = other.execute("SELECT * FROM approvals").fetchone()
        other.execute("DELETE FROM approvals")
        other.execute("BEGIN IMMEDIATE")
        other.execute(f"INSERT INTO approvals VALUES ({', '.join('?' * len(row))})", row)
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(hold)
                for _ in range(1000):  # long enough for the other thread to be waiting by now
                    await anyio.lowlevel.checkpoint()
                other.execute("COMMIT")
    ledger.close()
    assert found == [held]


async def test_what_a_person_must_see_is_stored(path: Path) -> None:
    """Identity-and-approvals: the stored bytes are what is approved."""
    ledger, asked = SQLiteLedger(path), call()
    await ledger.hold(asked, CLAIMS, HOLD, "call-1", NOW)
    ledger.close()
    with closing(sqlite3.connect(path)) as db:
        db.row_factory = sqlite3.Row
        (row,) = db.execute("SELECT * FROM approvals").fetchall()
    assert (row["call_id"], row["subject"]) == ("call-1", CLAIMS.subject)
    assert (row["system"], row["tool"]) == ("crm", "crm.read")
    assert row["arguments"] == b'{"customer":"c-1"}'
    assert row["request_body"] == asked.request.body
    assert (row["approvers"], row["approvers_needed"]) == ("leads", 1)


async def test_a_file_that_another_process_holds_is_unavailable_and_not_waited_for(
    path: Path,
) -> None:
    """Design §7: bounded by the busy time; then it recovers."""
    ledger = SQLiteLedger(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with anyio.fail_after(5):
            with pytest.raises(LedgerUnavailable):
                await ledger.hold(call(), CLAIMS, HOLD, "call-1", NOW)
        assert not ledger.healthy()
        other.execute("ROLLBACK")
    assert (await ledger.hold(call(), CLAIMS, HOLD, "call-1", NOW)).state == "pending"
    assert ledger.healthy()
    ledger.close()


async def test_a_waiting_disk_does_not_stop_the_event_loop(path: Path) -> None:
    """House: other calls go on while the ledger waits for its file."""
    ledger, steps = SQLiteLedger(path), 0
    done = anyio.Event()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        async def hold() -> None:
            with pytest.raises(LedgerUnavailable):
                await ledger.hold(call(), CLAIMS, HOLD, "call-1", NOW)
            done.set()

        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(hold)
                while not done.is_set():
                    await anyio.lowlevel.checkpoint()
                    steps += 1
    ledger.close()
    assert steps > 10


async def test_an_approval_that_would_outlive_the_calendar_breaks_nothing(path: Path) -> None:
    """House: what SQLite cannot store is refused, and leaves no transaction behind."""
    ledger = SQLiteLedger(path)
    for_ever = replace(HOLD, approval=ApprovalNeeded("leads", 1, 2**53 - 1))
    with pytest.raises(LedgerUnavailable):
        await ledger.hold(call(), CLAIMS, for_ever, "call-1", NOW)
    assert (await ledger.hold(call(), CLAIMS, HOLD, "call-1", NOW)).state == "pending"
    ledger.close()


@pytest.mark.parametrize("what", ["a folder", "not a database", "a folder that is a file"])
def test_a_path_that_cannot_be_a_ledger_does_not_open(what: str, path: Path) -> None:
    """SQLiteLedger: opening raises, so the gateway does not start."""
    if what == "a folder":
        path.mkdir()
    elif what == "not a database":
        path.write_bytes(os.urandom(8192))
    else:
        path.write_text("")
        path = path / "ledger.db"
    with pytest.raises(LedgerUnavailable):
        SQLiteLedger(path)


async def test_a_damaged_file_is_unavailable(path: Path) -> None:
    """Design §7: what cannot be read denies."""
    SQLiteLedger(path).close()
    damage(path)
    ledger = SQLiteLedger(path)
    with pytest.raises(LedgerUnavailable):
        await ledger.hold(call(), CLAIMS, HOLD, "call-1", NOW)
    assert not ledger.healthy()
    ledger.close()


def damage(path: Path) -> None:
    """Overwrite every page but the first."""
    pages = bytearray(path.read_bytes())
    pages[4096:] = os.urandom(len(pages) - 4096)
    path.write_bytes(pages)


@pytest.mark.parametrize("by", ["nothing", "a folder", "an older copy"])
async def test_a_file_that_was_taken_away_is_unavailable(by: str, path: Path) -> None:
    """Ledger.hold: SQLite would go on writing to an unlinked file, which is durable for nobody."""
    ledger = SQLiteLedger(path)
    held = await ledger.hold(call(), CLAIMS, HOLD, "call-1", NOW)
    aside = take_away(path, by)
    with pytest.raises(LedgerUnavailable):
        await ledger.hold(call(name="crm.write"), CLAIMS, HOLD, "call-2", NOW)
    assert not ledger.healthy()
    put_back(path, aside)
    assert (await ledger.situate(call(), CLAIMS, NOW)).approval == held
    assert ledger.healthy()
    ledger.close()


def take_away(path: Path, by: str) -> Path:
    """Move the file aside and put something else in its place."""
    aside = path.rename(path.with_name("aside"))
    if by == "a folder":
        path.mkdir()
    elif by == "an older copy":
        path.write_bytes(aside.read_bytes())
    return aside


def put_back(path: Path, aside: Path) -> None:
    """Undo `take_away`."""
    if path.is_dir():
        path.rmdir()
    aside.rename(path)


async def test_a_closed_ledger_is_unavailable(path: Path) -> None:
    """House: a call that comes while we stop is denied."""
    ledger = SQLiteLedger(path)
    ledger.close()
    with pytest.raises(LedgerUnavailable):
        await ledger.situate(call(), CLAIMS, NOW)
    assert not ledger.healthy()


def nth(number: int) -> ToolCall:
    """Return a call that differs from every other number's."""
    return call(arguments={"customer": f"c-{number}"})


def by(number: int) -> Claims:
    """Return the claims of another subject than every other number's."""
    return replace(CLAIMS, subject=f"spiffe://corp.example/agent/{number}")


async def test_one_subject_cannot_flood_the_people_who_approve(path: Path) -> None:
    """House: over the cap a hold is refused; who was held before still joins, others are heard."""
    ledger = SQLiteLedger(path)
    held = [
        await ledger.hold(nth(number), CLAIMS, HOLD, "call-1", NOW)
        for number in range(MAX_PENDING_PER_SUBJECT)
    ]
    with pytest.raises(LedgerUnavailable) as refused:
        await ledger.hold(nth(99), CLAIMS, HOLD, "call-2", NOW)
    assert refused.value.reason_code == "approvals_full"
    assert ledger.healthy(), "the file is well"
    assert (await ledger.situate(nth(99), CLAIMS, NOW)).approval is None
    assert await ledger.hold(nth(0), CLAIMS, HOLD, "call-3", NOW) == held[0]
    assert (await ledger.hold(nth(99), by(1), HOLD, "call-4", NOW)).state == "pending"
    ledger.close()


async def test_all_subjects_together_cannot_flood_the_people_who_approve(path: Path) -> None:
    """House: subjects cost an attacker little."""
    ledger = SQLiteLedger(path)
    await ledger.hold(call(), by(0), HOLD, "call-1", NOW)
    copies(path, MAX_PENDING - 2)
    await ledger.hold(call(), by(1), HOLD, "call-2", NOW)
    with pytest.raises(LedgerUnavailable) as refused:
        await ledger.hold(call(), by(2), HOLD, "call-3", NOW)
    assert refused.value.reason_code == "approvals_full"
    ledger.close()


def copies(path: Path, count: int) -> None:
    """Add copies of the one stored request, each by a subject of its own."""
    with closing(sqlite3.connect(path)) as db:
        row = db.execute("SELECT * FROM approvals").fetchone()
        rows = [(f"id-{n}", f"m-{n}", *row[2:4], f"s-{n}", *row[5:]) for n in range(count)]
        db.executemany(f"INSERT INTO approvals VALUES ({', '.join('?' * len(row))})", rows)
        db.commit()


async def test_expired_requests_make_room_and_leave_the_file(path: Path) -> None:
    """House: the ledger does not grow with every request ever made."""
    ledger = SQLiteLedger(path)
    for number in range(MAX_PENDING_PER_SUBJECT):
        held = await ledger.hold(nth(number), CLAIMS, HOLD, "call-1", NOW + number)
    again = await ledger.hold(nth(99), CLAIMS, HOLD, "call-2", held.expires_at - 1)
    ledger.close()
    with closing(sqlite3.connect(path)) as db:
        stored = {row[0] for row in db.execute("SELECT id FROM approvals")}
    assert stored == {held.id, again.id}


FILES = ("ledger.db", "ledger.db-wal", "ledger.db-shm")


def modes(folder: Path) -> dict[str, int]:
    """Return the mode of each of the ledger's files."""
    return {name: (folder / name).stat().st_mode & 0o777 for name in FILES}


async def test_only_its_owner_can_read_a_ledger(tmp_path: Path) -> None:
    """House: it holds what agents asked for, personal data included."""
    folder = tmp_path / "state"
    ledger = SQLiteLedger(folder / "ledger.db")
    await ledger.hold(call(), CLAIMS, HOLD, "call-1", NOW)
    assert modes(folder) == dict.fromkeys(FILES, 0o600)
    assert folder.stat().st_mode & 0o777 == 0o700
    ledger.close()


async def test_a_ledger_that_others_could_read_is_narrowed(path: Path) -> None:
    """House: also what an older version, or a crash, left behind."""
    first = SQLiteLedger(path)
    await first.hold(call(), CLAIMS, HOLD, "call-1", NOW)
    for name in FILES:
        (path.parent / name).chmod(0o644)
    second = SQLiteLedger(path)
    assert modes(path.parent) == dict.fromkeys(FILES, 0o600)
    first.close()
    second.close()


def test_what_is_no_ledger_keeps_its_mode(path: Path) -> None:
    """House: a path that was mistyped changes nothing."""
    path.write_bytes(os.urandom(8192))
    path.chmod(0o644)
    with pytest.raises(LedgerUnavailable):
        SQLiteLedger(path)
    assert path.stat().st_mode & 0o777 == 0o644


async def test_a_long_queue_is_not_waited_for_to_its_end(path: Path) -> None:
    """House: what waits for the ledger outlives its caller, so the wait has one bound for all."""
    ledger = SQLiteLedger(path)
    refused: list[str] = []

    async def hold(number: int) -> None:
        with pytest.raises(LedgerUnavailable) as caught:
            await ledger.hold(call(arguments={"n": number}), CLAIMS, HOLD, "call-1", NOW)
        refused.append(caught.value.reason_code)

    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        # Forty turns of a quarter of a second each would be ten seconds.
        with anyio.fail_after(4 * DEADLINE_SECONDS):
            async with anyio.create_task_group() as tasks:
                for number in range(40):
                    tasks.start_soon(hold, number)
    assert refused == ["ledger_unavailable"] * 40
    assert not ledger.healthy()
    ledger.close()
