import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.core.errors import IssuerUnavailable
from gateway.identity.kept import RENEW_SECONDS, Kept
from gateway.identity.trust_bundle import BundleReader, TrustBundle, read_bundle
from gateway.identity.workload_api import from_workload_api
from tests.fakes_clock import FakeClock
from tests.unit.identity.certificates import DOMAIN, Authority
from tests.unit.identity.keys import P256, jwk, key_set
from tests.unit.identity.spiffe import jwt_key
from tests.workload_api_server import WorkloadAPIServer, workload_api_server

NAME = f"spiffe://{DOMAIN}"
OTHER = "spiffe://other.test"
ROOT, NEXT = Authority(), Authority("corp.test, next")
DEADLINE_SECONDS = 1.0
"""Short, for tests that wait for its end."""
SLACK_SECONDS = 2.0
"""Cores are noisy; a fetch without a deadline would take until the server's streams end."""


@pytest.fixture
def api() -> Iterator[WorkloadAPIServer]:
    """A Workload API with both kinds of bundles of two trust domains."""
    # Not pytest's folder: the path of a Unix socket has at most 107 bytes.
    with TemporaryDirectory() as folder, workload_api_server(Path(folder)) as api:
        api.jwt = {NAME: key_set(jwt_key()), OTHER: key_set(jwt_key("rsa"))}
        api.x509 = {NAME: der(ROOT.certificate), OTHER: der(NEXT.certificate)}
        yield api


def der(*certificates: x509.Certificate) -> bytes:
    """Return authorities as the Workload API sends them."""
    return b"".join(one.public_bytes(Encoding.DER) for one in certificates)


async def fetched(api: WorkloadAPIServer, trust_domain: str = DOMAIN) -> TrustBundle:
    """Fetch a bundle and read it."""
    with anyio.fail_after(10):
        return read_bundle(await from_workload_api(api.socket, trust_domain)())


async def refused(place: str, trust_domain: str = DOMAIN) -> str:
    """Return what the refusal says."""
    with anyio.fail_after(10), pytest.raises(IssuerUnavailable) as caught:
        await from_workload_api(place, trust_domain, DEADLINE_SECONDS)()
    return caught.value.message


async def test_a_trust_domains_bundle_arrives_and_no_other_one(api: WorkloadAPIServer) -> None:
    """Workload API §5.2.2, §6.2.2; House: no pool."""
    own, other = await fetched(api), await fetched(api, "other.test")
    assert (list(own.jwt.keys), own.x509) == (["p256"], (ROOT.certificate,))
    assert (list(other.jwt.keys), other.x509) == (["rsa"], (NEXT.certificate,))


async def test_every_call_says_that_it_means_the_workload_api(api: WorkloadAPIServer) -> None:
    """Workload Endpoint §6.1: against requests that a server is tricked into."""
    await fetched(api)
    assert api.asked == ["FetchJWTBundles", "FetchX509Bundles"]
    assert [one["workload.spiffe.io"] for one in api.headers] == ["true", "true"]


async def test_a_rotation_arrives_with_the_next_fetch(api: WorkloadAPIServer) -> None:
    """House: new keys and authorities are believed, those taken away are not."""
    clock = FakeClock()
    kept = Kept(NAME, from_workload_api(api.socket, DOMAIN), BundleReader(), clock)
    with anyio.fail_after(10):
        before = await kept.get()
        api.jwt[NAME] = key_set(jwt_key("p384"))
        api.x509[NAME] = der(ROOT.certificate, NEXT.certificate)
        clock.advance(RENEW_SECONDS)
        after = await kept.renewed()
    assert (list(before.jwt.keys), before.x509) == (["p256"], (ROOT.certificate,))
    assert list(after.jwt.keys) == ["p384"]
    assert set(after.x509) == {ROOT.certificate, NEXT.certificate}


async def test_authorities_have_an_order_that_does_not_change_by_itself(
    api: WorkloadAPIServer,
) -> None:
    """House: else every refresh would look like a rotation."""
    several = [Authority().certificate for _ in range(8)]
    fetch = from_workload_api(api.socket, DOMAIN)
    with anyio.fail_after(10):
        api.x509[NAME] = der(*several)
        document = await fetch()
        api.x509[NAME] = der(*reversed(several))
        assert await fetch() == document
    keys = [one["x5c"] for one in json.loads(document)["keys"] if one["use"] == "x509-svid"]
    assert keys == sorted(keys)
    assert len(keys) == len(several)


async def test_a_key_there_is_for_jwt_svids_unless_it_says_otherwise(
    api: WorkloadAPIServer,
) -> None:
    """Workload API §6.2.2: JWT bundles; SPIRE leaves `use` out of them."""
    keys = [jwk(P256, "none"), jwt_key(kid="own"), jwt_key(kid="sig", use="sig")]
    api.jwt[NAME] = key_set(*keys, jwt_key(kid="x", use="x509-svid"), "text", None)
    assert list((await fetched(api)).jwt.keys) == ["none", "own"]


