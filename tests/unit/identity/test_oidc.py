import base64
import hashlib
import hmac
import json
from typing import Any

import anyio
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.core.canonical import digest
from gateway.core.claims import Claims, UnverifiedToken
from gateway.core.errors import (
    CredentialMissing,
    CredentialRejected,
    GatewayError,
    IssuerUnavailable,
)
from gateway.identity.jwks import KeyCache
from gateway.identity.oidc import MAX_ACTORS, MAX_TOKEN_BYTES, OIDCAuthenticator, TrustedIssuer
from gateway.settings import Issuer
from tests.fakes_clock import FakeClock
from tests.unit.identity.keys import (
    ALL_KEYS,
    AUDIENCE,
    ED25519,
    ISSUER,
    KEYS,
    NOW,
    P256,
    RSA,
    encode,
    jwk,
    key_set,
    payload,
    sign,
    token,
)

LIMITS = Issuer(ISSUER, AUDIENCE, "unused", ("ES256", "EdDSA", "RS256"))


def trusted(limits: Issuer = LIMITS, keys: bytes = ALL_KEYS) -> TrustedIssuer:
    """Return an issuer whose key set is at hand."""

    async def fetch() -> bytes:
        return keys

    return TrustedIssuer(limits, KeyCache(limits.issuer, fetch, FakeClock()))


async def authenticated(text: str | None, *issuers: TrustedIssuer) -> Claims:
    """Authenticate at NOW."""
    authenticator = OIDCAuthenticator(issuers or (trusted(),), FakeClock(NOW * 10**9 + 999_999_999))
    with anyio.fail_after(5):
        return await authenticator.authenticate(None if text is None else UnverifiedToken(text))


async def rejected(text: str, *issuers: TrustedIssuer) -> str:
    """Return the code of the rejection."""
    with pytest.raises(CredentialRejected) as caught:
        await authenticated(text, *issuers)
    return caught.value.reason_code


def claims(text: str, **members: Any) -> Claims:
    """Return the claims that a good token must give."""
    known: dict[str, Any] = {
        "subject": "spiffe://corp.test/agent/a",
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "issued_at": NOW - 10,
        "expires_at": NOW + 600,
        "scheme": "at+jwt",
        "algorithm": "ES256",
        "key_id": "p256",
        "token_id": None,
        "token_digest": digest(text.encode()),
    }
    return Claims(**(known | members))


# Good tokens.


@pytest.mark.parametrize(
    ("algorithm", "kid"), [("ES256", "p256"), ("EdDSA", "ed"), ("RS256", "rsa")]
)
@pytest.mark.parametrize("typ", ["at+jwt", "JWT"])
async def test_a_good_token_gives_its_claims(algorithm: str, kid: str, typ: str) -> None:
    """RFC 7519 §7.2; RFC 9068 §4."""
    text = token(algorithm=algorithm, kid=kid, typ=typ)
    expected = claims(text, algorithm=algorithm, key_id=kid, scheme=typ.lower())
    assert await authenticated(text) == expected


@pytest.mark.parametrize(("algorithm", "kid"), [("PS256", "rsa"), ("ES384", "p384")])
async def test_an_algorithm_is_used_only_if_settings_name_it(algorithm: str, kid: str) -> None:
    """House: settings."""
    text = token(algorithm=algorithm, kid=kid)
    assert await rejected(text) == "token_key_unknown"
    limits = Issuer(ISSUER, AUDIENCE, "unused", ("PS256", "ES384"))
    assert await authenticated(text, trusted(limits)) == claims(
        text, algorithm=algorithm, key_id=kid
    )


async def test_every_other_claim_is_kept_for_policy_and_none_of_ours_is_doubled() -> None:
    """House."""
    text = token(payload(nbf=NOW, jti="t-1", tenant="acme", scope="a b", may_act={"sub": "x"}))
    assert await authenticated(text) == claims(
        text, token_id="t-1", tenant="acme", other={"scope": "a b", "may_act": {"sub": "x"}}
    )


