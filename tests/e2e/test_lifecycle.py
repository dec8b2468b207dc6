"""Starting on an address that cannot be had, and stopping with calls in flight."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import httpx
import pytest

from gateway import starter
from gateway.app.server import bind, serve
from gateway.core.errors import GatewayError, SettingsError
from gateway.evidence.verify import verify
from gateway.settings import Server
from tests.e2e.gateways import RunningGateway, free_port, gateway
from tests.e2e.test_resilience import MODERN_READ, agent_of, until

pytestmark = pytest.mark.e2e

NOWHERE = "http://127.0.0.1:9/mcp"
GRACE_SECONDS = 3
"""A stop may take this long on top of the drain."""
SHORT, LONG = 2, 60
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: here\n\n"
ANSWER = json.dumps({"jsonrpc": "2.0", "id": MODERN_READ["id"], "result": {"content": []}})
WHOLE = (
    f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(ANSWER)}\r\n\r\n"
    f"{ANSWER}"
).encode()


@asynccontextmanager
async def upstream(first: bytes = b"") -> AsyncIterator[tuple[str, anyio.Event, anyio.Event]]:
    """Run an upstream that says `first`, and the whole answer once it is released."""
    arrived, released = anyio.Event(), anyio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(first)
        arrived.set()
        await released.wait()
        writer.write(WHOLE)
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp", arrived, released
    finally:
        released.set()
        server.close()


@contextmanager
def draining(folder: Path, url: str, seconds: float) -> Iterator[RunningGateway]:
    """Run a gateway that drains for some seconds; nothing may be left of it at the end."""
    starter.create(folder, url, free_port())
    settings = folder / starter.SETTINGS_NAME
    text = settings.read_text()
    settings.write_text(text.replace("[server]", f"[server]\ndrain_seconds = {seconds}", 1))
    with gateway(folder, url) as running:
        children = running.policy_children()
        assert children
        yield running
    assert not [child for child in children if Path(f"/proc/{child}").exists()]
    assert running.records()[-1]["kind"] == "stop"
    report = verify(folder / "evidence")
    assert (report.sound, report.open_intents) == (True, 0)


def exit_status(running: RunningGateway) -> int | None:
    """Return how the gateway ended, or None; it stays for its owner to be waited for."""
    flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
    ended = os.waitid(os.P_PID, running.process_id, flags)
    if ended is None:
        return None
    return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status


def accepts(running: RunningGateway) -> bool:
    """Say whether the gateway takes connections."""
    host, _, port = running.base.removeprefix("http://").partition(":")
    with socket.socket() as client:
        return client.connect_ex((host, int(port))) == 0


async def stopped(running: RunningGateway, seconds: float = GRACE_SECONDS) -> int | None:
    """Wait until the gateway has ended; return its exit status."""
    await until(lambda: exit_status(running) is not None, seconds)
    return exit_status(running)


def statuses(running: RunningGateway) -> list[str]:
    """Return how each forwarded call ended."""
    return [str(fields["status"]) for fields in running.records("outcome")]


async def ask(agent: httpx.AsyncClient, running: RunningGateway, answers: list[int]) -> None:
    """Make one read; add its HTTP status, or 0 for an answer that broke off."""
    try:
        answers.append((await agent.post(running.url, json=MODERN_READ)).status_code)
    except httpx.TransportError:
        answers.append(0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda s: s.name)
async def test_a_gateway_without_calls_stops_at_once(tmp_path, number):
    """House: idle connections, and one that never ends its head, are not waited for."""
    with draining(tmp_path, NOWHERE, LONG) as running, ExitStack() as connections:
        address = ("127.0.0.1", int(running.base.rpartition(":")[2]))
        for begun in (
            b"",
            b"GET / HTTP/1.1\r\nho",
            b"GET /-/health/live HTTP/1.1\r\nhost: x\r\n\r\n",
        ):
            client = connections.enter_context(socket.create_connection(address))
            client.sendall(begun)
        assert client.recv(9) == b"HTTP/1.1 "
        os.kill(running.process_id, number)
        assert await stopped(running) == 0


@pytest.mark.parametrize(
    ("first", "answer"), [(b"", 500), (STREAM, 0)], ids=["a silent upstream", "an open stream"]
)
async def test_a_call_that_outlasts_the_drain_is_abandoned_and_recorded(tmp_path, first, answer):
    """House: a stop is bounded, tells the caller, and leaves no intent without an outcome."""
    answers: list[int] = []
    async with upstream(first) as (url, arrived, _):
        with draining(tmp_path, url, SHORT) as running:
            async with agent_of(running) as agent, anyio.create_task_group() as tasks:
                tasks.start_soon(ask, agent, running, answers)
                await until(arrived.is_set)
                asked = time.monotonic()
                os.kill(running.process_id, signal.SIGTERM)
                assert await stopped(running, SHORT + GRACE_SECONDS) == 0
                assert time.monotonic() - asked >= SHORT
            assert statuses(running) == ["abandoned"]
    assert answers == [answer]


async def test_a_call_that_ends_within_the_drain_is_answered(tmp_path):
    """House: a deployment breaks no call; no other is taken meanwhile."""
    answers: list[int] = []
    async with upstream() as (url, arrived, released):
        with draining(tmp_path, url, LONG) as running:
            async with agent_of(running) as agent, anyio.create_task_group() as tasks:
                tasks.start_soon(ask, agent, running, answers)
                await until(arrived.is_set)
                os.kill(running.process_id, signal.SIGTERM)
                await until(lambda: not accepts(running))
                released.set()
                assert await stopped(running) == 0
            assert statuses(running) == ["completed"]
    assert answers == [200]


async def test_a_second_signal_does_not_wait(tmp_path):
    """House: who asks twice means it; the outcome is recorded all the same."""
    async with upstream() as (url, arrived, _):
        with draining(tmp_path, url, LONG) as running:
            async with agent_of(running) as agent, anyio.create_task_group() as tasks:
                tasks.start_soon(ask, agent, running, [])
                await until(arrived.is_set)
                os.kill(running.process_id, signal.SIGTERM)
                await until(lambda: not accepts(running))
                assert exit_status(running) is None
                os.kill(running.process_id, signal.SIGTERM)
                assert await stopped(running) == 0
            assert statuses(running) == ["abandoned"]


async def test_a_caller_that_leaves_ends_the_drain(tmp_path):
    """House: nothing is waited for that nobody waits for."""
    async with upstream() as (url, arrived, _):
        with draining(tmp_path, url, LONG) as running:
            async with agent_of(running) as agent, anyio.create_task_group() as tasks:
                tasks.start_soon(ask, agent, running, [])
                await until(arrived.is_set)
                os.kill(running.process_id, signal.SIGTERM)
                await until(lambda: not accepts(running))
                tasks.cancel_scope.cancel()
            assert await stopped(running) == 0
            assert statuses(running) == ["abandoned"]


def refused_start(folder: Path, port: int, host: str = "127.0.0.1") -> str:
    """Try to start a gateway that must not start; return what it says."""
    starter.create(folder, NOWHERE, port)
    settings = folder / starter.SETTINGS_NAME
    # A real issuer, because the development issuer is for loopback only.
    text = settings.read_text().replace(
        'host = "127.0.0.1"', f'host = "{host}"\npublic_url = "https://gateway.test"'
    )
    issuer = '[[issuers]]\nissuer = "i"\naudience = "a"\njwks = "keys.json"'
    settings.write_text(text.replace('[dev_issuer]\nkey = "dev-issuer.json"', issuer))
    command = [sys.executable, "-m", "gateway", "serve", "--settings", str(settings)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert not (folder / "evidence").exists()
    return ended.stderr


def test_a_port_that_another_gateway_has_is_refused(tmp_path):
    """House: two gateways that share a port are two policies and two evidence logs."""
    with gateway(tmp_path / "first", NOWHERE) as running:
        port = int(running.base.rpartition(":")[2])
        said = refused_start(tmp_path / "second", port)
    assert said == f"bailiwick: 127.0.0.1:{port}: cannot listen (address already in use)\n"


@pytest.mark.parametrize("option", [socket.SO_REUSEADDR, socket.SO_REUSEPORT])
def test_a_port_that_another_program_has_is_refused(tmp_path, option):
    """House: also if that program would share it."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, option, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        said = refused_start(tmp_path / "gateway", port)
    assert said == f"bailiwick: 127.0.0.1:{port}: cannot listen (address already in use)\n"


