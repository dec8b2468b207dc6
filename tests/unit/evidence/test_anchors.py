import json
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx
import pytest

from gateway.core.errors import EvidenceUnavailable, SettingsError, VerificationError
from gateway.core.merkle import Nodes
from gateway.core.note import SigningKey, cosign
from gateway.evidence.anchoring.anchor import CONFLICT, Anchor, AnchorError
from gateway.evidence.anchoring.anchor_file import FileAnchor
from gateway.evidence.anchoring.anchored import ANCHORED_NAME, anchored
from gateway.evidence.anchoring.anchors import LONGEST_WAIT_SECONDS, UNRECORDED, Anchors
from gateway.evidence.anchoring.durable import append_line
from gateway.evidence.anchoring.witness_client import MAX_SKEW_SECONDS, WitnessAnchor, http_client
from gateway.evidence.disk import OSDisk
from tests.fakes_anchors import FakeAnchor
from tests.fakes_clock import FakeClock
from tests.unit.witness.logs import MemoryLog

KEY = SigningKey("witness.example/w1", bytes([9]) * 32)
NOW = FakeClock().wall_ns() // 10**9
LOG = MemoryLog("a", "b", "c", "d", "e")
SIZE = {"content-type": "text/x.tlog.size"}


class Waits:
    """A `sleep` that ends when the test says so, and remembers how long it should have been."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._begun, self._end = anyio.Event(), anyio.Event()

    async def sleep(self, seconds: float) -> None:
        """Wait for `end`."""
        self.seconds.append(seconds)
        self._begun.set()
        await self._end.wait()

    async def end(self) -> None:
        """Wait until somebody sleeps, and wake them."""
        await self.begun()
        self._begun, ended, self._end = anyio.Event(), self._end, anyio.Event()
        ended.set()

    async def begun(self) -> None:
        """Wait until somebody sleeps."""
        await self._begun.wait()


def made(folder: Path, *anchors: Anchor, waits: Waits | None = None) -> Anchors:
    """Return the anchors of the one log."""
    sleep = (waits or Waits()).sleep
    return Anchors(folder, anchors, LOG.nodes, FakeClock(), sleep)


@asynccontextmanager
async def running(anchors: Anchors) -> AsyncIterator[None]:
    """Run the anchors while the block lasts, which is bounded."""
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anchors.run)
            yield
            tasks.cancel_scope.cancel()


async def until(condition: Callable[[], bool]) -> None:
    """Let others go on until the condition holds; the caller bounds it."""
    while not condition():
        await anyio.lowlevel.checkpoint()


def offer(anchors: Anchors, size: int) -> None:
    """Offer the checkpoint of a size."""
    anchors.offer(LOG.note(size), size)


async def test_a_confirmation_is_kept_with_its_note(tmp_path: Path) -> None:
    """docs/evidence.md, `anchored.jsonl`: anchor, size, time, note."""
    anchors = made(tmp_path, FakeAnchor("one"))
    async with running(anchors):
        offer(anchors, 2)
        await until(lambda: anchors.confirmed() == {"one": 2})
    (line,) = (tmp_path / ANCHORED_NAME).read_bytes().splitlines()
    expected = {"anchor": "one", "size": 2, "time": "2027-01-15T08:00:00.000000Z"}
    assert json.loads(line) == {**expected, "note": LOG.note(2)}
    assert (tmp_path / ANCHORED_NAME).stat().st_mode & 0o777 == 0o600


async def test_an_offer_from_another_thread_is_delivered(tmp_path: Path) -> None:
    """House: the writer's thread offers, the loop delivers."""
    anchor = SlowAnchor()
    anchors = made(tmp_path, anchor)
    async with running(anchors):
        await anyio.wait_all_tasks_blocked()
        # Nothing else wakes the loop meanwhile.
        threading.Thread(target=offer, args=(anchors, 3)).start()
        await anchor.entered.wait()


async def test_what_was_offered_before_the_start_is_delivered(tmp_path: Path) -> None:
    """House: recovery signs a checkpoint before anything runs."""
    anchors = made(tmp_path, FakeAnchor())
    offer(anchors, 1)
    async with running(anchors):
        await until(lambda: anchors.confirmed() == {"fake": 1})