def chain(*subjects: Any) -> dict[str, Any] | None:
    """Nest actors, outermost first."""
    nested: dict[str, Any] | None = None
    for subject in reversed(subjects):
        nested = {"sub": subject} | ({"act": nested} if nested else {})
    return nested


@pytest.mark.parametrize("actors", [("a",), ("a", "b"), ("a", "b", "c", "d")], ids=len)
async def test_the_outermost_actor_is_the_workload_and_sub_is_whom_it_acts_for(
    actors: tuple[str, ...],
) -> None:
    """RFC 8693 §4.1."""
    text = token(payload(sub="user-7", act=chain(*actors)))
    assert await authenticated(text) == claims(
        text, subject="a", on_behalf_of="user-7", actors=actors
    )


async def test_a_malleated_ecdsa_signature_proves_the_same_claims_and_no_others() -> None:
    """SEC 1 §4.1.4: (r, n-s) verifies too, so a token's digest is no key for a denylist."""
    text = token(payload(jti="t-1"))
    head, body, signature = text.split(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    other = raw[:32] + (order - int.from_bytes(raw[32:])).to_bytes(32)
    malleated = f"{head}.{body}.{encode(other)}"
    assert await authenticated(malleated) == claims(malleated, token_id="t-1")


# Step 1: the text.


async def test_no_credential_is_missing_and_not_bad() -> None:
    """RFC 6750 §3.1."""
    with pytest.raises(CredentialMissing):
        await authenticated(None)


def respelled(part: int, text: str) -> dict[str, str]:
    """Spell the same bytes of one part in other ways."""
    parts = text.split(".")
    spelled = {
        "padding": parts[part] + "=",
        "paddings": parts[part] + "==",
        "space": " " + parts[part],
        "newline": parts[part] + "\n",
        "inner-newline": parts[part][:4] + "\n" + parts[part][4:],
        "nul": parts[part] + "\x00",
        "non-ascii": parts[part] + "\u0430",
        "cut": parts[part][:-1],
        "plus": "+" + parts[part][1:],
        "slash": "/" + parts[part][1:],
    }
    return {
        name: ".".join([*parts[:part], other, *parts[part + 1 :]])
        for name, other in spelled.items()
    }


@pytest.mark.parametrize("spelling", respelled(0, token()))
@pytest.mark.parametrize("part", [0, 1, 2], ids=["header", "payload", "signature"])
async def test_another_spelling_of_a_token_is_refused(part: int, spelling: str) -> None:
    """RFC 7515 §2: base64url without padding."""
    code = await rejected(respelled(part, token())[spelling])
    # One character fewer may be canonical again, and then is another signature.
    assert code == "token_malformed" or (part == 2 and spelling == "cut")


@pytest.mark.parametrize("part", [0, 1, 2], ids=["header", "payload", "signature"])
async def test_bits_that_base64_would_ignore_must_be_zero(part: int) -> None:
    """RFC 4648 §3.5."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    parts: list[str] = []
    for length in range(3):
        # A space more in the JSON moves the end of a part to each of the three alignments.
        spaces = b" " * length
        header = json.dumps({"alg": "ES256", "kid": "p256", "typ": "at+jwt"}).encode() + spaces
        body = json.dumps(payload()).encode() + spaces
        parts = sign(header, body, P256, "ES256").split(".")
        if len(parts[part]) % 4:
            break
    last = alphabet.index(parts[part][-1])
    parts[part] = parts[part][:-1] + alphabet[last + 1]
    assert await rejected(".".join(parts)) == "token_malformed"


@pytest.mark.parametrize(
    "text",
    ["", ".", "..", "...", "a", "a.b", "a.b.c.d", ".a.", "e30.e30", "bearer e30.e30.e30"],
    ids=repr,
)
async def test_what_is_no_compact_jws_is_refused(text: str) -> None:
    """RFC 7515 §7.1."""
    assert await rejected(text) == "token_malformed"


async def test_a_good_token_with_a_part_more_or_fewer_is_refused() -> None:
    """RFC 7515 §7.1; RFC 7516 §7.1: five parts are encrypted."""
    text = token()
    for other in (text + ".", "." + text, text + ".x", text + ".x.y", text.rpartition(".")[0]):
        assert await rejected(other) == "token_malformed"


async def test_a_token_may_be_as_long_as_the_limit_and_no_longer() -> None:
    """House: 8 KiB."""
    room = next(size for size in range(7000, 5000, -1) if len(token(payload(x="x" * size))) <= 8192)
    assert MAX_TOKEN_BYTES == 8192
    text = token(payload(x="x" * room))
    assert await authenticated(text) == claims(text, other={"x": "x" * room})
    assert await rejected(token(payload(x="x" * (room + 3)))) == "token_malformed"


@pytest.mark.parametrize(
    "header",
    [
        b'{"alg":"none","alg":"ES256","kid":"p256","typ":"at+jwt"}',
        b'{"alg":"ES256","alg":"ES256","kid":"p256","typ":"at+jwt"}',
        b'{"alg":"ES256","kid":"x","kid":"p256","typ":"at+jwt"}',
        b'{"alg":"ES256","kid":"p256","typ":"x","t\\u0079p":"at+jwt"}',
        b'[{"alg":"ES256","kid":"p256","typ":"at+jwt"}]',
        b'\xef\xbb\xbf{"alg":"ES256","kid":"p256","typ":"at+jwt"}',
        b'{"alg":"ES256","kid":"p256","typ":"at+jwt"}{}',
        b"null",
        b"",
    ],
    ids=["alg", "same-alg", "kid", "escaped-typ", "array", "bom", "two", "null", "empty"],
)
async def test_a_header_that_says_two_things_is_refused(header: bytes) -> None:
    """RFC 7515 §4: names must be unique."""
    text = sign(header, json.dumps(payload()).encode(), P256, "ES256")
    assert await rejected(text) == "token_malformed"


@pytest.mark.parametrize("name", ["sub", "iss", "aud", "exp", "iat", "x"])
async def test_a_payload_that_names_a_claim_twice_is_refused(name: str) -> None:
    """RFC 7519 §4: names must be unique."""
    good = json.dumps(payload(x=1))
    body = good[:-1] + f', "{name}": {json.dumps(payload(x=1)[name])}}}'
    header = b'{"alg":"ES256","kid":"p256","typ":"at+jwt"}'
    assert await rejected(sign(header, body.encode(), P256, "ES256")) == "token_malformed"


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'"x"', b"\xff{}", b'{"a":NaN}', b'{"a":1e999}', b'{"a":"\\ud800"}', b"{'a':1}"],
    ids=repr,
)
async def test_a_payload_that_is_no_strict_object_is_refused(body: bytes) -> None:
    """RFC 7519 §7.2; RFC 7493."""
    header = b'{"alg":"ES256","kid":"p256","typ":"at+jwt"}'
    assert await rejected(sign(header, body, P256, "ES256")) == "token_malformed"


# Step 2: the header.


@pytest.mark.parametrize(
    "extra",
    [
        {"jku": "https://evil.test/keys"},
        {"jwk": jwk(P256, "p256")},
        {"x5u": "https://evil.test/cert"},
        {"x5c": ["MIIB"]},
        {"x5t": "AA"},
        {"x5t#S256": "AA"},
        {"crit": ["exp"], "exp": NOW},
        {"crit": []},
        {"b64": False},
        {"cty": "JWT"},
        {"enc": "A128GCM"},
        {"zip": "DEF"},
        {"nonce": "1"},
        {"ALG": "none"},
    ],
    ids="-".join,
)
async def test_a_header_with_anything_more_is_refused(extra: dict[str, Any]) -> None:
    """RFC 8725 §3.10; CVE-2026-32597."""
    assert await rejected(token(**extra)) == "token_header_refused"


@pytest.mark.parametrize("value", ["absent", 1, [], True, {}], ids=repr)
@pytest.mark.parametrize("name", ["kid", "typ", "alg"])
async def test_a_header_without_one_of_its_three_texts_is_refused(name: str, value: Any) -> None:
    """House."""
    members: dict[str, Any] = {"alg": "ES256", "kid": "p256", "typ": "at+jwt"} | {name: value}
    if value == "absent":
        del members[name]
    body = json.dumps(payload()).encode()
    text = sign(json.dumps(members).encode(), body, P256, "ES256")
    assert await rejected(text) == "token_header_refused"


# Step 3: the issuer.


@pytest.mark.parametrize(
    "issuer",
    [
        "https://issuer.test/",
        "https://issuer.tes",
        "https://issuer.test.evil.test",
        "https://Issuer.test",
        "HTTPS://issuer.test",
        "http://issuer.test",
        " https://issuer.test",
        "https://issuer.test\u0000",
        "https://i\u0455suer.test",
        "",
        None,
        1,
        ["https://issuer.test"],
        {"https://issuer.test": 1},
        "absent",
    ],
    ids=ascii,
)
async def test_an_issuer_that_is_not_configured_to_the_letter_is_refused(issuer: Any) -> None:
    """RFC 7519 §4.1.1; RFC 9207 §2.4: simple string comparison."""
    without = ["iss"] if issuer == "absent" else []
    assert await rejected(token(payload(*without, iss=issuer))) == "token_issuer_unknown"


async def test_without_issuers_nobody_is_authenticated() -> None:
    """House: design §1.1."""
    authenticator = OIDCAuthenticator((), FakeClock())
    with pytest.raises(CredentialRejected) as caught:
        await authenticator.authenticate(UnverifiedToken(token()))
    assert caught.value.reason_code == "token_issuer_unknown"


async def test_the_key_of_one_issuer_proves_nothing_for_another() -> None:
    """House: one key set an issuer, never a merged pool."""
    other = Issuer("https://other.test", AUDIENCE, "unused", ("ES256",))
    both = (trusted(), trusted(other, key_set(jwk(ec.generate_private_key(P256.curve), "p256"))))
    assert await rejected(token(payload(iss="https://other.test")), *both) == "token_signature"


# Step 4: the type.


@pytest.mark.parametrize(
    "typ", ["", "jwt", "AT+JWT", "application/at+jwt", "dpop+jwt", "logout+jwt", "at+jwt "]
)
async def test_a_type_that_the_issuer_may_not_use_is_refused(typ: str) -> None:
    """RFC 8725 §3.11."""
    assert await rejected(token(typ=typ)) == "token_type_refused"


# Step 5: the key and the algorithm.


@pytest.mark.parametrize("kid", ["", "P256", "p256 ", "unknown", "../p256", "rsa' or 1", "x" * 999])
async def test_a_kid_that_the_issuer_does_not_have_is_refused(kid: str) -> None:
    """RFC 7515 §4.1.4."""
    assert await rejected(token(kid=kid, private=P256)) == "token_key_unknown"


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", ""])
@pytest.mark.parametrize("signature", ["", "AA"])
async def test_an_unsigned_token_is_refused(algorithm: str, signature: str) -> None:
    """RFC 8725 §3.2."""
    header = {"alg": algorithm, "kid": "p256", "typ": "at+jwt"}
    parts = [encode(json.dumps(part).encode()) for part in (header, payload())]
    assert await rejected(".".join([*parts, signature])) == "token_key_unknown"


@pytest.mark.parametrize("kid", KEYS)
@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
async def test_an_hmac_under_the_public_key_is_refused(algorithm: str, kid: str) -> None:
    """RFC 8725 §2.1: algorithm confusion."""
    public = KEYS[kid].public_key()
    header = {"alg": algorithm, "kid": kid, "typ": "at+jwt"}
    text = ".".join(encode(json.dumps(part).encode()) for part in (header, payload()))
    for secret in (
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(jwk(KEYS[kid], kid)).encode(),
    ):
        signature = hmac.new(secret, text.encode(), "sha" + algorithm[2:]).digest()
        assert await rejected(f"{text}.{encode(signature)}") == "token_key_unknown"


@pytest.mark.parametrize(
    ("algorithm", "kid", "written"),
    [
        ("ES256", "p256", "RS256"),
        ("ES256", "p256", "ES384"),
        ("ES256", "p256", "ES256K"),
        ("ES256", "p256", "es256"),
        ("ES256", "p256", "EdDSA"),
        ("RS256", "rsa", "ES256"),
        ("RS256", "rsa", "RS512"),
        ("RS512", "rsa", "RS512"),
        ("RS384", "rsa", "RS384"),
        ("EdDSA", "ed", "ES256"),
        ("ES256", "rsa", "ES256"),
        ("RS256", "p256", "RS256"),
    ],
)
async def test_a_token_cannot_choose_another_algorithm_than_its_keys(
    algorithm: str, kid: str, written: str
) -> None:
    """RFC 8725 §3.1."""
    private: Any = {"ES": P256, "RS": RSA, "Ed": ED25519}[algorithm[:2]]
    text = token(algorithm=algorithm, kid=kid, private=private, alg=written)
    assert await rejected(text) == "token_key_unknown"


async def test_an_algorithm_of_the_key_that_settings_do_not_name_is_refused() -> None:
    """House: settings."""
    limits = Issuer(ISSUER, AUDIENCE, "unused", ("RS256",))
    assert await rejected(token(), trusted(limits)) == "token_key_unknown"


@pytest.mark.parametrize(
    "members",
    [
        {"use": "enc"},
        {"use": "SIG"},
        {"use": ""},
        {"use": None},
        {"use": ["sig"]},
        {"key_ops": []},
        {"key_ops": ["sign"]},
        {"key_ops": ["deriveKey"]},
        {"key_ops": "verify"},
        {"key_ops": None},
        {"alg": "RS256"},
        {"alg": "ES384"},
        {"alg": "es256"},
        {"alg": None},
        {"alg": ["ES256"]},
        {"kid": None},
        {"kid": 1},
        {"kty": "oct"},
        {"kty": "ec"},
        {"crv": "P-384"},
        {"crv": None},
        {"d": "AA"},
    ],
    ids=repr,
)
async def test_a_key_that_is_not_for_verifying_this_verifies_nothing(
    members: dict[str, Any],
) -> None:
    """RFC 7517 §4.2, §4.3, §4.4."""
    keys = key_set(jwk(P256, "p256") | members)
    assert await rejected(token(), trusted(keys=keys)) == "token_key_unknown"


@pytest.mark.parametrize(
    "members",
    [{"use": "sig"}, {"key_ops": ["verify"]}, {"key_ops": ["sign", "verify"]}, {"alg": "ES256"}],
    ids=repr,
)
async def test_a_key_that_says_it_is_for_verifying_verifies(members: dict[str, Any]) -> None:
    """RFC 7517 §4."""
    text = token()
    keys = key_set(jwk(P256, "p256", **members))
    assert await authenticated(text, trusted(keys=keys)) == claims(text)


# Step 6: the signature, the audience, what is required.


def tampered(**members: Any) -> str:
    """Return a token whose payload was changed after it was signed."""
    head, _, signature = token().split(".")
    return f"{head}.{encode(json.dumps(payload(**members)).encode())}.{signature}"


@pytest.mark.parametrize(
    ("algorithm", "kid", "signature"),
    [
        ("ES256", "p256", b""),
        ("ES256", "p256", bytes(64)),
        ("ES256", "p256", bytes(63) + b"\x01"),
        ("ES256", "p256", b"\xff" * 64),
        ("ES256", "p256", bytes(63)),
        ("ES256", "p256", bytes(96)),
        ("ES256", "p256", bytes.fromhex("3006020100020100")),
        ("EdDSA", "ed", b""),
        ("EdDSA", "ed", bytes(64)),
        ("EdDSA", "ed", b"\x01" + bytes(63)),
        ("RS256", "rsa", b""),
        ("RS256", "rsa", bytes(256)),
        ("RS256", "rsa", bytes(255) + b"\x01"),
    ],
    ids=lambda value: (
        f"{value[:4].hex()}-{value[-1:].hex()}-{len(value)}" if isinstance(value, bytes) else value
    ),
)
async def test_a_degenerate_signature_does_not_hold(
    algorithm: str, kid: str, signature: bytes
) -> None:
    """CVE-2022-21449, psychic signatures."""
    header = {"alg": algorithm, "kid": kid, "typ": "at+jwt"}
    parts = [encode(json.dumps(part).encode()) for part in (header, payload())]
    assert await rejected(".".join([*parts, encode(signature)])) == "token_signature"


async def test_a_payload_changed_after_signing_does_not_hold() -> None:
    """RFC 7515 §5.2."""
    assert await rejected(tampered(sub="spiffe://corp.test/agent/b")) == "token_signature"


async def test_a_header_changed_after_signing_does_not_hold() -> None:
    """RFC 7515 §5.2."""
    header = encode(b'{"alg":"ES256","kid":"p256","typ":"JWT"}')
    _, body, signature = token().split(".")
    assert await rejected(f"{header}.{body}.{signature}") == "token_signature"


@pytest.mark.parametrize(("algorithm", "kid"), [("ES256", "p256"), ("EdDSA", "ed")])
async def test_a_strangers_signature_does_not_hold(algorithm: str, kid: str) -> None:
    """RFC 7515 §5.2."""
    stranger = (
        ed25519.Ed25519PrivateKey.generate()
        if algorithm == "EdDSA"
        else ec.generate_private_key(ec.SECP256R1())
    )
    text = token(algorithm=algorithm, kid=kid, private=stranger)
    assert await rejected(text) == "token_signature"


async def test_a_der_signature_does_not_hold() -> None:
    """RFC 7518 §3.4: the signature is R and S, not DER."""
    head, body, _ = token().split(".")
    der = P256.sign(f"{head}.{body}".encode(), ec.ECDSA(SHA256()))
    assert await rejected(f"{head}.{body}.{encode(der)}") == "token_signature"


@pytest.mark.parametrize("name", ["exp", "iat", "aud", "sub"])
async def test_a_token_without_a_required_claim_is_refused(name: str) -> None:
    """RFC 9068 §2.2."""
    assert await rejected(token(payload(name))) == "token_claim_missing"
    assert await rejected(token(payload(**{name: None}))) == "token_claim_missing"


@pytest.mark.parametrize(
    "audience",
    [
        "other",
        "Bailiwick",
        "bailiwick/",
        "bailiwic",
        "bailiwick other",
        ["bailiwick"],
        ["bailiwick", "other"],
        ["other"],
        {"bailiwick": 1},
        1,
        True,
    ],
    ids=repr,
)
async def test_a_token_for_anyone_else_too_is_refused(audience: Any) -> None:
    """RFC 9068 §4; House: strict_aud."""
    assert await rejected(token(payload(aud=audience))) == "token_audience"


async def test_an_empty_audience_is_none() -> None:
    """RFC 7519 §4.1.3."""
    empty: tuple[Any, ...] = ("", [], 0, False)
    for audience in empty:
        assert await rejected(token(payload(aud=audience))) == "token_claim_missing"


# Step 7: the times.


@pytest.mark.parametrize(
    "value",
    [str(NOW), float(NOW), NOW + 0.5, 1e300, -1, True, False, [NOW], {"t": NOW}, "", "now"],
    ids=repr,
)
@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
async def test_a_time_that_is_not_a_plain_integer_is_refused(name: str, value: Any) -> None:
    """House: identity-and-approvals §2."""
    assert await rejected(token(payload(**{name: value}))) == "token_time_malformed"


async def test_a_begin_of_null_is_no_time() -> None:
    """House."""
    assert await rejected(token(payload(nbf=None))) == "token_time_malformed"


@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
async def test_a_time_that_some_reader_would_round_is_refused(name: str) -> None:
    """RFC 7493 §2.2."""
    assert await rejected(token(payload(**{name: 2**53}))) == "token_malformed"
    assert await rejected(token(payload(**{name: 10**400}))) == "token_malformed"


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"iat": NOW - 600, "exp": NOW - 30}, "token_expired"),
        ({"iat": NOW - 600, "exp": NOW - 31}, "token_expired"),
        ({"iat": 0, "exp": 1}, "token_expired"),
        ({"iat": 0, "exp": 0}, "token_expired"),
        ({"iat": NOW + 31, "exp": NOW + 600}, "token_not_yet_valid"),
        ({"nbf": NOW + 31}, "token_not_yet_valid"),
        ({"nbf": 2**53 - 1}, "token_not_yet_valid"),
        ({"iat": NOW, "exp": NOW + 3601}, "token_lifetime"),
        ({"iat": NOW - 3000, "exp": NOW + 601}, "token_lifetime"),
        ({"exp": 99_999_999_999_999}, "token_lifetime"),
        ({"exp": 2**53 - 1}, "token_lifetime"),
        ({"iat": 0}, "token_lifetime"),
        ({"iat": NOW + 10, "exp": NOW + 10}, "token_lifetime"),
        ({"iat": NOW + 10, "exp": NOW + 5}, "token_lifetime"),
    ],
    ids=[
        "expired-at-the-leeway",
        "expired",
        "long-ago",
        "at-the-epoch",
        "issued-later",
        "begins-later",
        "begins-never",
        "lives-too-long",
        "lived-too-long",
        "milliseconds",
        "for-ever",
        "issued-at-the-epoch",
        "no-life",
        "ends-before-it-begins",
    ],
)
async def test_a_token_out_of_its_time_is_refused(members: dict[str, int], code: str) -> None:
    """RFC 7519 §4.1.4 to §4.1.6; House: the lifetime has a cap."""
    assert await rejected(token(payload(**members))) == code


@pytest.mark.parametrize(
    "members",
    [
        {"iat": NOW - 600, "exp": NOW - 29},
        {"iat": NOW + 30, "exp": NOW + 600},
        {"nbf": NOW + 30},
        {"nbf": 0},
        {"iat": NOW, "exp": NOW + 3600},
        {"iat": NOW + 30, "exp": NOW + 3630},
    ],
    ids=["just-expired", "just-issued", "just-begun", "always", "at-the-cap", "latest"],
)
async def test_a_token_at_the_edge_of_its_time_is_accepted(members: dict[str, int]) -> None:
    """House: leeway of 30 s, cap of an hour."""
    text = token(payload(**members))
    known = {"iat": NOW - 10, "exp": NOW + 600} | members
    assert await authenticated(text) == claims(
        text, issued_at=known["iat"], expires_at=known["exp"]
    )


async def test_an_issuer_may_have_a_shorter_cap_and_no_leeway() -> None:
    """House: settings."""
    limits = Issuer(
        ISSUER, AUDIENCE, "unused", ("ES256",), max_lifetime_seconds=60, leeway_seconds=0
    )
    short = {"iat": NOW, "exp": NOW + 60}
    text = token(payload(**short))
    expected = claims(text, issued_at=NOW, expires_at=NOW + 60)
    assert await authenticated(text, trusted(limits)) == expected
    for members, code in (
        ({"exp": NOW + 61}, "token_lifetime"),
        ({"iat": NOW + 1}, "token_not_yet_valid"),
        ({"iat": NOW - 60, "exp": NOW}, "token_expired"),
    ):
        assert await rejected(token(payload(**(short | members))), trusted(limits)) == code


# Step 8: the subject and the actors.


@pytest.mark.parametrize("value", [1, True, ["a"], {"sub": "a"}], ids=repr)
@pytest.mark.parametrize("name", ["sub", "jti"])
async def test_a_name_that_is_no_text_is_refused(name: str, value: Any) -> None:
    """RFC 7519 §4.1.2, §4.1.7."""
    assert await rejected(token(payload(**{name: value}))) == "token_invalid"


@pytest.mark.parametrize("value", [1, True, ["a"], {"sub": "a"}, ""], ids=repr)
async def test_a_tenant_that_is_no_text_is_refused(value: Any) -> None:
    """House."""
    assert await rejected(token(payload(tenant=value))) == "token_claim_malformed"


@pytest.mark.parametrize("name", ["sub", "jti"])
async def test_an_empty_name_names_nobody(name: str) -> None:
    """House."""
    assert await rejected(token(payload(**{name: ""}))) == "token_claim_malformed"


@pytest.mark.parametrize(
    "act",
    [
        "a",
        [],
        [{"sub": "a"}],
        False,
        0,
        {},
        {"iss": ISSUER},
        {"sub": None},
        {"sub": 1},
        {"sub": ""},
        {"sub": "a", "act": "b"},
        {"sub": "a", "act": {}},
        {"sub": "a", "act": []},
        {"sub": "a", "act": {"sub": ""}},
        chain(*"abcde"),
        chain(*"abcdefghijklmnopqrst"),
    ],
    ids=lambda act: json.dumps(act)[:30] + str(len(json.dumps(act))),
)
async def test_an_act_claim_that_is_no_short_chain_of_names_is_refused(act: Any) -> None:
    """RFC 8693 §4.1; House: at most four deep, and an empty name is nobody."""
    assert MAX_ACTORS == 4
    assert await rejected(token(payload(act=act))) == "token_claim_malformed"


# The order of the steps, and what a failure says.


async def test_nothing_is_said_about_claims_before_the_signature_holds() -> None:
    """House: an unverified claim has no consequence but the choice of the issuer."""
    for members in ({"exp": 0}, {"aud": "other"}, {"sub": 1}, {"act": "x"}, {"iat": "x"}):
        assert await rejected(tampered(**members)) == "token_signature"


async def test_without_the_issuers_keys_nobody_is_authenticated() -> None:
    """House: design §1.1."""

    async def fetch() -> bytes:
        raise IssuerUnavailable("down")

    issuer = TrustedIssuer(LIMITS, KeyCache(ISSUER, fetch, FakeClock()))
    with pytest.raises(IssuerUnavailable):
        await authenticated(token(), issuer)


@pytest.mark.parametrize("cut", range(1, 300, 7))
async def test_no_damage_to_a_token_raises_anything_but_a_named_failure(cut: int) -> None:
    """House: a failure that has no name would not be recorded."""
    text = token(payload(jti="t-1"))
    for other in (text[:cut], text[cut:], text[:cut] + "\udc80" + text[cut:]):
        with pytest.raises(GatewayError):
            await authenticated(other)


def test_a_tokens_digest_in_evidence_is_plain_sha256() -> None:
    """House: evidence holds this instead of the token."""
    text = token()
    assert claims(text).token_digest == "sha256:" + hashlib.sha256(text.encode()).hexdigest()


# Whom an issuer may vouch for.


@pytest.mark.parametrize(
    ("subjects", "code"),
    [
        ((), None),
        (("spiffe://corp.test/",), None),
        (("spiffe://other.test/", "spiffe://corp.test/agent/"), None),
        (("spiffe://other.test/",), "token_subject_refused"),
        (("corp.test",), "token_subject_refused"),
    ],
    ids=["any", "its own", "one of two", "another's", "not the beginning"],
)
async def test_an_issuer_vouches_for_its_own_subjects_only(
    subjects: tuple[str, ...], code: str | None
) -> None:
    """House: charters name subjects, so no issuer may mint another one's agents."""
    limits = msgspec.structs.replace(LIMITS, subjects=subjects)
    if code is None:
        assert (await authenticated(token(), trusted(limits))).issuer == ISSUER
    else:
        assert await rejected(token(), trusted(limits)) == code


async def test_the_workload_of_a_chain_is_whom_the_issuer_must_vouch_for() -> None:
    """RFC 8693 §4.1: the outermost actor is the one that acts."""
    limits = msgspec.structs.replace(LIMITS, subjects=("spiffe://corp.test/",))
    stranger = token(payload(act={"sub": "spiffe://other.test/agent/b"}))
    assert await rejected(stranger, trusted(limits)) == "token_subject_refused"
