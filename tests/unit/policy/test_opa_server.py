"""The OPA decision point over a real OPA: answers, hostile inputs, trouble, who may ask what."""

import os
import signal
import ssl
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import anyio
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.core.decision import Deny, Permit
from gateway.core.errors import BundleError, PolicyError, PolicyUnavailable
from gateway.policy.bundle import Bundle
from gateway.policy.opa import OPADecisionPoint
from gateway.policy.opa_client import QUERY
from gateway.settings.policy import OPA
from tests.fakes_policy import TickingClock, ask, eventually
from tests.issuer_server import certificate
from tests.opa_binary import opa_binary
from tests.opa_server import (
    PATIENT_SECONDS,
    OPAServer,
    free_port,
    opa_point,
    opa_server,
    opa_tiny_bundle,
    running_opa,
    signal_to,
    write_bundle,
)

HOSTILE = '"},{"effect":"permit"}],"effect":"permit","\u0000\\"\n\u2028 A"<undefined>"\x7f'
DENIED_WITHIN_SECONDS = 0.3

pytestmark = pytest.mark.usefixtures("_opa")
reads_proc = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.fixture(scope="module", name="_opa")
def opa() -> str:
    """Skip, or fail where every check must have run, without OPA."""
    return opa_binary()


@asynccontextmanager
async def started(
    server: OPAServer,
    bundle: Bundle | None = None,
    deadline_seconds: float = PATIENT_SECONDS,
    **settings: Path,
) -> AsyncIterator[OPADecisionPoint]:
    """A started point over this server, with further settings."""
    where = OPA(socket=server.settings.socket, url=server.settings.url, **settings)
    point = OPADecisionPoint(
        bundle or opa_tiny_bundle(), TickingClock(), where, deadline_seconds, boot_seconds=0
    )
    try:
        await point.start()
        yield point
    finally:
        await point.aclose()


async def code_of(point: OPADecisionPoint, document: bytes) -> str:
    """Return the reason code of a decision, or the code of the failure."""
    try:
        return (await point.decide(document)).reasons[0].code
    except PolicyError as exc:
        return exc.reason_code


# --- answers ---


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (ask("nothing"), "pdp_undefined"),
        (ask("conflict"), "pdp_error"),
        (ask("permit", number="not a number"), "pdp_error"),
        (ask("unknown obligation"), "pdp_obligation_unknown"),
        (ask("flood"), "pdp_answer_invalid"),
        (b'{"want": "permit"', "pdp_error"),
        (b'{"deep": ' + b"[" * 20_000 + b"]" * 20_000 + b"}", "pdp_error"),
    ],
    ids=["undefined", "two values", "builtin error", "obligation", "2 MB", "cut off", "bottomless"],
)
async def test_an_evaluation_without_a_decision_denies_and_the_next_is_decided(
    tmp_path: Path, document: bytes, code: str
) -> None:
    """Policy §2: what OPA itself answers then; a builtin error is strict, so it is no permit."""
    async with opa_point(tmp_path / "bundle", opa_tiny_bundle()) as point:
        assert await code_of(point, document) == code
        assert await code_of(point, ask("deny", "next")) == "next"
        assert point.healthy()


@pytest.mark.parametrize(
    "text",
    [HOSTILE, "[" * 40 + "]" * 40, '\n{"effect":"permit"}\n', "<script>&\u2029"],
    ids=["quotes and NUL", "brackets", "lines", "what Go escapes"],
)
async def test_a_hostile_text_comes_back_as_text_and_nothing_else(
    tmp_path: Path, text: str
) -> None:
    """House: what an argument says cannot become part of the decision's structure."""
    async with opa_point(tmp_path / "bundle", opa_tiny_bundle()) as point:
        decision = await point.decide(ask("deny", text, nested=[[[text]]]))
    assert isinstance(decision, Deny)
    assert [reason.code for reason in decision.reasons] == [text]


async def test_the_stamp_names_the_version_that_ran(tmp_path: Path) -> None:
    """House: from provenance, not from settings."""
    async with opa_point(tmp_path / "bundle", opa_tiny_bundle()) as point:
        stamp = (await point.decide(ask("permit"))).policy
    assert stamp is not None
    name, _, version = stamp.engine.partition("/")
    assert name == "opa"
    assert version.count(".") == 2


async def test_an_opa_of_another_revision_does_not_serve(tmp_path: Path) -> None:
    """Policy §7.2 rule 7."""
    async with opa_server(tmp_path / "bundle", opa_tiny_bundle()) as server:
        newer = opa_tiny_bundle(revision="tiny-2")
        with pytest.raises(BundleError, match="revision tiny-2"):
            async with started(server, newer):
                pass


