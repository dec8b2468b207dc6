import base64
import json
import stat
from pathlib import Path
from typing import Any

import anyio
import pytest

from gateway.core.canonical import digest
from gateway.core.claims import Claims
from gateway.core.errors import CredentialRejected, SettingsError
from gateway.identity import jws
from gateway.identity.access_token import AccessTokenVerifier, TrustedIssuer
from gateway.identity.dev import (
    DEFAULT_LIFETIME_SECONDS,
    KEY_ID,
    create_key,
    limits,
    mint,
    public_keys,
)
from gateway.identity.jwks import read_key_set
from gateway.identity.kept import Kept
from gateway.identity.steps import Steps
from gateway.settings import MAX_LIFETIME_SECONDS, DevIssuer, Issuer
from tests.fakes_clock import FakeClock
from tests.unit.identity.keys import ED25519, NOW, P256, jwk

SUBJECT = "spiffe://corp.test/agent/a"


@pytest.fixture
def dev(tmp_path: Path) -> DevIssuer:
    """A development issuer with a new key."""
    create_key(tmp_path / "dev.jwk")
    return DevIssuer(tmp_path / "dev.jwk")


async def authenticated(issuer: DevIssuer, text: str, keys: DevIssuer | None = None) -> Claims:
    """Verify at NOW as wiring does."""

    async def fetch() -> bytes:
        return public_keys(keys or issuer)

    clock = FakeClock(NOW * 10**9)
    trusted = TrustedIssuer(limits(issuer), Kept(issuer.issuer, fetch, read_key_set, clock))
    with anyio.fail_after(5):
        verifier = AccessTokenVerifier([trusted], clock)
        return (await verifier.verify(jws.read(text), "", Steps())).claims


def decoded(part: str) -> dict[str, Any]:
    """Read a part of a token."""
    value = json.loads(base64.urlsafe_b64decode(part + "=="))
    assert isinstance(value, dict)
    return value


async def test_a_minted_token_is_authenticated_as_its_subject(dev: DevIssuer) -> None:
    """RFC 9068 §2."""
    text = mint(dev, SUBJECT, DEFAULT_LIFETIME_SECONDS, NOW)
    token_id = decoded(text.split(".")[1])["jti"]
    assert await authenticated(dev, text) == Claims(
        subject=SUBJECT,
        issuer="https://dev-issuer.invalid",
        audience="bailiwick-dev",
        issued_at=NOW,
        expires_at=NOW + DEFAULT_LIFETIME_SECONDS,
        scheme="at+jwt",
        algorithm="EdDSA",
        key_id=KEY_ID,
        token_id=token_id,
        token_digest=digest(text.encode()),
        key_age_seconds=0,
        other={"client_id": SUBJECT},
    )


def test_a_minted_token_says_exactly_what_an_access_token_says(dev: DevIssuer) -> None:
    """RFC 9068 §2.1, §2.2."""
    header, body, _ = mint(dev, SUBJECT, 60, NOW).split(".")
    claims = decoded(body)
    assert decoded(header) == {"alg": "EdDSA", "kid": KEY_ID, "typ": "at+jwt"}
    assert claims.pop("jti")
    assert claims == {
        "iss": "https://dev-issuer.invalid",
        "aud": "bailiwick-dev",
        "sub": SUBJECT,
        "client_id": SUBJECT,
        "iat": NOW,
        "exp": NOW + 60,
    }


@pytest.mark.parametrize("subject", [SUBJECT, "agent-7", "jo"])
async def test_a_minted_token_looks_like_a_workloads(dev: DevIssuer, subject: str) -> None:
    """RFC 9068 §2.2: the client is the subject when it acts for itself."""
    assert (await authenticated(dev, mint(dev, subject, 60, NOW))).flags == ()


def test_no_two_minted_tokens_are_the_same(dev: DevIssuer) -> None:
    """RFC 7519 §4.1.7."""
    assert len({mint(dev, SUBJECT, 60, NOW) for _ in range(16)}) == 16


@pytest.mark.parametrize(
    ("subject", "seconds", "code"),
    [
        (SUBJECT, MAX_LIFETIME_SECONDS + 1, "token_lifetime"),
        (SUBJECT, 0, "token_lifetime"),
        (SUBJECT, -60, "token_expired"),
        ("", 60, "token_claim_malformed"),
    ],
    ids=["too-long", "no-life", "negative", "nobody"],
)
async def test_the_authenticator_believes_the_development_issuer_no_more_than_any_other(
    dev: DevIssuer, subject: str, seconds: int, code: str
) -> None:
    """House."""
    with pytest.raises(CredentialRejected) as caught:
        await authenticated(dev, mint(dev, subject, seconds, NOW))
    assert caught.value.reason_code == code