async def test_only_the_newest_checkpoint_is_delivered(tmp_path: Path) -> None:
    """House: an anchor that was away is not flooded."""
    anchor = FakeAnchor()
    anchors = made(tmp_path, anchor)
    for size in (1, 2, 3, 4):
        offer(anchors, size)
    async with running(anchors):
        await until(lambda: bool(anchors.confirmed()))
        await anyio.wait_all_tasks_blocked()
    assert anchor.delivered == [4]


async def test_a_failing_anchor_is_named_and_tried_again_at_growing_intervals(
    tmp_path: Path,
) -> None:
    """House: bounded, so that an anchor that comes back is used within a minute."""
    waits, anchor = Waits(), FakeAnchor()
    anchor.failure = AnchorError("away")
    anchors = made(tmp_path, anchor, waits=waits)
    async with running(anchors):
        offer(anchors, 1)
        for _ in range(8):
            await waits.end()
        await waits.begun()
        assert anchors.failing() == {"fake": "anchor_failed"}
        offer(anchors, 2)
        anchor.failure = None
        await waits.end()
        await until(lambda: anchors.confirmed() == {"fake": 2})
        assert anchors.failing() == {}
    assert waits.seconds == [1, 2, 4, 8, 16, 32, LONGEST_WAIT_SECONDS, 60, 60]


async def test_a_change_of_state_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """House: an anchor that is away for a day fills no log file."""
    waits, anchor = Waits(), FakeAnchor()
    anchor.failure = AnchorError("away")
    anchors = made(tmp_path, anchor, waits=waits)
    with caplog.at_level(logging.WARNING):
        async with running(anchors):
            offer(anchors, 1)
            for _ in range(3):
                await waits.end()
            await waits.begun()
            assert len(caplog.records) == 1
            anchor.failure = None
            await waits.end()
            await until(lambda: bool(anchors.confirmed()))
    assert len(caplog.records) == 2


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (AnchorError("other", code=CONFLICT), CONFLICT),
        (EvidenceUnavailable("behind"), "evidence_unavailable"),
        (OSError(5, "broken"), "anchor_failed"),
        (ValueError("a bug"), "anchor_failed"),
    ],
)
async def test_one_that_fails_does_not_keep_another_from_confirming(
    tmp_path: Path, failure: Exception, code: str
) -> None:
    """House: anchors are apart; not even a bug in one ends the gateway."""
    bad, good = FakeAnchor("bad"), FakeAnchor("good")
    bad.failure = failure
    anchors = made(tmp_path, bad, good)
    async with running(anchors):
        offer(anchors, 1)
        await until(lambda: anchors.confirmed() == {"good": 1} and bool(anchors.failing()))
        assert anchors.failing() == {"bad": code}
        offer(anchors, 2)
        await until(lambda: anchors.confirmed() == {"good": 2})


async def test_what_could_not_be_written_down_is_not_confirmed(tmp_path: Path) -> None:
    """House: `heartbeat` and deletion rely on what is confirmed."""
    anchors = made(tmp_path / "missing", FakeAnchor())
    async with running(anchors):
        offer(anchors, 1)
        await until(lambda: bool(anchors.failing()))
    assert (anchors.confirmed(), anchors.failing()) == ({}, {"fake": UNRECORDED})


class SlowAnchor(FakeAnchor):
    """An anchor that takes until it is released, and counts who is there."""

    def __init__(self) -> None:
        super().__init__()
        self.released = anyio.Event()
        self.entered = anyio.Event()
        self.most = self._inside = 0

    async def deliver(self, note: str, size: int, nodes: Nodes) -> str:
        """See `Anchor.deliver`."""
        self._inside += 1
        self.most = max(self.most, self._inside)
        self.entered.set()
        try:
            await self.released.wait()
            return await super().deliver(note, size, nodes)
        finally:
            self._inside -= 1


async def test_one_checkpoint_at_a_time_is_under_way_to_an_anchor(tmp_path: Path) -> None:
    """House: also at shutdown, when the last one waits for the one before."""
    anchor = SlowAnchor()
    anchors = made(tmp_path, anchor)
    async with running(anchors):
        offer(anchors, 1)
        await anchor.entered.wait()
        offer(anchors, 2)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anchors.flush, 5)
            await anyio.wait_all_tasks_blocked()
            anchor.released.set()
    assert (anchor.delivered, anchor.most) == ([1, 2], 1)
    assert anchors.confirmed() == {"fake": 2}


