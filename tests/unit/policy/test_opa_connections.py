"""How OPA is reached: socket, TLS, token, connections that drop, callers that leave."""

import ssl
import time
from pathlib import Path

import anyio
import anyio.abc
import anyio.streams.tls
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.core.errors import BundleError, PolicyUnavailable, SettingsError
from gateway.policy.opa import OPADecisionPoint
from gateway.policy.opa_client import door
from gateway.policy.selftest import SelfTest
from gateway.settings.policy import OPA
from tests.fakes_policy import TINY_TESTS, TickingClock, ask, eventually, tiny_bundle
from tests.issuer_server import certificate
from tests.opa_peer import (
    DROP,
    DROP_LATE,
    HANG,
    RESULT,
    Answer,
    Cut,
    ScriptedOPA,
    answer,
    asked,
    code_of,
    decided,
    head,
    scripted_opa,
)

DEADLINE_SECONDS = 20.0
"""Deadline where something else is tested, so that a busy machine changes nothing."""


# --- connections ---


async def test_calls_one_after_another_share_a_connection() -> None:
    """Policy §4: a connection a call would cost more than the decision."""
    async with asked(decided()) as (point, peer):
        for _ in range(5):
            await point.decide(ask("permit"))
        assert peer.connections == 1


async def test_a_kept_connection_that_dropped_before_a_byte_is_replaced_once() -> None:
    """Policy §7.2: one immediate reconnect, so that an OPA that restarted costs no denial."""
    async with asked(decided(), DROP, decided()) as (point, peer):
        assert [await code_of(point) for _ in range(2)] == ["asked", "asked"]
        assert (peer.connections, len(peer.heads)) == (2, 3)


async def test_a_kept_connection_is_replaced_only_once() -> None:
    """Policy §7.2: the second drop denies."""
    async with asked(decided(), DROP, DROP, decided()) as (point, peer):
        assert [await code_of(point) for _ in range(2)] == ["asked", "pdp_unavailable"]
        assert len(peer.heads) == 3


async def test_a_replaced_connection_has_what_is_left_of_the_deadline() -> None:
    """Policy §7.2 rule 1: 250 ms for the whole decision, and denied in 300 ms."""
    spans = []
    # The best of three: others use this machine too.
    while not spans or (min(spans) >= 0.3 and len(spans) < 3):
        async with asked(decided(), DROP_LATE, HANG, deadline_seconds=0.25) as (point, peer):
            await point.decide(ask("permit"))
            before = time.monotonic()
            assert await code_of(point) == "pdp_timeout"
            spans.append(time.monotonic() - before)
            assert len(peer.heads) == 3
    assert min(spans) < 0.3


async def test_closing_denies_the_calls_that_wait_for_a_connection() -> None:
    """House: a decision in flight is denied; its caller did not leave, so it is not cancelled."""
    codes: list[str] = []
    async with asked(HANG) as (point, peer), anyio.create_task_group() as tasks:

        async def ask_once() -> None:
            codes.append(await code_of(point))

        for _ in range(70):
            tasks.start_soon(ask_once)
        await eventually(lambda: len(peer.heads) == 64)
        await point.aclose()
    assert codes == ["pdp_unavailable"] * 70


async def test_a_new_connection_that_drops_is_not_replaced() -> None:
    """Policy §7.2: nothing says that OPA was ever there."""
    async with asked(DROP, decided()) as (point, peer):
        assert await code_of(point) == "pdp_unavailable"
        assert len(peer.heads) == 1


@pytest.mark.parametrize(
    "cut",
    [head(length=500), head(length=500) + b'{"result"'],
    ids=["a head", "half a body"],
)
async def test_a_connection_that_broke_within_its_answer_is_not_replaced(cut: bytes) -> None:
    """Policy §7.2: only what dropped before its answer began is asked again."""
    async with asked(decided(), Cut(cut), decided()) as (point, peer):
        assert [await code_of(point) for _ in range(2)] == ["asked", "pdp_unavailable"]
        assert len(peer.heads) == 2