@pytest.mark.parametrize("kind", ["jwt", "x509"])
async def test_one_kind_of_keys_is_enough(api: WorkloadAPIServer, kind: str) -> None:
    """JWT-SVID §6.2; X509-SVID §6.2: the trust domain does not support the other one."""
    del getattr(api, "x509" if kind == "jwt" else "jwt")[NAME]
    bundle = await fetched(api)
    assert (bool(bundle.jwt.keys), bool(bundle.x509)) == (kind == "jwt", kind == "x509")


async def test_another_trust_domains_damage_is_not_ours(api: WorkloadAPIServer) -> None:
    """House: who federates with us cannot take our keys away."""
    api.jwt[OTHER], api.x509[OTHER] = b"{", b"no certificate"
    api.jwt["SPIFFE://nonsense"] = b""
    bundle = await fetched(api)
    assert (list(bundle.jwt.keys), bundle.x509) == (["p256"], (ROOT.certificate,))


@pytest.mark.parametrize("name", ["absent.test", "corp.tes", "test", "Corp.test"])
async def test_a_trust_domain_that_is_absent_has_no_bundle(
    api: WorkloadAPIServer, name: str
) -> None:
    """House: to the letter."""
    assert f"has no bundle of {name}" in await refused(api.socket, name)


BROKEN: dict[str, tuple[str, Any]] = {
    "jwt-not-json": ("jwt", b"{"),
    "jwt-list": ("jwt", b"[]"),
    "jwt-no-keys": ("jwt", b"{}"),
    "jwt-keys-object": ("jwt", b'{"keys":{}}'),
    "jwt-keys-twice": ("jwt", b'{"keys":[],"keys":[]}'),
    "x509-no-der": ("x509", b"no certificate"),
    "x509-half": ("x509", der(ROOT.certificate)[:-20]),
    "x509-with-a-tail": ("x509", der(ROOT.certificate) + b"\x30"),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_damaged_bundle_is_refused_as_a_whole(api: WorkloadAPIServer, name: str) -> None:
    """House: half of one would take keys away that nobody took away."""
    kind, document = BROKEN[name]
    getattr(api, kind)[NAME] = document
    await refused(api.socket)


async def test_whom_the_workload_api_does_not_know_gets_no_bundle(api: WorkloadAPIServer) -> None:
    """Workload API §4.2: a workload without an identity gets PERMISSION_DENIED."""
    api.refuses = True
    assert "PERMISSION_DENIED" in await refused(api.socket)


async def test_an_answer_without_any_bundle_is_none(api: WorkloadAPIServer) -> None:
    """Workload API §6.2.2."""
    api.jwt.clear()
    api.x509.clear()
    await refused(api.socket)


async def test_nobody_who_listens_is_an_outage() -> None:
    """House: an agent that is not up yet, or died, is waited for, by fetching again."""
    with TemporaryDirectory() as folder:
        path = f"{folder}/agent.sock"
        assert path in await refused(f"unix://{path}")
        with socket.socket(socket.AF_UNIX) as left_behind:
            left_behind.bind(path)
        assert "UNAVAILABLE" in await refused(f"unix://{path}")


async def test_a_listener_that_never_speaks_is_given_up_at_the_deadline() -> None:
    """House: a fetch ends, whatever is at the other end."""
    with TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as mute:
        mute.bind(f"{folder}/agent.sock")
        mute.listen()
        began = time.monotonic()
        assert "did not give a bundle" in await refused(f"unix://{folder}/agent.sock")
        assert time.monotonic() - began < DEADLINE_SECONDS + SLACK_SECONDS


@pytest.mark.parametrize("place", ["", "agent.sock", "unix://", "http://127.0.0.1:1", "unix:"])
async def test_what_is_no_socket_is_an_outage_too(place: str) -> None:
    """House: whatever the package says about it."""
    await refused(place)


async def test_a_workload_api_that_is_silent_is_given_up_at_the_deadline(
    api: WorkloadAPIServer,
) -> None:
    """House: a fetch ends, whatever it does."""
    api.silent = True
    began = time.monotonic()
    assert "DEADLINE_EXCEEDED" in await refused(api.socket)
    assert time.monotonic() - began < DEADLINE_SECONDS + SLACK_SECONDS
    assert api.asked == ["FetchJWTBundles"]


async def test_after_a_silence_the_bundle_arrives(api: WorkloadAPIServer) -> None:
    """House: a fetch that was given up leaves nothing behind that blocks the next one."""
    api.silent = True
    await refused(api.socket)
    api.silent = False
    assert list((await fetched(api)).jwt.keys) == ["p256"]
