from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from gateway.core.note import Note, SigningKey
from gateway.witness.asgi import WitnessApp
from gateway.witness.conflicts import Conflicts
from gateway.witness.memory import HELD_FOLDER, Memory
from gateway.witness.protocol import MAX_BODY_BYTES
from gateway.witness.state import Witness
from tests.fakes_clock import FakeClock
from tests.unit.witness.logs import ORIGIN, MemoryLog

KEY = SigningKey("witness.example/w1", bytes([9]) * 32)
LOG = MemoryLog("a", "b", "c")


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a witness that holds nothing yet."""
    memory = Memory(tmp_path)
    made = Witness(KEY, [LOG.key.verifier], memory, Conflicts(tmp_path), FakeClock())
    transport = httpx.ASGITransport(WitnessApp(made))
    async with httpx.AsyncClient(transport=transport, base_url="http://w") as opened:
        yield opened
    memory.close()


async def test_a_checkpoint_is_cosigned_over_http(client: httpx.AsyncClient) -> None:
    """C2SP tlog-witness: POST, 200, signature lines."""
    answer = await client.post("/add-checkpoint", content=LOG.body(0))
    assert answer.status_code == 200
    assert Note.parse(LOG.note() + answer.text).signed_by(KEY.witness)


async def test_a_conflict_has_the_media_type_of_the_protocol(client: httpx.AsyncClient) -> None:
    """C2SP tlog-witness: text/x.tlog.size."""
    await client.post("/add-checkpoint", content=LOG.body(0, 2))
    answer = await client.post("/add-checkpoint", content=LOG.body(0))
    told = (answer.status_code, answer.text, answer.headers["content-type"])
    assert told == (409, "2\n", "text/x.tlog.size")


async def test_the_front_page_tells_name_key_and_sizes(client: httpx.AsyncClient) -> None:
    """House: an operator sees at a glance what is held."""
    before = (await client.get("/")).text
    assert f"vkey {KEY.witness}\n" in before
    assert f"log {ORIGIN} not seen yet\n" in before
    await client.post("/add-checkpoint", content=LOG.body(0))
    assert f"log {ORIGIN} size 3 at 2027-01-15T08:00:00.000000Z\n" in (await client.get("/")).text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/add-checkpoint", 405),
        ("PUT", "/add-checkpoint", 405),
        ("POST", "/", 405),
        ("GET", "/held", 404),
        ("POST", "/add-checkpoint/", 404),
    ],
)
async def test_nothing_else_is_there(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    """House: two endpoints, one spelling each."""
    assert (await client.request(method, path, content=LOG.body(0))).status_code == status


async def test_a_body_that_is_too_long_is_not_read_to_its_end(client: httpx.AsyncClient) -> None:
    """House: memory is bounded by us, not by the caller."""
    pieces = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal pieces
        while pieces < 1000:
            pieces += 1
            yield bytes(1024)

    assert (await client.post("/add-checkpoint", content=endless())).status_code == 400
    assert pieces <= MAX_BODY_BYTES // 1024 + 2


async def test_a_witness_that_cannot_remember_does_not_cosign(
    client: httpx.AsyncClient, tmp_path: Path
) -> None:
    """C2SP tlog-witness: MUST persist before responding; house: and tells no path."""
    (tmp_path / HELD_FOLDER).rename(tmp_path / "gone")
    answer = await client.post("/add-checkpoint", content=LOG.body(0))
    assert answer.status_code == 500
    assert "—" not in answer.text
    assert str(tmp_path) not in answer.text