async def test_a_flush_delivers_the_last_checkpoint_when_nothing_runs(tmp_path: Path) -> None:
    """House: the checkpoint of the `stop` record is anchored too."""
    anchors = made(tmp_path, FakeAnchor())
    offer(anchors, 5)
    with anyio.fail_after(5):
        await anchors.flush(5)
    assert anchors.confirmed() == {"fake": 5}


async def test_a_flush_is_bounded(tmp_path: Path) -> None:
    """House: an anchor that hangs does not keep a gateway from stopping."""
    anchors = made(tmp_path, SlowAnchor(), FakeAnchor("quick"))
    offer(anchors, 5)
    with anyio.fail_after(5):
        await anchors.flush(0.2)
    assert anchors.confirmed() == {"quick": 5}


def test_what_was_anchored_is_read_back_without_a_torn_end(tmp_path: Path) -> None:
    """House: a line without newline was never believed."""
    line = b'{"anchor":"one","size":1,"time":"t","note":"n"}\n'
    (tmp_path / ANCHORED_NAME).write_bytes(line + line[:-1])
    assert [(one.anchor, one.size) for one in anchored(tmp_path)] == [("one", 1)]


@pytest.mark.parametrize("line", [b"{}\n", b"no\n", b'{"anchor":1,"size":1,"time":"","note":""}\n'])
def test_a_line_that_is_no_confirmation_is_damage(tmp_path: Path, line: bytes) -> None:
    """House: readers of evidence skip nothing."""
    (tmp_path / ANCHORED_NAME).write_bytes(line)
    with pytest.raises(VerificationError) as refused:
        list(anchored(tmp_path))
    assert refused.value.reason_code == "anchored_unreadable"


def test_a_log_without_confirmations_was_anchored_nowhere(tmp_path: Path) -> None:
    """House."""
    assert list(anchored(tmp_path)) == []


async def test_a_confirmation_follows_a_torn_one_on_a_line_of_its_own(tmp_path: Path) -> None:
    """House: a crash does not spoil what comes after it."""
    (tmp_path / ANCHORED_NAME).write_bytes(b'{"anchor":"on')
    anchors = made(tmp_path, FakeAnchor())
    offer(anchors, 1)
    await anchors.flush(5)
    assert [one.size for one in anchored(tmp_path)] == [1]


class BadSync(OSDisk):
    """A disk that takes every byte and cannot make one durable."""

    def fdatasync(self, fd: int) -> None:
        """See `Disk.fdatasync`."""
        raise OSError(5, "broken")


def test_a_line_that_could_not_be_synced_is_not_read_later(tmp_path: Path) -> None:
    """fsync(2): after a failure nobody knows what is durable."""
    append_line(tmp_path / "f", b"1")
    with pytest.raises(OSError, match="broken"):
        append_line(tmp_path / "f", b"2", BadSync())
    assert (tmp_path / "f").read_bytes() == b"1\n"


async def test_a_file_anchor_cuts_back_a_torn_line(tmp_path: Path) -> None:
    """House: the line before it is the newest checkpoint."""
    path = tmp_path / "anchor.jsonl"
    anchor = FileAnchor("file", path)
    await anchor.deliver(LOG.note(2), 2, LOG.nodes)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"size":3,"no')
    await anchor.deliver(LOG.note(4), 4, LOG.nodes)
    lines = path.read_bytes().splitlines(keepends=True)
    assert (lines[0], json.loads(lines[1])) == (whole, {"size": 4, "note": LOG.note(4)})
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_file_anchor_keeps_a_checkpoint_once(tmp_path: Path) -> None:
    """House: a repeat is confirmed from what is there."""
    for _ in range(2):
        await FileAnchor("file", tmp_path / "f").deliver(LOG.note(2), 2, LOG.nodes)
    assert len((tmp_path / "f").read_bytes().splitlines()) == 1


async def test_a_file_anchor_does_not_make_its_folder(tmp_path: Path) -> None:
    """House: a volume that is not mounted must not look like an empty anchor."""
    with pytest.raises(AnchorError):
        await FileAnchor("file", tmp_path / "volume" / "f").deliver(LOG.note(), 5, LOG.nodes)
    assert not (tmp_path / "volume").exists()