async def test_a_token_of_another_development_key_is_refused(
    dev: DevIssuer, tmp_path: Path
) -> None:
    """House: what one machine signs is worth nothing on another."""
    create_key(tmp_path / "other.jwk")
    other = DevIssuer(tmp_path / "other.jwk")
    with pytest.raises(CredentialRejected) as caught:
        await authenticated(dev, mint(other, SUBJECT, 60, NOW))
    assert caught.value.reason_code == "token_signature"


def test_the_development_issuer_is_limited_to_its_one_algorithm_and_type(dev: DevIssuer) -> None:
    """House."""
    assert limits(dev) == Issuer(
        issuer="https://dev-issuer.invalid",
        audience="bailiwick-dev",
        jwks=str(dev.key),
        algorithms=("EdDSA",),
        types=("at+jwt",),
    )


def test_the_public_key_set_does_not_hold_the_private_key(dev: DevIssuer) -> None:
    """RFC 8037 §2."""
    private = json.loads(dev.key.read_text())
    published = public_keys(dev)
    assert private["d"].encode() not in published
    assert json.loads(published) == {
        "keys": [
            {
                "kty": "OKP",
                "crv": "Ed25519",
                "x": private["x"],
                "kid": KEY_ID,
                "use": "sig",
                "alg": "EdDSA",
            }
        ]
    }
    assert list(read_key_set(published).keys) == [KEY_ID]


def test_a_new_key_is_readable_by_its_owner_only(dev: DevIssuer) -> None:
    """House."""
    assert stat.S_IMODE(dev.key.stat().st_mode) == 0o600


def test_a_key_that_exists_is_never_overwritten(dev: DevIssuer, tmp_path: Path) -> None:
    """House."""
    before = dev.key.read_bytes()
    with pytest.raises(FileExistsError):
        create_key(dev.key)
    (tmp_path / "link.jwk").symlink_to(tmp_path / "nowhere.jwk")
    with pytest.raises(FileExistsError):
        create_key(tmp_path / "link.jwk")
    assert (dev.key.read_bytes(), (tmp_path / "nowhere.jwk").exists()) == (before, False)


BAD_KEYS: dict[str, bytes] = {
    "nothing": b"",
    "not-json": b"{",
    "not-text": b"\xff",
    "list": b"[]",
    "empty": b"{}",
    "public": json.dumps(jwk(ED25519, "dev")).encode(),
    "ec": json.dumps(jwk(P256, "dev", secret=True)).encode(),
}
UNSIGNABLE: dict[str, bytes] = {
    "short": json.dumps(jwk(ED25519, "dev", d="AA")).encode(),
    "number": json.dumps(jwk(ED25519, "dev", d=5)).encode(),
    "other-curve": json.dumps(jwk(ED25519, "dev", secret=True, crv="X25519")).encode(),
    "no-curve": b'{"kty":"OKP","d":"AA"}',
}


@pytest.mark.parametrize("content", BAD_KEYS.values(), ids=BAD_KEYS)
def test_a_file_that_is_no_private_key_neither_signs_nor_is_published(
    tmp_path: Path, content: bytes
) -> None:
    """House."""
    (tmp_path / "dev.jwk").write_bytes(content)
    dev = DevIssuer(tmp_path / "dev.jwk")
    for use in (lambda: mint(dev, SUBJECT, 60, NOW), lambda: public_keys(dev)):
        with pytest.raises(SettingsError) as caught:
            use()
        assert caught.value.reason_code == "settings_invalid"


@pytest.mark.parametrize("content", UNSIGNABLE.values(), ids=UNSIGNABLE)
def test_a_damaged_private_key_does_not_sign(tmp_path: Path, content: bytes) -> None:
    """House."""
    (tmp_path / "dev.jwk").write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        mint(DevIssuer(tmp_path / "dev.jwk"), SUBJECT, 60, NOW)
    assert caught.value.reason_code == "settings_invalid"


def test_a_missing_key_neither_signs_nor_is_published(tmp_path: Path) -> None:
    """House."""
    dev = DevIssuer(tmp_path / "absent.jwk")
    for use in (lambda: mint(dev, SUBJECT, 60, NOW), lambda: public_keys(dev)):
        with pytest.raises(SettingsError):
            use()