@pytest.mark.parametrize("host", ["192.0.2.1", "a..b"])
def test_a_host_that_cannot_be_had_is_refused_in_one_line(tmp_path, host):
    """RFC 5737 §3, RFC 1035 §2.3.1: an address of no machine, and a name that cannot be one."""
    said = refused_start(tmp_path / "gateway", 8080, host)
    assert said.startswith(f"bailiwick: {host}:8080: cannot listen (")
    assert said.count("\n") == 1


async def test_of_two_gateways_that_start_at_once_one_listens():
    """House: the kernel decides, so there is no gap between looking and taking."""
    listener = Server(port=free_port())
    with bind(listener) as first, bind(listener) as second, anyio.fail_after(5):
        first.listen()
        with pytest.raises(SettingsError, match="cannot listen"):
            await serve(nothing, listener, second, lambda: None)


async def test_a_running_gateways_port_cannot_be_joined(tmp_path):
    """House: SO_REUSEPORT would let a stranger take a share of the calls."""
    with gateway(tmp_path, NOWHERE) as running, socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        with pytest.raises(OSError, match="in use"):
            stranger.bind(("127.0.0.1", int(running.base.rpartition(":")[2])))


class Withheld(socket.socket):
    """A listening socket that cannot be handed over."""

    def detach(self) -> int:
        """See `socket`."""
        raise OSError("withheld")


async def test_a_listener_that_does_not_start_is_one_failure():
    """House: no ExceptionGroup reaches the command line."""
    listener = Server(port=free_port())
    said: list[str] = []
    with Withheld() as bound, anyio.fail_after(5):
        bound.bind((listener.host, listener.port))
        with pytest.raises(GatewayError, match="ended by itself"):
            await serve(nothing, listener, bound, lambda: said.append("ready"))
    assert not said


async def nothing(scope: object, receive: object, send: object) -> None:
    """Answer nothing."""


def test_evidence_that_cannot_be_written_is_one_line_and_no_traceback(tmp_path):
    """House: a failure to start is one sentence for whoever starts it."""
    starter.create(tmp_path, NOWHERE, free_port())
    (tmp_path / "evidence").write_text("a file where the folder should be")
    settings = tmp_path / starter.SETTINGS_NAME
    command = [sys.executable, "-m", "gateway", "serve", "--settings", str(settings)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (3, "", 1)
    assert ended.stderr.startswith("bailiwick: ")