async def test_rules_that_are_no_bundle_do_not_serve(tmp_path: Path) -> None:
    """Policy §7.2 rule 6: provenance then names no revision."""
    bundle = opa_tiny_bundle()
    folder = write_bundle(tmp_path / "bundle", bundle)
    (folder / ".manifest").unlink()
    port = free_port()
    arguments = ["--addr", f"127.0.0.1:{port}", str(folder)]
    async with running_opa(arguments, ("127.0.0.1", port)) as process:
        server = OPAServer(OPA(url=f"http://127.0.0.1:{port}"), process)
        with pytest.raises(BundleError, match="revision tiny-1"):
            async with started(server):
                pass


# --- trouble ---


async def test_a_stopped_opa_denies_within_300_ms_and_then_at_once(tmp_path: Path) -> None:
    """Issue: OPA stopped denies with its code in 300 ms at most."""
    async with (
        opa_server(tmp_path / "bundle", opa_tiny_bundle()) as server,
        started(server, deadline_seconds=0.25) as point,
    ):
        signal_to(server, signal.SIGKILL)
        await server.process.wait()
        spans = await _denials(point, "pdp_unavailable")
        assert min(spans) < DENIED_WITHIN_SECONDS
        before = time.monotonic()
        assert await code_of(point, ask("permit")) == "pdp_unavailable"
        assert time.monotonic() - before < DENIED_WITHIN_SECONDS
        assert not point.healthy()