@pytest.mark.parametrize("status", ["500 Internal Server Error", "502 Bad Gateway", "504 Timeout"])
async def test_an_answer_with_an_error_is_not_asked_for_again(status: str) -> None:
    """Policy §5: OPA's 500 is the result of an evaluation, which the library would repeat."""
    async with asked(decided(), answer({}, status), decided()) as (point, peer):
        assert [await code_of(point) for _ in range(2)] == ["asked", "pdp_error"]
        assert len(peer.heads) == 2


async def test_what_an_oversize_answer_left_unread_reaches_no_other_call() -> None:
    """House: an answer belongs to the question it was read for."""
    async with asked(decided(padding="x" * 2_000_000), decided()) as (point, peer):
        assert [await code_of(point) for _ in range(2)] == ["pdp_answer_invalid", "asked"]
        assert peer.connections == 2


async def test_an_answer_whose_caller_left_reaches_nobody_else() -> None:
    """House: the connection is given up with the caller, and OPA stops evaluating."""
    async with asked(HANG, decided()) as (point, peer):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(point.decide, ask("permit", "left"))
            await eventually(lambda: len(peer.heads) == 1)
            tasks.cancel_scope.cancel()
        with anyio.fail_after(10):
            await peer.gone.wait()
        assert await code_of(point) == "asked"
        assert peer.connections == 2


async def test_waiting_for_a_connection_counts_against_the_deadline() -> None:
    """Policy §7.2 rule 1: one deadline for everything; 64 connections and one call more."""
    async with asked(HANG, deadline_seconds=0.25) as (point, peer):
        codes: list[str] = []

        async def decide() -> None:
            codes.append(await code_of(point))

        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                for _ in range(65):
                    tasks.start_soon(decide)
        assert codes == ["pdp_timeout"] * 65
        assert peer.most == 64


async def test_where_nobody_listens_a_call_is_denied_at_once(tmp_path: Path) -> None:
    """Policy §7.2 rule 1: not at the deadline of 20 s."""
    settings = OPA(socket=tmp_path / "s")
    point = OPADecisionPoint(tiny_bundle(tests=()), TickingClock(), settings, DEADLINE_SECONDS)
    await point.start()
    with anyio.fail_after(1):
        assert await code_of(point) == "pdp_unavailable"
    await point.aclose()


# --- start and end ---


async def test_a_point_that_is_not_started_or_closed_denies_and_is_not_healthy() -> None:
    """House: no decision without self-tests."""
    async with scripted_opa(decided()) as peer:
        point = OPADecisionPoint(tiny_bundle(tests=()), TickingClock(), peer.settings)
        assert (point.healthy(), await code_of(point)) == (False, "pdp_unavailable")
        await point.start()
        assert (point.healthy(), await code_of(point)) == (True, "asked")
        await point.aclose()
        await point.aclose()
        assert (point.healthy(), await code_of(point)) == (False, "pdp_unavailable")


@pytest.mark.parametrize("before", [0, 1], ids=["new connection", "kept connection"])
async def test_closing_denies_what_is_in_flight(before: int) -> None:
    """House: nobody waits for an answer that cannot come."""
    codes: list[str] = []
    async with asked(*[decided()] * before, HANG) as (point, peer):
        for _ in range(before):
            await point.decide(ask("permit"))

        async def decide() -> None:
            codes.append(await code_of(point))

        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(decide)
                await eventually(lambda: len(peer.heads) == before + 1)
                await point.aclose()
        assert codes == ["pdp_unavailable"]


def permit_and_deny() -> list[Answer]:
    """Return the answers that the tiny bundle's self-tests want."""
    permit = RESULT | {"reasons": [{"code": "permitted", "rule": "tiny"}]}
    deny = RESULT | {"effect": "deny", "reasons": [{"code": "refused", "rule": "tiny"}]}
    return [decided(result=permit), decided(result=deny)]