async def test_a_file_anchor_does_not_write_over_what_it_cannot_read(tmp_path: Path) -> None:
    """House: whatever stands there may be the proof."""
    (tmp_path / "f").write_bytes(b"{}\n")
    with pytest.raises(AnchorError):
        await FileAnchor("file", tmp_path / "f").deliver(LOG.note(), 5, LOG.nodes)
    assert (tmp_path / "f").read_bytes() == b"{}\n"


async def test_a_file_anchor_that_hangs_takes_no_second_write(tmp_path: Path) -> None:
    """House: what was given up may still be written later."""
    hanging, entered = threading.Event(), threading.Event()

    def slow(level: int, n: int) -> bytes:
        entered.set()
        hanging.wait(5)
        return LOG.nodes(level, n)

    anchor = FileAnchor("file", tmp_path / "f")
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anchor.deliver, LOG.note(2), 2, slow)
            await until(entered.is_set)
            tasks.cancel_scope.cancel()
        with pytest.raises(AnchorError):
            await anchor.deliver(LOG.note(3), 3, LOG.nodes)
    hanging.set()


def witness(answer: Callable[[httpx.Request], httpx.Response], url: str) -> WitnessAnchor:
    """Return a client of a witness that answers as the function says."""
    client = httpx.AsyncClient(transport=httpx.MockTransport(answer), follow_redirects=True)
    return WitnessAnchor("w", url, KEY.witness, client, FakeClock())


def reply(status: int, body: str = "", headers: dict[str, str] | None = None) -> httpx.Response:
    """Return an answer that is still to be read, as one from the network is."""
    return httpx.Response(status, headers=headers, stream=httpx.ByteStream(body.encode()))


async def refusal(status: int, body: str, **headers: str) -> str:
    """Return the code with which one answer of a witness is refused."""
    anchor = witness(lambda _: reply(status, body, headers), "https://w")
    with pytest.raises(AnchorError) as refused:
        await anchor.deliver(LOG.note(3), 3, LOG.nodes)
    return refused.value.reason_code


def cosigned(seconds: int = NOW, key: SigningKey = KEY, size: int = 3) -> str:
    """Return a cosignature."""
    return cosign(key, LOG.note(size).partition("\n\n")[0] + "\n", seconds)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, ""),
        (200, "thanks\n"),
        (200, cosigned(key=SigningKey(KEY.witness.name, bytes([8]) * 32))),
        (200, cosigned(size=2)),
        (200, cosigned(NOW - MAX_SKEW_SECONDS - 1)),
        (200, cosigned(NOW + MAX_SKEW_SECONDS + 1)),
        (200, cosigned() + cosigned(key=SigningKey("x" * 70_000, bytes([8]) * 32))),
        (201, cosigned()),
        (403, ""),
        (404, ""),
        (409, "4\n"),
        (500, ""),
    ],
)
async def test_only_a_cosignature_of_its_key_and_of_now_confirms(status: int, body: str) -> None:
    """C2SP tlog-witness: ignore unknown keys; tlog-cosignature: times may be judged."""
    assert await refusal(status, body) == "anchor_failed"


@pytest.mark.parametrize("body", ["", "x\n", "-1\n", "2", "02\n", "2\n", "9" * 30])
async def test_a_size_told_is_believed_only_as_a_place_to_start(body: str) -> None:
    """C2SP tlog-witness, 409: asked once more, and not for ever."""
    assert await refusal(409, body, **{"content-type": "text/x.tlog.size"}) == "anchor_failed"


async def test_a_witness_that_knows_more_is_a_conflict() -> None:
    """House: then our log was cut back."""
    assert await refusal(409, "4\n", **{"content-type": "text/x.tlog.size"}) == CONFLICT


async def test_a_proof_from_our_own_tree_that_does_not_convince_is_a_conflict() -> None:
    """C2SP tlog-witness, 422."""
    assert await refusal(422, "") == CONFLICT


async def test_a_size_that_is_a_lie_is_asked_for_again(tmp_path: Path) -> None:
    """House: one answer must not silence a witness until the gateway restarts."""
    lie = reply(409, f"{2**62}\n", SIZE)
    answers = [lie, reply(200, cosigned())]
    anchor = witness(lambda _: answers.pop(0), "https://w")
    with pytest.raises(AnchorError) as refused:
        await anchor.deliver(LOG.note(3), 3, LOG.nodes)
    assert refused.value.reason_code == CONFLICT
    assert await anchor.deliver(LOG.note(3), 3, LOG.nodes) == LOG.note(3) + cosigned()


