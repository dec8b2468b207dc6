"""When a fetch from a Workload API ends, what it needs, and what its document looks like."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.core.errors import IssuerUnavailable
from gateway.identity.workload_api import from_workload_api
from tests.unit.identity.certificates import DOMAIN, Authority
from tests.unit.identity.keys import RSA, key_set
from tests.unit.identity.spiffe import jwt_key
from tests.workload_api_server import OPEN_SECONDS, WorkloadAPIServer, workload_api_server

ROOT = Path(__file__).parents[3]
NAME = f"spiffe://{DOMAIN}"
DER = Authority().certificate.public_bytes(Encoding.DER)


@pytest.fixture
def api() -> Iterator[WorkloadAPIServer]:
    """A Workload API with both kinds of bundles."""
    # Not pytest's folder: the path of a Unix socket has at most 107 bytes.
    with TemporaryDirectory() as folder, workload_api_server(Path(folder)) as api:
        api.jwt, api.x509 = {NAME: key_set(jwt_key())}, {NAME: DER}
        yield api


@pytest.mark.parametrize("name", ["FetchJWTBundles", "FetchX509Bundles"])
async def test_either_call_that_is_silent_is_given_up_and_no_half_bundle_is_taken(
    api: WorkloadAPIServer, name: str
) -> None:
    """House: half of a bundle would take keys away that nobody took away."""
    api.silent = name
    with anyio.fail_after(10), pytest.raises(IssuerUnavailable, match="DEADLINE_EXCEEDED"):
        await from_workload_api(api.socket, DOMAIN, 1.0)()
    assert api.asked[-1] == name


async def test_the_whole_fetch_has_a_deadline_that_does_not_hang_on_the_package(
    api: WorkloadAPIServer,
) -> None:
    """House: ours ends the wait even where gRPC's was not reached."""
    with anyio.fail_after(10), pytest.raises(IssuerUnavailable, match="TimeoutError"):
        await from_workload_api(api.socket, DOMAIN, 0.0)()


async def test_who_stops_waiting_does_not_wait_for_the_package(api: WorkloadAPIServer) -> None:
    """House: a gateway that stops is not kept by a silent agent."""
    api.silent = True
    began = time.monotonic()
    with anyio.move_on_after(0.2) as scope:
        await from_workload_api(api.socket, DOMAIN, 2 * OPEN_SECONDS)()
    assert scope.cancelled_caught
    assert time.monotonic() - began < OPEN_SECONDS / 2


async def test_keys_that_are_no_list_are_refused(api: WorkloadAPIServer) -> None:
    """RFC 7517 §5.1: read as if there were none, they would be taken away."""
    api.jwt[NAME] = b'{"keys":{"p256":{}}}'
    with anyio.fail_after(10), pytest.raises(IssuerUnavailable, match="no list of keys"):
        await from_workload_api(api.socket, DOMAIN)()


async def test_authorities_are_in_an_order_of_their_own(api: WorkloadAPIServer) -> None:
    """House: else a refresh could look like a rotation."""
    roots = [Authority(str(number)).certificate for number in range(8)]
    api.x509[NAME] = b"".join(one.public_bytes(Encoding.DER) for one in roots)
    with anyio.fail_after(10):
        keys = json.loads(await from_workload_api(api.socket, DOMAIN)())["keys"]
    chains = [key["x5c"] for key in keys if key["use"] == "x509-svid"]
    assert len(chains) == len(roots)
    assert chains == sorted(chains)


async def test_an_authoritys_entry_says_what_kind_of_key_it_has(api: WorkloadAPIServer) -> None:
    """RFC 7517 §4.1: `kty` MUST be there."""
    for private, kind in ((None, "EC"), (RSA, "RSA")):
        root = Authority(private=private).certificate
        api.x509[NAME] = root.public_bytes(Encoding.DER)
        with anyio.fail_after(10):
            keys = json.loads(await from_workload_api(api.socket, DOMAIN)())["keys"]
        assert [key["kty"] for key in keys if key["use"] == "x509-svid"] == [kind]


def test_without_the_extra_the_settings_are_refused_and_say_what_to_install() -> None:
    """House: seen at start-up, not at the first call; in a process that has no such package."""
    program = (
        "import sys; sys.modules['spiffe'] = None\n"
        "from gateway.core.errors import SettingsError\n"
        "from gateway.identity.workload_api import from_workload_api\n"
        "try:\n    from_workload_api('unix:///run/agent.sock', 'corp.test')\n"
        "except SettingsError as exc:\n    print(exc.message)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert "bailiwick[spiffe]" in ran.stdout, ran.stderr


def test_nothing_of_the_package_is_loaded_until_a_workload_api_is_configured() -> None:
    """House: who does not use the extra does not pay for it."""
    program = (
        "import sys, gateway.identity.trusting\n"
        "print(sorted({'grpc', 'spiffe', 'google.protobuf'} & sys.modules.keys()))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert ran.stdout.strip() == "[]", ran.stderr
