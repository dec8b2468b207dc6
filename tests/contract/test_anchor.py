from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import httpx
import pytest

from gateway.core.note import Note, SigningKey
from gateway.evidence.anchoring.anchor import CONFLICT, Anchor, AnchorError
from gateway.evidence.anchoring.anchor_file import FileAnchor
from gateway.evidence.anchoring.witness_client import WitnessAnchor
from gateway.witness.asgi import WitnessApp
from gateway.witness.conflicts import Conflicts
from gateway.witness.memory import Memory
from gateway.witness.state import Witness
from tests.fakes_anchors import FakeAnchor
from tests.fakes_clock import FakeClock
from tests.unit.witness.logs import MemoryLog

KEY = SigningKey("witness.example/w1", bytes([9]) * 32)
Again = Callable[[], Anchor]
"""Returns an anchor on what the others before it remember, as after a restart of the gateway."""


@pytest.fixture(params=["FileAnchor", "WitnessAnchor", "FakeAnchor"])
async def again(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Again]:
    """Each adapter of the port in turn."""
    async with AsyncExitStack() as stack:
        if request.param == "FakeAnchor":
            fake = FakeAnchor()
            yield lambda: fake
        elif request.param == "FileAnchor":
            yield lambda: FileAnchor("file", tmp_path / "anchor.jsonl")
        else:
            memory = Memory(tmp_path)
            stack.callback(memory.close)
            logs = [MemoryLog().key.verifier]
            app = WitnessApp(Witness(KEY, logs, memory, Conflicts(tmp_path), FakeClock()))
            transport = httpx.ASGITransport(app)
            client = await stack.enter_async_context(httpx.AsyncClient(transport=transport))
            url = "https://witness.example/"
            yield lambda: WitnessAnchor("witness", url, KEY.witness, client, FakeClock())


async def deliver(anchor: Anchor, log: MemoryLog, size: int | None = None) -> str:
    """Deliver the checkpoint of a size."""
    size = log.size if size is None else size
    with anyio.fail_after(10):
        return await anchor.deliver(log.note(size), size, log.nodes)


async def refusal(anchor: Anchor, log: MemoryLog, size: int | None = None) -> str:
    """Return the code with which a delivery is refused."""
    with pytest.raises(AnchorError) as refused:
        await deliver(anchor, log, size)
    return refused.value.reason_code


async def test_a_confirmed_note_begins_with_the_note(again: Again) -> None:
    """House: whatever an anchor adds stands behind the log's own signature."""
    log = MemoryLog("a", "b", "c")
    confirmed = await deliver(again(), log)
    assert confirmed.startswith(log.note())
    assert Note.parse(confirmed).signed_by(log.key.verifier)


async def test_a_log_that_grows_is_confirmed_at_each_size(again: Again) -> None:
    """RFC 6962 §2.1.2: consistent with every size before."""
    anchor, log = again(), MemoryLog(*"abcdefghijk")
    for size in (1, 2, 3, 7, 8, 11):
        assert Note.parse(await deliver(anchor, log, size)).text.split("\n")[1] == str(size)


async def test_the_same_checkpoint_is_confirmed_again(again: Again) -> None:
    """House: a confirmation may have been lost on its way."""
    log = MemoryLog("a", "b")
    await deliver(again(), log)
    assert (await deliver(again(), log)).startswith(log.note())


async def test_a_new_gateway_goes_on_where_the_old_one_ended(again: Again) -> None:
    """House: what the anchor remembers is asked of it."""
    log = MemoryLog("a", "b", "c")
    await deliver(again(), log, 2)
    assert (await deliver(again(), log, 3)).startswith(log.note())


async def test_a_log_that_was_cut_back_is_a_conflict(again: Again) -> None:
    """Issue: a rolled-back log is found out, also when it is consistent in itself."""
    log = MemoryLog("a", "b", "c")
    await deliver(again(), log)
    assert await refusal(again(), MemoryLog("a", "b")) == CONFLICT


async def test_a_log_cut_back_under_a_running_anchor_is_a_conflict(again: Again) -> None:
    """House: also within one run."""
    anchor, log = again(), MemoryLog("a", "b", "c")
    await deliver(anchor, log)
    assert await refusal(anchor, log, 2) == CONFLICT


@pytest.mark.parametrize("leaves", ["ax", "axc", "axcdefg"])
async def test_a_rewritten_log_is_a_conflict_at_any_size(again: Again, leaves: str) -> None:
    """Issue: the key holder cannot show two logs."""
    await deliver(again(), MemoryLog("a", "b"))
    assert await refusal(again(), MemoryLog(*leaves)) == CONFLICT


async def test_a_conflict_leaves_what_is_remembered(again: Again) -> None:
    """House: the true log goes on."""
    log = MemoryLog("a", "b", "c")
    await deliver(again(), log, 2)
    await refusal(again(), MemoryLog("a", "x", "c"))
    assert (await deliver(again(), log)).startswith(log.note())


async def test_a_checkpoint_that_is_not_of_our_tree_is_not_delivered(again: Again) -> None:
    """House: nobody else is to remember what we cannot prove ourselves."""
    log, other = MemoryLog("a", "b"), MemoryLog("a", "x")
    with pytest.raises(AnchorError) as refused, anyio.fail_after(10):
        await again().deliver(other.note(), 2, log.nodes)
    assert refused.value.reason_code == "anchor_failed"
    assert (await deliver(again(), log)).startswith(log.note())


async def test_another_log_does_not_take_the_place_of_ours(again: Again) -> None:
    """House: an anchor remembers one log by its name."""
    log = MemoryLog("a", "b")
    await deliver(again(), log)
    await refusal(again(), MemoryLog("a", "b", "c", origin="other.example"))
    log.append("c")
    assert (await deliver(again(), log)).startswith(log.note())
