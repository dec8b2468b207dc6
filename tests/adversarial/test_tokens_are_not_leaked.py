import logging
import traceback
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from gateway.core.call import Request, ToolCall
from gateway.core.canonical import digest
from gateway.core.claims import Claims, Credential, UnverifiedToken
from gateway.core.errors import AdmissionRefused, GatewayError, IdentityError, IssuerUnavailable
from gateway.identity.issued import TrustedIssuer
from gateway.identity.jwks import read_key_set
from gateway.identity.kept import Kept
from gateway.settings import Issuer
from gateway.wire.admission import Head, admit
from gateway.wire.mcp import decode
from gateway.wire.refusal import Refusal, answer
from tests.fakes_clock import FakeClock
from tests.unit.identity.authenticating import authenticating
from tests.unit.identity.keys import ALL_KEYS, AUDIENCE, ISSUER, NOW, P256, payload, token

CANARY = "canary-7d3f51c09be2"
LIMITS = Issuer(ISSUER, AUDIENCE, "unused", algorithms=("ES256",))
GOOD = token(payload(secret=CANARY))
BAD: dict[str, str] = {
    "no-jws": CANARY,
    "not-base64": f"{CANARY}!.{CANARY}.{CANARY}",
    "not-ascii": f"é{CANARY}.{CANARY}.{CANARY}",
    "four-parts": f"{GOOD}.{CANARY}",
    "too-long": CANARY * 1000,
    "extra-header": token(payload(secret=CANARY), jku=f"https://{CANARY}"),
    "issuer": token(payload(iss=CANARY)),
    "type": token(payload(secret=CANARY), typ=CANARY),
    "kid": token(payload(secret=CANARY), kid=CANARY, private=P256),
    "algorithm": token(payload(secret=CANARY), alg=CANARY),
    "signature": GOOD.rpartition(".")[0] + "." + "A" * 86,
    "audience": token(payload(aud=CANARY)),
    "subject": token(payload(sub=[CANARY])),
    "token-id": token(payload(jti={CANARY: 1})),
    "missing-claim": token(payload("sub", secret=CANARY)),
    "time": token(payload(exp=CANARY)),
    "expired": token(payload(iat=0, exp=1, secret=CANARY)),
    "tenant": token(payload(tenant=[CANARY])),
    "actor": token(payload(act={"sub": "", CANARY: CANARY})),
}


def leaks(shown: str, text: str) -> list[str]:
    """Return what of a token can be found in what is shown."""
    parts = [part for part in text.split(".") if len(part) > 8]
    return [secret for secret in (CANARY, text, *parts) if secret in shown]


def head(text: str, *extra: tuple[bytes, bytes]) -> Head:
    """Make the head of a request that bears this token."""
    lines = (
        (b"host", b"gateway.test"),
        (b"content-type", b"application/json"),
        (b"authorization", b"Bearer " + text.encode()),
    )
    return Head("POST", b"/crm/mcp", b"", (*lines, *extra))


def request(text: str, headers: dict[str, str] | None = None) -> Request:
    """Make a request whose credential is this token."""
    body = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t"}}'
    credential = Credential(UnverifiedToken(text))
    return Request("POST", "/crm/mcp", "crm", headers or {}, body, "::1", credential)


async def authenticated(text: str, keys: bytes | None = ALL_KEYS) -> Claims:
    """Authenticate at NOW."""

    async def fetch() -> bytes:
        if keys is None:
            raise IssuerUnavailable("down")
        return keys

    clock = FakeClock(NOW * 10**9)
    trusted = TrustedIssuer(LIMITS, Kept(ISSUER, fetch, read_key_set, clock))
    with anyio.fail_after(5):
        return await authenticating([trusted], clock=clock).authenticate(request(text))


SHOWN: dict[str, Callable[[str], Any]] = {
    "token": UnverifiedToken,
    "request": request,
    "call": lambda text: decode(request(text)),
    "head": head,
    "admitted": lambda text: admit(head(text), {"gateway.test"}, ()),
}


