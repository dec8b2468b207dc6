"""A policy is exchanged under a running gateway, or refused and the old one stays."""

import gzip
import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway import starter
from gateway.policy.bundle import shipped_bundle
from tests.e2e.gateways import RunningGateway, free_port, gateway
from tests.e2e.test_resilience import until

pytestmark = pytest.mark.e2e

NOWHERE = "http://127.0.0.1:9/mcp"
FIRST, SECOND = "2030.1.1-1", "2030.1.1-2"
SIGNATURE = """
[policy.signature]
key = "signer.pub"
algorithm = "ES256"
key_id = "platform"
"""


class Platform:
    """The team that writes bundles, and the key it signs them with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        shutil.copytree(shipped_bundle(), folder / "source")
        self.key = self.new_key("signer")
        self.public = folder / "signer.pub"

    def new_key(self, name: str) -> Path:
        """Make a key pair."""
        key = ec.generate_private_key(ec.SECP256R1())
        path = self.folder / f"{name}.key"
        path.touch(mode=0o600)
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        (self.folder / f"{name}.pub").write_bytes(
            key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        return path

    def build(self, revision: str, *, key: Path | None = None, signed: bool = True) -> bytes:
        """Build an archive as a person would."""
        out = self.folder / "built.tar.gz"
        command = ["policy", "build", str(self.folder / "source"), "--out", str(out), "--force"]
        command += ["--revision", revision]
        if signed:
            command += ["--sign-key", str(key or self.key), "--algorithm", "ES256"]
            command += ["--key-id", "platform"]
        run(*command)
        return out.read_bytes()


class Running:
    """A gateway whose bundle is exchanged under it."""

    def __init__(self, started: RunningGateway) -> None:
        self.gateway = started

    def metrics(self) -> str:
        """Return what monitoring reads."""
        return httpx.get(f"{self.gateway.base}/-/metrics", trust_env=False).text

    def ready(self) -> bool:
        """Say whether the gateway says that it is ready."""
        return httpx.get(f"{self.gateway.base}/-/health/ready", trust_env=False).is_success

    def deliver(self, archive: bytes) -> None:
        """Put an archive in the place of the bundle, whole at once, and tell the gateway."""
        place = self.gateway.folder / "policy.tar.gz"
        new = place.with_suffix(".new")
        new.write_bytes(archive)
        new.rename(place)
        os.kill(self.gateway.process_id, signal.SIGHUP)

    def revision(self) -> str:
        """Return the revision that decides, as a denied call records it."""
        answer = httpx.post(
            self.gateway.url,
            trust_env=False,
            headers=self.gateway.bearer(),
            json={
                "jsonrpc": "2.0",
                "id": 1,
                "method": "tools/call",
                "params": {"name": "delete_customer", "arguments": {}},
            },
        )
        assert answer.json()["result"]["isError"] is True
        return str(self.gateway.records("refusal")[-1]["decision"]["policy_revision"])


def run(*arguments: str) -> None:
    """Run the command line."""
    command = [sys.executable, "-m", "gateway", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Platform:
    """Return the team."""
    return Platform(tmp_path_factory.mktemp("platform") / "team")


@pytest.fixture(scope="module")
def running(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run a gateway that takes only what the team signed."""
    folder = tmp_path_factory.mktemp("gateway")
    starter.create(folder, NOWHERE, free_port())
    shutil.copy(platform.public, folder / "signer.pub")
    (folder / "policy.tar.gz").write_bytes(platform.build(FIRST))
    settings = folder / starter.SETTINGS_NAME
    text = settings.read_text().replace('bundle = "policy"', 'bundle = "policy.tar.gz"')
    settings.write_text(text + SIGNATURE)
    with gateway(folder, NOWHERE) as started:
        yield Running(started)


def rewritten(archive: bytes, change: Callable[[dict[str, bytes]], None]) -> bytes:
    """Return an archive whose files somebody changed by hand."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as old:
        files = {m.name: f.read() for m in old.getmembers() if (f := old.extractfile(m))}
    change(files)
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as new:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            new.addfile(member, io.BytesIO(content))
    return gzip.compress(made.getvalue())


def tamper(files: dict[str, bytes]) -> None:
    """Raise a bound by one byte."""
    name = next(name for name in files if name.endswith("billing-agent.yaml"))
    assert b"lte: 500" in files[name]
    files[name] = files[name].replace(b"lte: 500", b"lte: 900")


def add(files: dict[str, bytes]) -> None:
    """Add a file that nobody signed."""
    first = next(iter(files))
    prefix = "/" if first.startswith("/") else ""
    files[f"{prefix}bailiwick/rules/more/more.rego"] = b"package bailiwick.rules.more\n"


BAD: dict[str, Callable[[Platform], bytes]] = {
    "tampered": lambda platform: rewritten(platform.build(SECOND), tamper),
    "extra-file": lambda platform: rewritten(platform.build(SECOND), add),
    "unsigned": lambda platform: platform.build(SECOND, signed=False),
    "signed-by-another": lambda platform: platform.build(SECOND, key=platform.new_key("other")),
    "older": lambda platform: platform.build("2029.12.31-9"),
    "not-an-archive": lambda platform: b"not an archive",
}


@pytest.mark.xdist_group("reload")
@pytest.mark.parametrize("kind", list(BAD))
async def test_a_bad_bundle_is_refused_and_the_running_one_stays(
    kind: str, running: Running, platform: Platform
) -> None:
    """Issue: a hand-tampered, unsigned, older or extra-file bundle is refused."""
    running.deliver(platform.build(FIRST))
    await until(lambda: "bailiwick_policy_refused 0.0" in running.metrics())
    running.deliver(BAD[kind](platform))
    await until(lambda: "bailiwick_policy_refused 1.0" in running.metrics())
    assert running.revision() == FIRST
    assert running.ready()


@pytest.mark.xdist_group("reload")
async def test_a_good_bundle_comes_into_force_while_calls_go_on(
    running: Running, platform: Platform
) -> None:
    """Issue: reload = build new, verify, self-test, swap, record `policy.loaded`."""
    running.deliver(platform.build(FIRST))
    running.deliver(platform.build(SECOND))
    await until(lambda: running.revision() == SECOND)
    assert "bailiwick_policy_refused 0.0" in running.metrics()
    assert f'revision="{SECOND}"' in running.metrics()
    first, second = running.gateway.records("policy.loaded")
    assert (first["revision"], first["signed_by"]) == (FIRST, "platform")
    assert second["previous"]["revision"] == FIRST
    assert second["archive_digest"].startswith("sha256:")
    # No way back, not even by a restart.
    running.deliver(platform.build(FIRST))
    await until(lambda: "bailiwick_policy_refused 1.0" in running.metrics())
    assert running.revision() == SECOND