def damaged(level: int, n: int) -> bytes:
    """Read a tree in whose index one hash is not what it was; the newest root is right still."""
    return bytes(32) if (level, n) == (1, 0) else LOG.nodes(level, n)


async def test_a_damaged_index_does_not_make_an_honest_log_look_like_a_fork() -> None:
    """House: what does not prove anything to ourselves is not sent; RFC 6962 §2.1.4.2."""
    asked: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.content.splitlines()[0])
        return reply(409, "3\n", SIZE)

    with pytest.raises(AnchorError) as refused:
        await witness(answer, "https://w").deliver(LOG.note(5), 5, damaged)
    assert (refused.value.reason_code, asked) == ("anchor_failed", [b"old 0"])


async def test_a_damaged_index_is_no_conflict_with_a_file(tmp_path: Path) -> None:
    """House: as for a witness."""
    anchor = FileAnchor("file", tmp_path / "f")
    await anchor.deliver(LOG.note(3), 3, LOG.nodes)
    with pytest.raises(AnchorError) as refused:
        await anchor.deliver(LOG.note(5), 5, damaged)
    assert refused.value.reason_code == "anchor_failed"


@pytest.mark.parametrize("kind", ["file", "witness"])
async def test_the_tree_is_never_read_on_the_event_loop(tmp_path: Path, kind: str) -> None:
    """House: a disk that hangs stops no call."""
    readers: set[int] = set()

    def nodes(level: int, n: int) -> bytes:
        readers.add(threading.get_ident())
        return LOG.nodes(level, n)

    file, asked = FileAnchor("w", tmp_path / "f"), iter([reply(409, "2\n", SIZE)])
    one = witness(lambda _: next(asked, reply(200, cosigned())), "https://w")
    await (file if kind == "file" else one).deliver(LOG.note(3), 3, nodes)
    assert readers and threading.get_ident() not in readers


async def test_a_disk_that_hangs_does_not_keep_a_flush(tmp_path: Path) -> None:
    """House: a gateway that stops waits for its confirmations as long as it says, no longer."""
    path, released = tmp_path / ANCHORED_NAME, threading.Event()
    os.mkfifo(path)

    def release() -> None:
        # Whoever waits for a writer of the pipe is let go.
        released.set()
        os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))

    bound = threading.Timer(5, release)
    bound.start()
    anchors = made(tmp_path, FakeAnchor())
    offer(anchors, 1)
    await anchors.flush(0.2)
    assert (anchors.confirmed(), released.is_set()) == ({}, False)
    bound.cancel()
    release()


async def test_a_redirect_is_not_followed() -> None:
    """House: the address in the settings is the one that is asked."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return reply(307, headers={"location": "https://elsewhere/"})

    with pytest.raises(AnchorError):
        await witness(answer, "https://w/prefix/").deliver(LOG.note(3), 3, LOG.nodes)
    assert asked == ["https://w/prefix/add-checkpoint"]


async def test_cosignatures_of_others_are_left_out() -> None:
    """C2SP tlog-witness: the client moves the valid signatures to its own view."""
    other = cosigned(key=SigningKey("other.example", bytes([8]) * 32))
    anchor = witness(lambda _: reply(200, other + cosigned()), "http://127.0.0.1:1")
    assert await anchor.deliver(LOG.note(3), 3, LOG.nodes) == LOG.note(3) + cosigned()


async def test_a_witness_that_cannot_be_reached_fails_its_anchor() -> None:
    """House: foreign exceptions end at the door."""

    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody there")

    with pytest.raises(AnchorError):
        await witness(answer, "https://w").deliver(LOG.note(3), 3, LOG.nodes)


@pytest.mark.parametrize("url", ["http://w.example", "http://10.0.0.1", "ftp://w", "w.example"])
async def test_a_witness_is_asked_over_https_or_on_loopback(url: str) -> None:
    """House: who listens in could answer with a size, and stop the anchoring."""
    async with http_client() as client:
        with pytest.raises(SettingsError):
            WitnessAnchor("w", url, KEY.witness, client, FakeClock())


async def test_the_key_of_a_log_is_not_that_of_a_witness() -> None:
    """C2SP signed-note: type 1 signs notes, type 4 cosignatures."""
    async with http_client() as client:
        with pytest.raises(SettingsError):
            WitnessAnchor("w", "https://w", KEY.verifier, client, FakeClock())