@pytest.mark.parametrize("make", SHOWN.values(), ids=SHOWN)
@pytest.mark.parametrize(
    "show",
    [repr, str, ascii, "{!r}".format, "%s".__mod__],
    ids=["repr", "str", "ascii", "format", "percent"],
)
def test_no_value_shows_the_token_that_it_holds(
    make: Callable[[str], Any], show: Callable[[Any], str]
) -> None:
    """House: a token is never logged, and a value may be."""
    assert leaks(show([make(GOOD)]), GOOD) == []


@pytest.mark.parametrize("show", [repr, str])
def test_what_was_admitted_does_not_show_the_token(show: Callable[[Any], str]) -> None:
    """House: the header is in it until the data plane has taken it out."""
    admitted = admit(head(GOOD), {"gateway.test"}, ())
    assert admitted.headers["authorization"].endswith(GOOD)
    assert leaks(show(admitted), GOOD) == []


def test_a_request_cannot_hold_the_token_among_its_headers() -> None:
    """House: records show headers."""
    with pytest.raises(ValueError):
        request(GOOD, dict(admit(head(GOOD), {"gateway.test"}, ()).headers))


async def test_verified_claims_hold_a_digest_and_no_token() -> None:
    """House: evidence keeps the digest."""
    text = token(payload(jti="t-1"))
    claims = await authenticated(text)
    shown = repr(claims) + repr(claims.as_evidence()) + repr(claims.as_subject(NOW))
    assert leaks(shown, text) == []
    assert claims.token_digest == digest(text.encode())


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
async def test_no_rejection_says_anything_of_the_token(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    """House: it names the check that failed, never the token."""
    caplog.set_level(logging.DEBUG)
    with pytest.raises(IdentityError) as caught:
        await authenticated(text)
    failure = caught.value
    logging.getLogger("gateway").error("refused", exc_info=failure)
    for shown in (
        str(failure),
        repr(failure),
        repr(failure.args),
        failure.message,
        failure.reason_code,
        "".join(traceback.format_exception(failure)),
        caplog.text,
    ):
        assert leaks(shown, text) == []


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
async def test_no_answer_to_a_rejection_says_anything_of_the_token(text: str) -> None:
    """House: agents see a code and a short sentence."""
    with pytest.raises(IdentityError) as caught:
        await authenticated(text)
    call: ToolCall = decode(request(GOOD))
    got = answer(Refusal(caught.value.reason_code, "c", None, caught.value), call)
    assert got.status == 401
    assert leaks(got.body.decode() + repr(got.headers), text) == []


async def test_an_unavailable_issuer_says_nothing_of_the_token(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """House."""
    caplog.set_level(logging.DEBUG)
    with pytest.raises(IssuerUnavailable) as caught:
        await authenticated(GOOD, None)
    shown = "".join(traceback.format_exception(caught.value)) + caplog.text
    assert leaks(shown, GOOD) == []


async def test_a_good_token_is_not_logged_either(caplog: pytest.LogCaptureFixture) -> None:
    """House."""
    caplog.set_level(logging.DEBUG)
    await authenticated(GOOD)
    assert leaks(caplog.text, GOOD) == []


@pytest.mark.parametrize(
    "extra",
    [
        (b"authorization", b"Bearer " + CANARY.encode()),
        (b"mcp-name", b"\xff" + CANARY.encode()),
        (b"x y", CANARY.encode()),
        (b"origin", CANARY.encode()),
        (b"transfer-encoding", CANARY.encode()),
        (b"content-encoding", CANARY.encode()),
        (b"upgrade", CANARY.encode()),
        (b"x-forwarded-client-cert", CANARY.encode()),
    ],
    ids=lambda line: line[0].decode(),
)
def test_no_refused_header_is_repeated_in_its_refusal(extra: tuple[bytes, bytes]) -> None:
    """House: what came in goes nowhere."""
    with pytest.raises(AdmissionRefused) as caught:
        admit(head(GOOD, extra), {"gateway.test"}, ())
    failure: GatewayError = caught.value
    got = answer(Refusal(failure.reason_code, "c", None, failure), None)
    shown = "".join(traceback.format_exception(failure)) + repr(got)
    assert leaks(shown, GOOD) == []