@pytest.mark.parametrize(
    "first",
    [DROP, answer({}), decided(provenance={"version": "1", "bundles": {}})],
    ids=["not up", "undefined", "bundle not active"],
)
async def test_start_waits_for_an_opa_that_is_coming_up(first: Answer) -> None:
    """House: OPA and gateway may be started in any order."""
    async with scripted_opa(first, *permit_and_deny()) as peer:
        point = OPADecisionPoint(tiny_bundle(), TickingClock(), peer.settings, DEADLINE_SECONDS)
        await point.start()
        assert point.healthy()
        assert len(peer.heads) == 3
        await point.aclose()


@pytest.mark.parametrize(
    "said",
    [
        DROP,
        HANG,
        answer({}),
        answer({}, "500 Internal Server Error"),
        answer({}, "401 Unauthorized"),
        decided(),
        decided(
            result=RESULT | {"reasons": [{"code": "permitted", "rule": "x"}], "effect": "deny"}
        ),
        decided(provenance={"version": "1", "bundles": {"tiny": {"revision": "tiny-0"}}}),
    ],
    ids=["dropped", "hung", "{}", "500", "401", "codes", "effect", "revision"],
)
async def test_an_opa_that_fails_a_self_test_does_not_serve(said: Answer) -> None:
    """Policy §7.2 rule 10: self-test failed, not ready."""
    async with scripted_opa(said) as peer:
        point = OPADecisionPoint(
            tiny_bundle(), TickingClock(), peer.settings, 0.25, boot_seconds=0.05
        )
        with anyio.fail_after(5):
            if said in (DROP, HANG):
                with pytest.raises(PolicyUnavailable, match="is OPA running"):
                    await point.start()
            else:
                with pytest.raises(BundleError, match="self-test permit"):
                    await point.start()
        assert (point.healthy(), await code_of(point)) == (False, "pdp_unavailable")


async def test_an_opa_that_fails_is_not_waited_for() -> None:
    """House: only what may come up is; here the wait would be 20 s."""
    async with scripted_opa(answer({}, "500 Internal Server Error")) as peer:
        point = OPADecisionPoint(
            tiny_bundle(), TickingClock(), peer.settings, DEADLINE_SECONDS, boot_seconds=20
        )
        with pytest.raises(BundleError):
            await point.start()
        assert len(peer.heads) == 1


async def test_every_self_test_is_asked() -> None:
    """Policy §7.3: also the last one."""
    tests = (*TINY_TESTS, SelfTest("hostile", ask("permit"), "deny", ("asked",)))
    async with scripted_opa(*permit_and_deny(), decided()) as peer:
        point = OPADecisionPoint(
            tiny_bundle(tests=tests), TickingClock(), peer.settings, DEADLINE_SECONDS
        )
        with pytest.raises(BundleError, match="self-test hostile"):
            await point.start()


# --- what is shown to OPA ---


async def test_the_token_of_the_file_is_shown(tmp_path: Path) -> None:
    """RFC 6750 §2.1; the line's end is not of the token."""
    token = tmp_path / "token"
    token.write_text("s3cret-~+/=\n")
    async with scripted_opa(decided()) as peer:
        settings = OPA(socket=peer.settings.socket, token_file=token)
        point = OPADecisionPoint(tiny_bundle(tests=()), TickingClock(), settings, DEADLINE_SECONDS)
        await point.start()
        await point.decide(ask("permit"))
        await point.aclose()
    assert "authorization: bearer s3cret-~+/=\r\n" in peer.heads[0].lower()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"two\nlines\n",
        b"two words",
        b"a\r\nX-Injected: 1",
        b"t\xc3\xb6ken",
        b"x" * 5000,
    ],
    ids=["empty", "empty line", "two lines", "two words", "a header", "not ASCII", "huge"],
)
async def test_a_token_file_that_does_not_hold_one_token_is_refused(
    tmp_path: Path, content: bytes
) -> None:
    """House: refused at start, and what it holds is not repeated."""
    token = tmp_path / "token"
    token.write_bytes(content)
    settings = OPA(socket=tmp_path / "s", token_file=token)
    point = OPADecisionPoint(tiny_bundle(), TickingClock(), settings)
    with pytest.raises(SettingsError, match=r"policy\.opa\.token_file: .*one token on one line$"):
        await point.start()
    assert not point.healthy()


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        (OPA(socket=Path("s"), token_file=Path("none")), "token_file"),
        (OPA(url="https://127.0.0.1:1", ca=Path("none")), "ca"),
        (OPA(url="https://127.0.0.1:1", ca=Path("empty")), "ca"),
        (OPA(url="https://127.0.0.1:1", certificate=Path("none"), key=Path("none")), "certificate"),
        (OPA(url="http://127.0.0.1:1", ca=Path("empty")), "need a url of https"),
    ],
    ids=["no token file", "no authorities", "empty authorities", "no certificate", "TLS over http"],
)
def test_files_that_cannot_be_used_are_named(tmp_path: Path, settings: OPA, where: str) -> None:
    """House: a message names what is wrong and where."""
    (tmp_path / "empty").touch()

    def absolute(path: Path | None) -> Path | None:
        return None if path is None else tmp_path / path

    absolutes = OPA(
        socket=settings.socket,
        url=settings.url,
        token_file=absolute(settings.token_file),
        ca=absolute(settings.ca),
        certificate=absolute(settings.certificate),
        key=absolute(settings.key),
    )
    with pytest.raises(SettingsError, match=where):
        door(absolutes)


