"""A hangup only ever reloads: it ends no gateway, whenever it comes and whoever reads stderr."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from gateway import starter
from gateway.policy.manifest import MANIFEST
from tests.e2e.gateways import free_port
from tests.e2e.processes import READY_SECONDS, STOP_SECONDS
from tests.e2e.test_resilience import until

pytestmark = pytest.mark.e2e

NOWHERE = "http://127.0.0.1:9/mcp"


@contextmanager
def serving(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a gateway whose stderr is a pipe; do not wait for it."""
    settings = str(folder / starter.SETTINGS_NAME)
    command = [sys.executable, "-m", "gateway", "serve", "--json", "--settings", settings]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, bufsize=0) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def create(folder: Path, extra: str = "") -> Path:
    """Write settings and a bundle; return the manifest of the bundle."""
    starter.create(folder, NOWHERE, free_port())
    settings = folder / starter.SETTINGS_NAME
    settings.write_text(settings.read_text() + extra)
    return folder / "policy" / MANIFEST


def test_a_hangup_during_the_start_does_not_end_it(tmp_path: Path) -> None:
    """House: who starts and reloads at once has a running gateway afterwards."""
    # Of its own, since the path of a socket must be short.
    folder = tempfile.mkdtemp()
    try:
        with socket.socket(socket.AF_UNIX) as opa:
            opa.bind(f"{folder}/opa.sock")
            opa.listen()
            opa.settimeout(READY_SECONDS)
            create(tmp_path, f'[policy.opa]\nsocket = "{folder}/opa.sock"\n')
            settings = tmp_path / starter.SETTINGS_NAME
            text = settings.read_text()
            settings.write_text(text.replace("[policy]\n", '[policy]\nengine = "opa"\n'))
            with serving(tmp_path) as process:
                # It waits for an OPA that does not answer.
                opa.accept()[0].close()
                os.kill(process.pid, signal.SIGHUP)
                opa.accept()[0].close()
                opa.accept()[0].close()
                assert process.poll() is None
    finally:
        shutil.rmtree(folder)


async def test_a_hangup_reloads_although_nobody_reads_what_is_said_about_it(
    tmp_path: Path,
) -> None:
    """House: a log that lost its reader ends no gateway."""
    manifest = create(tmp_path)
    with serving(tmp_path) as process, httpx.Client(trust_env=False) as client:
        assert process.stdout is not None
        assert process.stderr is not None
        base = json.loads(process.stdout.readline())["url"]
        process.stderr.close()
        for revision in ("2030.1.1-1", "2030.1.1-2"):
            said = json.loads(manifest.read_text()) | {"revision": revision}
            manifest.write_text(json.dumps(said))
            os.kill(process.pid, signal.SIGHUP)
            in_force = f'revision="{revision}"'
            await until(lambda told=in_force: told in client.get(f"{base}/-/metrics").text)
