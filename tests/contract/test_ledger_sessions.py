import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from gateway.core.approval import Situation
from gateway.core.call import ToolCall
from gateway.core.claims import Claims
from gateway.core.errors import LedgerUnavailable
from gateway.core.session import IDLE_NS
from gateway.ledger import sessions
from gateway.ledger.sqlite import SQLiteLedger
from gateway.ports import Ledger
from gateway.wire import mcp
from tests.fakes import CLAIMS, FakeLedger
from tests.pipeline.line import HOLD, request, resources_read

NOW = 1_795_510_800_000_000_000
HOUR = 3600 * 1_000_000_000
OTHER = replace(CLAIMS, subject="spiffe://corp.example/agent/other")


def call(session_id: str | None = "s-1", system: str = "crm", **changed: Any) -> ToolCall:
    """Return a decoded request of that session, no `tools/call`."""
    headers = {} if session_id is None else {"mcp-session-id": session_id}
    body = resources_read() if "body" not in changed else changed.pop("body")
    return mcp.decode(request(body, headers=headers, system=system, **changed))


@dataclass
class Subject:
    """A ledger, and how a test breaks and mends it from outside."""

    ledger: Ledger
    break_it: Callable[[], None]
    mend: Callable[[], None]

    async def open(
        self,
        claims: Claims = CLAIMS,
        session_id: str = "s-1",
        system: str = "crm",
        now_ns: int = NOW,
    ) -> None:
        """Open a session."""
        await self.ledger.open_session(system, session_id, claims, now_ns)

    async def owns(
        self, claims: Claims = CLAIMS, asked: ToolCall | None = None, now_ns: int = NOW
    ) -> bool:
        """Say whether the session of the request is that of the claims' owner."""
        return (await self.ledger.situate(asked or call(), claims, now_ns)).session_owned

    async def conflicts(self, claims: Claims, now_ns: int = NOW) -> bool:
        """Say whether opening the session is refused as another's."""
        try:
            await self.open(claims, now_ns=now_ns)
        except LedgerUnavailable as refused:
            assert refused.reason_code == "session_conflict"
            return True
        return False


def run(path: Path, statement: str) -> list[Any]:
    """Run a statement as another process would."""
    with closing(sqlite3.connect(path, timeout=5, isolation_level=None)) as db:
        return db.execute(statement).fetchall()


def rename(path: Path, table: str, to: str) -> None:
    """Rename a table as another process would."""
    run(path, f"ALTER TABLE {table} RENAME TO {to}")