@pytest.mark.parametrize(
    ("url", "host", "port", "secure"),
    [
        ("https://opa.internal:8443", "opa.internal", 8443, True),
        ("https://opa.internal", "opa.internal", 443, True),
        ("http://127.0.0.1:8181", "127.0.0.1", 8181, False),
        ("https://[::1]:8181/", "[::1]", 8181, True),
    ],
)
def test_a_url_is_read_as_host_port_and_whether_it_is_secure(
    url: str, host: str, port: int, secure: bool
) -> None:
    """House: OPA's certificate is always verified, by name."""
    where = door(OPA(url=url))
    assert (where.host, where.port, where.tls is not None) == (host, port, secure)
    if where.tls is not None:
        assert where.tls.verify_mode is ssl.CERT_REQUIRED
        assert where.tls.check_hostname
        assert where.tls.minimum_version >= ssl.TLSVersion.TLSv1_2


# --- TLS ---


def authority(folder: Path, name: str) -> tuple[Path, Path]:
    """Make an authority and a certificate for 127.0.0.1; return their files."""
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = certificate(name, root_key, None, root_key)
    leaf = certificate("127.0.0.1", key, root, root_key)
    ca, pair = folder / f"{name}-ca.pem", folder / f"{name}.pem"
    ca.write_bytes(root.public_bytes(Encoding.PEM))
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pair.write_bytes(pem + leaf.public_bytes(Encoding.PEM))
    return ca, pair


@pytest.mark.parametrize(
    ("trusted", "name", "code"),
    [
        ("ours", "127.0.0.1", "asked"),
        ("theirs", "127.0.0.1", "pdp_unavailable"),
        ("ours", "localhost", "pdp_unavailable"),
        (None, "127.0.0.1", "pdp_unavailable"),
    ],
    ids=["ours", "another authority", "another name", "the system's authorities"],
)
async def test_an_opa_by_url_is_believed_only_by_its_authority_and_name(
    tmp_path: Path, trusted: str | None, name: str, code: str
) -> None:
    """House: whoever answers instead of OPA could permit everything."""
    pairs = {who: authority(tmp_path, who) for who in ("ours", "theirs")}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pairs["ours"][1])
    peer = ScriptedOPA(OPA(), [decided()])
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        tls = anyio.streams.tls.TLSListener(listener, context, standard_compatible=False)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tls.serve, peer.serve)
            settings = OPA(
                url=f"https://{name}:{port}", ca=None if trusted is None else pairs[trusted][0]
            )
            point = OPADecisionPoint(
                tiny_bundle(tests=()), TickingClock(), settings, DEADLINE_SECONDS
            )
            await point.start()
            assert await code_of(point) == code
            await point.aclose()
            await eventually(lambda: not peer.open)
            tasks.cancel_scope.cancel()
    assert len(peer.heads) == (1 if code == "asked" else 0)
