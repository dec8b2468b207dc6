"""Calls per second and latency of one `tools/call`: direct, over a bare hop, and governed.

    python -m benchmarks.hop [SECONDS]

Needs wrk (https://github.com/wg/wrk; Debian package `wrk`). Load generator, upstream and gateway
share the machine's cores, so only ratios of one run mean anything.
"""

import contextlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from gateway import starter
from gateway.evidence.verify import verify
from gateway.identity.dev import mint
from gateway.settings import load

AGENT = "spiffe://bailiwick.example/agent/billing"
CALL = (
    '{"jsonrpc":"2.0","id":1,"method":"tools/call",'
    '"params":{"name":"read_invoice","arguments":{"invoice_id":"INV-1001"}}}'
)
SCRIPT = """
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
wrk.headers["accept"] = "application/json, text/event-stream"
wrk.headers["authorization"] = "Bearer {token}"
wrk.body = [[{call}]]
"""
CONNECTIONS = (1, 32)


@contextlib.contextmanager
def started(port: int, *command: str) -> Iterator[None]:
    """Run a server until the block ends; wait until it accepts connections."""
    with subprocess.Popen([sys.executable, "-m", *command], stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(port)
            yield
        finally:
            process.terminate()


def _wait_for(port: int) -> None:
    for _ in range(500):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise SystemExit(f"nothing listens on port {port}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def measure(url: str, script: Path, connections: int, seconds: int) -> tuple[float, str, str]:
    """Return calls per second, and median and 99th percentile as wrk writes them."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--latency", "-s", str(script)]
    said = subprocess.run([*command, url], check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in said:
        raise SystemExit(f"{url}: some calls were refused\n{said}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    spread = said.partition("Latency Distribution")[2]
    median, late = re.search(r"50%\s+(\S+)", spread), re.search(r"99%\s+(\S+)", spread)
    if not (rate and median and late):
        raise SystemExit(f"wrk said something unexpected:\n{said}")
    return float(rate[1]), median[1], late[1]


def main() -> None:
    """Print one table."""
    if not shutil.which("wrk"):
        raise SystemExit("make bench needs wrk (Debian: apt-get install wrk)")
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    stub, hop, own = _free_port(), _free_port(), _free_port()
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        folder = Path(scratch)
        upstream = f"http://127.0.0.1:{stub}/mcp"
        settings, *_ = starter.create(folder / "gateway", upstream, own)
        for charter in (folder / "gateway" / "policy" / "charters").glob("*.yaml"):
            # The example agents may call once a second; here they call as often as they can.
            text = charter.read_text("utf-8")
            charter.write_text(re.sub(r"(calls_per_\w+): \d+", r"\1: 1000000000", text), "utf-8")
        dev = load(settings).dev_issuer
        token = mint(dev, AGENT, 3600, time.time_ns() // 10**9) if dev else ""
        script = folder / "call.lua"
        script.write_text(SCRIPT.format(token=token, call=CALL))
        stack.enter_context(started(stub, "benchmarks.servers", "stub", str(stub)))
        stack.enter_context(started(hop, "benchmarks.servers", "hop", str(hop), upstream))
        stack.enter_context(started(own, "gateway", "serve", "--settings", str(settings)))
        urls = {
            "direct": upstream,
            "bare hop": f"http://127.0.0.1:{hop}/mcp",
            "governed": f"http://127.0.0.1:{own}/company/mcp",
        }
        _print_table(urls, script, seconds)
        report = verify(folder / "gateway" / "evidence")
        print(f"\nevidence: {report.calls} governed calls on disk, sound: {report.sound}")


def _print_table(urls: dict[str, str], script: Path, seconds: int) -> None:
    print(f"{'connections':>11} {'path':<9} {'calls/s':>9} {'of direct':>9} {'p50':>9} {'p99':>9}")
    for connections in CONNECTIONS:
        direct = 0.0
        for path, url in urls.items():
            rate, median, late = measure(url, script, connections, seconds)
            direct = direct or rate
            share = f"{rate / direct:.0%}"
            print(f"{connections:>11} {path:<9} {rate:>9.0f} {share:>9} {median:>9} {late:>9}")


if __name__ == "__main__":
    main()