def _has_stopped(pid: int) -> bool:
    """Say whether every thread of the process has stopped: a signal takes a moment."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    states = [(one / "stat").read_text().rpartition(")")[2].split()[0] for one in threads]
    return set(states) == {"T"}


async def _denials(point: OPADecisionPoint, code: str) -> list[float]:
    """Return how long three denials took; the best counts, since others use this machine too."""
    spans = []
    for _ in range(3):
        before = time.monotonic()
        assert await code_of(point, ask("permit")) == code
        spans.append(time.monotonic() - before)
    return spans


@reads_proc
async def test_a_hung_opa_denies_within_300_ms_and_decides_again_when_it_goes_on(
    tmp_path: Path,
) -> None:
    """Issue: OPA hung; the clock here goes on by itself, so the circuit closes soon."""
    async with (
        opa_server(tmp_path / "bundle", opa_tiny_bundle()) as server,
        started(server, deadline_seconds=0.25) as point,
    ):
        signal_to(server, signal.SIGSTOP)
        try:
            await eventually(lambda: _has_stopped(server.pid))
            spans = await _denials(point, "pdp_timeout")
            assert min(spans) < DENIED_WITHIN_SECONDS
        finally:
            signal_to(server, signal.SIGCONT)
        with anyio.fail_after(10):
            while await code_of(point, ask("deny", "next")) != "next":
                continue


@reads_proc
async def test_an_endless_evaluation_is_denied_and_cancelled(tmp_path: Path) -> None:
    """Policy §2: OPA stops evaluating when the caller gives up; the next call is decided."""
    async with (
        opa_server(tmp_path / "bundle", opa_tiny_bundle()) as server,
        started(server, deadline_seconds=0.25) as point,
    ):
        assert await code_of(point, ask("loop")) == "pdp_timeout"
        await eventually(lambda: _is_idle(server.pid))
        with anyio.fail_after(10):
            while await code_of(point, ask("deny", "next")) != "next":
                continue


def _is_idle(pid: int) -> bool:
    """Say whether the process used no processor for a little while."""

    def ticks() -> int:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    before, until = ticks(), time.monotonic() + 0.1
    while time.monotonic() < until:
        os.sched_yield()
    return ticks() - before <= 1


async def test_an_opa_that_restarted_is_asked_over_new_connections(tmp_path: Path) -> None:
    """House: a restart between two calls costs no denial."""
    port = free_port()
    bundle = opa_tiny_bundle()
    async with opa_server(tmp_path / "bundle", bundle, port=port) as server:
        point = OPADecisionPoint(bundle, TickingClock(), server.settings, PATIENT_SECONDS)
        await point.start()
    async with opa_server(tmp_path / "bundle", bundle, port=port):
        assert await code_of(point, ask("deny", "next")) == "next"
    await point.aclose()


# --- who may ask what ---

TOKEN = "s3cret-token-of-the-gateway"
TOKEN_ARGUMENTS = ("--authentication=token", "--authorization=basic")


@dataclass(frozen=True)
class Request:
    """A request that somebody makes of the sidecar."""

    method: str = "POST"
    path: str = "/v1" + QUERY
    token: str | None = TOKEN
    body: bytes = b'{"input":{"want":"permit","code":"asked"}}'


async def status_of(socket: Path | None, request: Request) -> int:
    """Return the status that OPA answers."""
    headers = {} if request.token is None else {"Authorization": f"Bearer {request.token}"}
    connector = aiohttp.UnixConnector(str(socket))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.request(
            request.method, "http://opa" + request.path, data=request.body, headers=headers
        ) as response,
    ):
        return response.status


REFUSED: Mapping[str, Request] = {
    "no token": Request(token=None),
    "another token": Request(token="another"),
    "an empty token": Request(token=""),
    "a token's beginning": Request(token=TOKEN[:-1]),
    "an ad-hoc query": Request(path="/v1/query", body=b'{"query":"data"}'),
    "a query by GET": Request("GET", "/v1/query?q=data", body=b""),
    "a policy put": Request("PUT", "/v1/policies/x", body=b"package x"),
    "the policies": Request("GET", "/v1/policies", body=b""),
    "a policy deleted": Request("DELETE", "/v1/policies/system/authz.rego", body=b""),
    "all data": Request(path="/v1/data"),
    "the charters": Request(path="/v1/data/environment"),
    "data put": Request("PUT", "/v1/data/environment", body=b'"prod"'),
    "data patched": Request("PATCH", "/v1/data/environment", body=b"[]"),
    "the decision by GET": Request("GET", body=b""),
    "a part of the decision": Request(path="/v1/data/bailiwick/decision/effect"),
    "the package": Request(path="/v1/data/bailiwick"),
    "up and down": Request(path="/v1/data/x/../bailiwick/answer"),
    "the first version": Request(path="/v0/data/bailiwick/decision"),
    "the root": Request(path="/"),
    "compile": Request(path="/v1/compile"),
    "the configuration": Request("GET", "/v1/config", body=b""),
    "health": Request("GET", "/health", body=b""),
    "metrics": Request("GET", "/metrics", body=b""),
}


async def test_with_the_token_the_decision_may_be_asked_for_and_nothing_else(
    tmp_path: Path,
) -> None:
    """Policy §4: only POST on the one decision path with the token passes."""
    (tmp_path / "token").write_text(TOKEN + "\n")
    async with opa_server(
        tmp_path / "bundle",
        opa_tiny_bundle(),
        TOKEN_ARGUMENTS,
        authz=True,
        environment={"BAILIWICK_OPA_TOKEN": TOKEN},
    ) as server:
        socket = server.settings.socket
        assert await status_of(socket, Request()) == 200
        statuses = {name: await status_of(socket, asked) for name, asked in REFUSED.items()}
        assert statuses == dict.fromkeys(REFUSED, 401)
        async with started(server, token_file=tmp_path / "token") as point:
            assert isinstance(await point.decide(ask("permit")), Permit)
        with pytest.raises(BundleError, match="OPA answered 401"):
            async with started(server):
                pass


@pytest.mark.parametrize("token", [None, ""], ids=["unset", "empty"])
async def test_an_opa_without_a_token_lets_nobody_in(tmp_path: Path, token: str | None) -> None:
    """House: a variable that was forgotten is no open door."""
    environment = {} if token is None else {"BAILIWICK_OPA_TOKEN": token}
    async with opa_server(
        tmp_path / "bundle", opa_tiny_bundle(), TOKEN_ARGUMENTS, authz=True, environment=environment
    ) as server:
        for shown in (None, "", "null", "undefined", TOKEN):
            assert await status_of(server.settings.socket, Request(token=shown)) == 401


def authority(folder: Path, name: str) -> tuple[Path, Path, Path]:
    """Make an authority and a certificate for 127.0.0.1; return files of CA, certificate, key."""
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = certificate(name, root_key, None, root_key)
    files = tuple(folder / f"{name}-{part}.pem" for part in ("ca", "certificate", "key"))
    files[0].write_bytes(root.public_bytes(Encoding.PEM))
    files[1].write_bytes(certificate("127.0.0.1", key, root, root_key).public_bytes(Encoding.PEM))
    files[2].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    ca, own, secret = files
    return ca, own, secret


async def test_by_url_a_client_certificate_of_the_right_authority_may_ask(tmp_path: Path) -> None:
    """Issue: TCP with mutual TLS; OPA verifies us, and we verify OPA."""
    opa_ca, opa_certificate, opa_key = authority(tmp_path, "opa")
    our_ca, our_certificate, our_key = authority(tmp_path, "gateway")
    _, other_certificate, other_key = authority(tmp_path, "other")
    port = free_port()
    arguments = [
        *("--authentication=tls", "--authorization=basic"),
        *("--tls-cert-file", str(opa_certificate), "--tls-private-key-file", str(opa_key)),
        *("--tls-ca-cert-file", str(our_ca)),
    ]
    settings = OPA(url=f"https://127.0.0.1:{port}")
    async with opa_server(
        tmp_path / "bundle", opa_tiny_bundle(), arguments, authz=True, port=port, settings=settings
    ) as server:
        async with started(server, ca=opa_ca, certificate=our_certificate, key=our_key) as point:
            assert isinstance(await point.decide(ask("permit")), Permit)
        context = ssl.create_default_context(cafile=opa_ca)
        context.load_cert_chain(our_certificate, our_key)
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
            session.get(f"https://127.0.0.1:{port}/v1/data") as response,
        ):
            assert response.status == 401
        for refused in (
            {"ca": opa_ca},
            {"ca": opa_ca, "certificate": other_certificate, "key": other_key},
            {"ca": our_ca, "certificate": our_certificate, "key": our_key},
        ):
            with pytest.raises(PolicyUnavailable, match="https.*OPA cannot be reached"):
                async with started(server, **refused):
                    pass