def take_away(path: Path) -> None:
    """Take the file away."""
    path.unlink()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a ledger is kept."""
    return tmp_path / "ledger.db"


@pytest.fixture(params=["SQLiteLedger", "FakeLedger"])
def subject(request: pytest.FixtureRequest, path: Path) -> Any:
    """Each adapter of the port in turn."""
    if request.param == "FakeLedger":
        fake = FakeLedger()
        broken = {"situate": "raises", "open_session": "raises"}
        yield Subject(fake, lambda: fake.broken.update(broken), fake.broken.clear)
        return
    ledger = SQLiteLedger(path)
    yield Subject(
        ledger,
        lambda: rename(path, "sessions", "elsewhere"),
        lambda: rename(path, "elsewhere", "sessions"),
    )
    ledger.close()


async def test_a_session_that_nobody_opened_is_nobodys(subject: Subject) -> None:
    """Ledger.situate: nothing known is said as nothing."""
    assert not await subject.owns()
    assert subject.ledger.healthy()


ASKED = {
    "POST": call(),
    "tools/call": call(body=None),
    "notification": call(body=b'{"jsonrpc":"2.0","method":"notifications/cancelled"}'),
    "client's response": call(body=b'{"jsonrpc":"2.0","id":1,"result":{}}'),
    "GET": call(body=b"", method="GET"),
    "DELETE": call(body=b"", method="DELETE"),
    "modern": replace(call(), era="modern"),
}


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED.keys())
async def test_a_session_is_its_owners_alone_in_every_kind_of_request(
    asked: ToolCall, subject: Subject
) -> None:
    """MCP reference §1: bound to the subject that opened it, and refused to another."""
    await subject.open()
    assert await subject.owns(asked=asked)
    assert not await subject.owns(OTHER, asked)


async def test_a_request_without_a_session_owns_none(subject: Subject) -> None:
    """Ledger.situate: also when its caller has one."""
    await subject.open()
    assert await subject.ledger.situate(call(None), CLAIMS, NOW) == Situation()


async def test_an_approval_and_a_session_are_found_together(subject: Subject) -> None:
    """Ledger.situate: one question about a call."""
    await subject.open()
    asked = call(body=None)
    held = await subject.ledger.hold(asked, CLAIMS, HOLD, "call-1", NOW)
    found = await subject.ledger.situate(asked, CLAIMS, NOW)
    assert (found.approval, found.session_owned) == (held, True)


OWNERS = {
    "another subject": OTHER,
    "another issuer": replace(CLAIMS, issuer="https://other.example"),
    "another tenant": replace(CLAIMS, tenant="t-2"),
    "no name is not no tenant": replace(CLAIMS, tenant=""),
    "on behalf of somebody": replace(CLAIMS, on_behalf_of="user-1"),
}


@pytest.mark.parametrize("claims", OWNERS.values(), ids=OWNERS.keys())
async def test_a_session_of_one_owner_cannot_be_used_or_taken_by_another(
    claims: Claims, subject: Subject
) -> None:
    """Issue 4: the owner is the agent and the person that it acts for."""
    await subject.open()
    assert not await subject.owns(claims)
    assert await subject.conflicts(claims)
    assert subject.ledger.healthy(), "the store is well"
    assert await subject.owns()
    assert not await subject.owns(claims), "nothing changed"


@pytest.mark.parametrize(("first", "second"), [("user-1", "user-2"), ("user-1", None)])
async def test_one_agent_does_not_carry_a_session_from_one_person_to_another(
    first: str, second: str | None, subject: Subject
) -> None:
    """House: what an upstream remembers of one person is not for the next."""
    await subject.open(replace(CLAIMS, on_behalf_of=first))
    assert await subject.owns(replace(CLAIMS, on_behalf_of=first))
    assert not await subject.owns(replace(CLAIMS, on_behalf_of=second))


SAME = {
    "a new token": replace(CLAIMS, token_id="token-2", token_digest="sha256:22"),
    "a longer token": replace(CLAIMS, expires_at=CLAIMS.expires_at + 60),
    "another key": replace(CLAIMS, key_id="key-2", algorithm="EdDSA"),
    "another instance": replace(CLAIMS, instance="pod-2"),
    "history at another length": replace(CLAIMS, actors=("a", "b")),
}


@pytest.mark.parametrize("claims", SAME.values(), ids=SAME.keys())
async def test_a_session_outlives_the_token_that_opened_it(
    claims: Claims, subject: Subject
) -> None:
    """House: tokens live minutes, sessions hours."""
    await subject.open()
    assert await subject.owns(claims)
    await subject.open(claims)
    assert await subject.owns()


async def test_an_id_means_nothing_on_another_system(subject: Subject) -> None:
    """House: each upstream issues its own; two may issue the same one."""
    await subject.open()
    assert not await subject.owns(asked=call(system="erp"))
    await subject.open(OTHER, system="erp")
    assert await subject.owns(OTHER, call(system="erp"))
    assert not await subject.owns(OTHER)


@pytest.mark.parametrize("other", ["S-1", "s-1 ", "s-", "", "s-1\x00", "s-2"])
async def test_an_id_is_compared_exactly(other: str, subject: Subject) -> None:
    """MCP transports: an id is visible ASCII and opaque."""
    await subject.open()
    assert not await subject.owns(asked=call(other))


async def test_a_session_is_forgotten_when_it_is_idle_for_too_long(subject: Subject) -> None:
    """House: the ledger does not grow with every session ever opened."""
    await subject.open()
    await subject.open(session_id="s-2")
    assert await subject.owns(now_ns=NOW + IDLE_NS - 1)
    idle = call("s-2")
    assert not await subject.owns(asked=idle, now_ns=NOW + IDLE_NS)
    await subject.open(OTHER, "s-2", now_ns=NOW + IDLE_NS)
    assert await subject.owns(OTHER, idle, NOW + IDLE_NS)
    assert not await subject.owns(asked=idle, now_ns=NOW + IDLE_NS)


async def test_a_session_that_is_used_lives_on(subject: Subject) -> None:
    """House: idle is since the last use, or the last time it was opened."""
    await subject.open()
    assert await subject.owns(now_ns=NOW + IDLE_NS - 1)
    assert await subject.owns(now_ns=NOW + 2 * IDLE_NS - 2)
    await subject.open(now_ns=NOW + 3 * IDLE_NS - 3)
    assert await subject.owns(now_ns=NOW + 4 * IDLE_NS - 4)


async def test_another_cannot_keep_a_session_alive_by_asking(subject: Subject) -> None:
    """House: what is refused changes nothing."""
    await subject.open()
    almost = NOW + IDLE_NS - 1
    assert not await subject.owns(OTHER, now_ns=almost)
    assert await subject.conflicts(OTHER, almost)
    assert not await subject.owns(now_ns=NOW + IDLE_NS)


async def test_of_many_owners_who_open_one_id_at_once_exactly_one_gets_it(
    subject: Subject,
) -> None:
    """Ledger.open_session: may be called concurrently."""
    owners = [replace(CLAIMS, subject=f"agent-{number}") for number in range(20)]
    won: list[Claims] = []

    async def one(claims: Claims) -> None:
        if not await subject.conflicts(claims):
            won.append(claims)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for claims in owners:
                tasks.start_soon(one, claims)
    assert len(won) == 1
    assert [claims for claims in owners if await subject.owns(claims)] == won


async def test_a_broken_store_is_said_and_gets_well_again(subject: Subject) -> None:
    """Design §7: `ledger_unavailable`, both on the way in and on the way back."""
    await subject.open()
    subject.break_it()
    for use in (subject.owns, subject.open):
        with pytest.raises(LedgerUnavailable) as failed:
            await use()
        assert failed.value.reason_code == "ledger_unavailable"
        assert not subject.ledger.healthy()
    subject.mend()
    assert await subject.owns()
    await subject.open()
    assert subject.ledger.healthy()


# What only a store on disk can show.


async def test_a_session_survives_the_process(path: Path) -> None:
    """Ledger.open_session: durable when this returns."""
    first = SQLiteLedger(path)
    await first.open_session("crm", "s-1", CLAIMS, NOW)
    first.close()
    second = SQLiteLedger(path)
    assert (await second.situate(call(), CLAIMS, NOW)).session_owned
    assert not (await second.situate(call(), OTHER, NOW)).session_owned
    second.close()


async def test_two_gateways_on_one_file_give_an_id_to_one_owner(path: Path) -> None:
    """House: the check and the insert are one transaction, also across processes."""
    ledgers = [SQLiteLedger(path), SQLiteLedger(path)]
    won: list[tuple[str, str]] = []

    async def one(ledger: SQLiteLedger, session_id: str, subject: str) -> None:
        try:
            claims = replace(CLAIMS, subject=subject)
            await ledger.open_session("crm", session_id, claims, NOW)
        except LedgerUnavailable as refused:
            assert refused.reason_code == "session_conflict"
        else:
            won.append((session_id, subject))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for number in range(10):
                tasks.start_soon(one, ledgers[0], f"s-{number}", "a")
                tasks.start_soon(one, ledgers[1], f"s-{number}", "b")
    for ledger in ledgers:
        ledger.close()
    assert sorted(session_id for session_id, _ in won) == [f"s-{n}" for n in range(10)]


async def test_a_ledger_of_an_older_version_gets_sessions(path: Path) -> None:
    """House: an upgrade needs no step of its own, and loses no request."""
    old = SQLiteLedger(path)
    held = await old.hold(call(body=None), CLAIMS, HOLD, "call-1", NOW)
    old.close()
    run(path, "DROP TABLE sessions")
    new = SQLiteLedger(path)
    await new.open_session("crm", "s-1", CLAIMS, NOW)
    found = await new.situate(call(body=None), CLAIMS, NOW)
    assert (found.approval, found.session_owned) == (held, True)
    new.close()


async def test_the_file_does_not_hold_a_sessions_id(path: Path) -> None:
    """House: whoever has an id may be taken for its owner by an upstream."""
    ledger = SQLiteLedger(path)
    await ledger.open_session("crm", "canary-session-77", CLAIMS, NOW)
    await ledger.situate(call("canary-session-77"), CLAIMS, NOW + 2 * HOUR)
    kept = b"".join(file.read_bytes() for file in path.parent.iterdir())
    ledger.close()
    assert b"spiffe://corp.example/agent/tester" in kept, "the session must be there to miss its id"
    assert b"canary-session-77" not in kept


async def test_a_request_that_is_no_tool_call_waits_for_no_writer(path: Path) -> None:
    """House: it reads what its session did, and writes nothing."""
    ledger = SQLiteLedger(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert await ledger.situate(call(None), CLAIMS, NOW) == Situation()
    ledger.close()


@pytest.mark.parametrize("session_id", ["s-1", None])
async def test_without_the_file_nothing_is_known_of_any_request(
    session_id: str | None, path: Path
) -> None:
    """Design §7: `ledger_unavailable`; what taints a session would be missed."""
    ledger = SQLiteLedger(path)
    take_away(path)
    with pytest.raises(LedgerUnavailable):
        await ledger.situate(call(session_id), CLAIMS, NOW)
    ledger.close()


async def test_a_use_is_written_at_most_once_an_hour(path: Path) -> None:
    """House: a call does not write; that the last use is known to the hour is enough."""
    ledger = SQLiteLedger(path)
    await ledger.open_session("crm", "s-1", CLAIMS, NOW)
    written = []
    for later in (1, HOUR - 1, HOUR, HOUR + 1, 2 * HOUR - 1, 2 * HOUR):
        await ledger.situate(call(), CLAIMS, NOW + later)
        written.append(run(path, "SELECT used_at FROM sessions")[0][0] - NOW)
    ledger.close()
    assert written == [0, 0, HOUR, HOUR, HOUR, 2 * HOUR]


async def test_after_a_use_was_noted_every_write_is_synced_again(path: Path) -> None:
    """Ledger.open_session: durable, whatever came before it on this connection."""
    ledger = SQLiteLedger(path)
    await ledger.open_session("crm", "s-1", CLAIMS, NOW)
    await ledger.situate(call(), CLAIMS, NOW + HOUR)
    assert ledger._db.execute("PRAGMA synchronous").fetchone() == (2,)
    ledger.close()


async def test_a_use_that_cannot_be_noted_leaves_every_write_synced(path: Path) -> None:
    """House: another process holds the file; the use is denied, and its repeat is not."""
    ledger = SQLiteLedger(path)
    await ledger.open_session("crm", "s-1", CLAIMS, NOW)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert (await ledger.situate(call(), CLAIMS, NOW + HOUR - 1)).session_owned
        with pytest.raises(LedgerUnavailable):
            await ledger.situate(call(), CLAIMS, NOW + HOUR)
    assert ledger._db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert (await ledger.situate(call(), CLAIMS, NOW + HOUR)).session_owned
    assert ledger.healthy()
    ledger.close()


def copies(path: Path, count: int, subject: str | None = None) -> None:
    """Add sessions older than the one stored, of its subject or each of a subject of its own."""
    with closing(sqlite3.connect(path)) as db:
        system, _, issuer, own, owner, used = db.execute("SELECT * FROM sessions").fetchone()
        rows = [
            (system, f"d-{n}", issuer, subject or f"agent-{n}", owner, used - count + n)
            for n in range(count)
        ]
        db.executemany("INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?)", rows)
        db.commit()


@pytest.mark.parametrize(
    ("count", "by", "gone"),
    [
        (sessions.MAX_SESSIONS_PER_SUBJECT - 2, CLAIMS.subject, 0),
        (sessions.MAX_SESSIONS_PER_SUBJECT - 1, CLAIMS.subject, 1),
        (sessions.MAX_SESSIONS_PER_SUBJECT + 9, CLAIMS.subject, 11),
        (sessions.MAX_SESSIONS_PER_SUBJECT + 9, None, 0),
        (sessions.MAX_SESSIONS - 2, None, 0),
        (sessions.MAX_SESSIONS - 1, None, 1),
    ],
    ids=["room", "full", "overfull", "of many subjects", "room for all", "full of all"],
)
async def test_when_there_are_too_many_the_one_unused_for_longest_goes(
    count: int, by: str | None, gone: int, path: Path
) -> None:
    """House: bounded, and a subject that leaves sessions open pushes out its own."""
    ledger = SQLiteLedger(path)
    await ledger.open_session("crm", "s-1", CLAIMS, NOW)
    copies(path, count, by)
    await ledger.open_session("crm", "s-2", CLAIMS, NOW)
    left = {row[0] for row in run(path, "SELECT id_digest FROM sessions")}
    assert {f"d-{n}" for n in range(count)} - left == {f"d-{n}" for n in range(gone)}
    for session_id in ("s-1", "s-2"):
        assert (await ledger.situate(call(session_id), CLAIMS, NOW)).session_owned
    ledger.close()


async def test_a_session_that_cannot_be_stored_pushes_nobody_out(path: Path) -> None:
    """House: making room and taking it are one transaction."""
    ledger = SQLiteLedger(path)
    await ledger.open_session("crm", "s-1", CLAIMS, NOW)
    copies(path, sessions.MAX_SESSIONS_PER_SUBJECT - 1, CLAIMS.subject)
    run(
        path,
        "CREATE TRIGGER full BEFORE INSERT ON sessions BEGIN SELECT RAISE(ABORT, 'full'); END",
    )
    with pytest.raises(LedgerUnavailable) as failed:
        await ledger.open_session("crm", "s-2", CLAIMS, NOW)
    assert failed.value.reason_code == "ledger_unavailable"
    run(path, "DROP TRIGGER full")
    assert run(path, "SELECT COUNT(*) FROM sessions") == [(sessions.MAX_SESSIONS_PER_SUBJECT,)]
    await ledger.open_session("crm", "s-2", CLAIMS, NOW)
    ledger.close()


async def test_opening_a_session_again_pushes_nobody_out(path: Path) -> None:
    """House: an upstream may name the session in each of its answers."""
    ledger = SQLiteLedger(path)
    await ledger.open_session("crm", "s-1", CLAIMS, NOW)
    copies(path, sessions.MAX_SESSIONS_PER_SUBJECT - 1, CLAIMS.subject)
    await ledger.open_session("crm", "s-1", CLAIMS, NOW)
    assert run(path, "SELECT COUNT(*) FROM sessions") == [(sessions.MAX_SESSIONS_PER_SUBJECT,)]
    ledger.close()


async def test_idle_sessions_leave_the_file(path: Path) -> None:
    """House: with the next session that is opened."""
    ledger = SQLiteLedger(path)
    await ledger.open_session("crm", "s-1", CLAIMS, NOW)
    await ledger.open_session("crm", "s-2", OTHER, NOW + 1)
    await ledger.open_session("crm", "s-3", CLAIMS, NOW + IDLE_NS)
    ledger.close()
    assert run(path, "SELECT COUNT(*) FROM sessions") == [(2,)]
