import base64
import hmac
import json
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.core.errors import CredentialRejected, GatewayError, IssuerUnavailable
from gateway.identity import jws
from gateway.identity.access_token import AccessTokenVerifier
from gateway.identity.issued import TrustedIssuer
from gateway.identity.jwks import read_key_set
from gateway.identity.kept import Kept
from gateway.identity.steps import Steps
from gateway.settings import Issuer
from tests.fakes_clock import FakeClock
from tests.unit.identity.keys import (
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
from tests.unit.identity.tokens import (
    LIMITS,
    RESOURCE,
    Publisher,
    authenticated,
    claims,
    kept,
    rejected,
    titles,
    trusted,
    verified,
)

# The text.


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
    assert jws.MAX_BYTES == 8192
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


# The header.


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


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
@pytest.mark.parametrize("more", [{"kid": None}, {"typ": None}, {"jku": "https://evil.test"}])
async def test_an_algorithm_that_is_never_accepted_is_named_first(
    algorithm: str, more: dict[str, Any]
) -> None:
    """House: what attacks write has its own code, whatever else the header lacks."""
    assert (
        await rejected(token(private=P256, **{"alg": algorithm, "kid": "p256"} | more))
        == "token_alg_refused"
    )


# The issuer.


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
    missing = issuer in ("absent", None)
    code = await rejected(token(payload(*without, iss=issuer)))
    assert code == ("token_iss_missing" if missing else "token_issuer_unknown")


async def test_without_issuers_nobody_is_authenticated() -> None:
    """House: design §1.1."""
    verifier = AccessTokenVerifier((), FakeClock())
    with pytest.raises(CredentialRejected) as caught:
        await verifier.verify(jws.read(token()), RESOURCE, Steps())
    assert caught.value.reason_code == "token_issuer_unknown"


async def test_the_key_of_one_issuer_proves_nothing_for_another() -> None:
    """House: one key set an issuer, never a merged pool."""
    other = Issuer("https://other.test", AUDIENCE, "unused", algorithms=("ES256",))
    both = (trusted(), trusted(other, key_set(jwk(ec.generate_private_key(P256.curve), "p256"))))
    assert await rejected(token(payload(iss="https://other.test")), *both) == "token_signature"


# The type.


@pytest.mark.parametrize(
    "typ",
    [
        "",
        "jwt",
        "AT+JWT",
        "Application/at+jwt",
        "application/",
        "application/application/at+jwt",
        "dpop+jwt",
        "logout+jwt",
        "txntoken+jwt",
        "oauth-id-jag+jwt",
        "at+jwt ",
    ],
)
async def test_a_type_that_the_issuer_may_not_use_is_refused(typ: str) -> None:
    """RFC 8725 §3.11."""
    assert await rejected(token(typ=typ)) == "token_type_refused"


@pytest.mark.parametrize("types", [None, ("at+jwt",), ("application/at+jwt",)], ids=str)
@pytest.mark.parametrize("typ", ["at+jwt", "application/at+jwt"])
async def test_a_type_may_be_written_as_the_whole_media_type(
    typ: str, types: tuple[str, ...] | None
) -> None:
    """RFC 9068 §4; RFC 7515 §4.1.9."""
    limits = msgspec.structs.replace(LIMITS, types=types)
    assert (await authenticated(token(typ=typ), trusted(limits))).scheme == "at+jwt"


@pytest.mark.parametrize("typ", ["txntoken+jwt", "TxnToken+JWT", "application/txntoken+jwt"])
async def test_what_is_no_authentication_is_none_whatever_settings_say(typ: str) -> None:
    """draft-ietf-oauth-transaction-tokens; RFC 9449 §4.2."""
    limits = msgspec.structs.replace(LIMITS, types=(typ, "dpop+jwt"))
    assert await rejected(token(typ=typ), trusted(limits)) == "token_type_refused"
    assert await rejected(token(typ="dpop+jwt"), trusted(limits)) == "token_type_refused"


# The key and the algorithm.


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
    assert await rejected(".".join([*parts, signature])) == "token_alg_refused"


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
        assert await rejected(f"{text}.{encode(signature)}") == "token_alg_refused"


@pytest.mark.parametrize(
    ("algorithm", "kid", "written", "code"),
    [
        ("ES256", "p256", "RS256", "token_key_mismatch"),
        ("ES256", "p256", "ES384", "token_alg_refused"),
        ("ES256", "p256", "ES256K", "token_alg_refused"),
        ("ES256", "p256", "es256", "token_alg_refused"),
        ("ES256", "p256", "EdDSA", "token_key_mismatch"),
        ("RS256", "rsa", "ES256", "token_key_mismatch"),
        ("RS256", "rsa", "RS512", "token_alg_refused"),
        ("RS512", "rsa", "RS512", "token_alg_refused"),
        ("RS384", "rsa", "RS384", "token_alg_refused"),
        ("EdDSA", "ed", "ES256", "token_key_mismatch"),
        ("ES256", "rsa", "ES256", "token_key_mismatch"),
        ("RS256", "p256", "RS256", "token_key_mismatch"),
    ],
)
async def test_a_token_cannot_choose_another_algorithm_than_its_keys(
    algorithm: str, kid: str, written: str, code: str
) -> None:
    """RFC 8725 §3.1."""
    private: Any = {"ES": P256, "RS": RSA, "Ed": ED25519}[algorithm[:2]]
    text = token(algorithm=algorithm, kid=kid, private=private, alg=written)
    assert await rejected(text) == code


async def test_an_algorithm_of_the_key_that_settings_do_not_name_is_refused() -> None:
    """House: settings."""
    limits = Issuer(ISSUER, AUDIENCE, "unused", algorithms=("RS256",))
    assert await rejected(token(), trusted(limits)) == "token_alg_refused"


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


async def test_an_unknown_kid_renews_the_keys_and_is_then_found() -> None:
    """House: a rotation costs no good call."""
    publisher = Publisher(key_set(jwk(RSA, "rsa")))
    issuer = trusted(keys=publisher)
    await authenticated(token(algorithm="RS256", kid="rsa"), issuer)
    publisher.keys = key_set(jwk(P256, "p256"))
    text = token()
    assert await authenticated(text, issuer) == claims(text)
    assert publisher.asked == 2


async def test_unknown_kids_cause_one_fetch_and_known_ones_none() -> None:
    """House: at most one fetch in 30 s, whatever its outcome."""
    publisher = Publisher()
    issuer = trusted(keys=publisher)
    for number in range(20):
        assert await rejected(token(kid=f"k{number}", private=P256), issuer) == "token_key_unknown"
        await authenticated(token(), issuer)
    assert publisher.asked == 2


async def test_what_a_key_verified_is_in_force_until_the_issuer_takes_the_key_away() -> None:
    """House: a key taken away takes its tokens with it."""
    publisher = Publisher()
    keys = kept(publisher)
    said = await verified(token(), TrustedIssuer(LIMITS, keys))
    assert said.in_force()
    publisher.keys = key_set(jwk(P256, "p256"), jwk(RSA, "new"))
    await keys.renewed()
    assert said.in_force()
    other = ec.generate_private_key(P256.curve)
    for without in (key_set(jwk(other, "p256")), key_set(jwk(P256, "other"))):
        publisher = Publisher()
        clock = FakeClock(NOW * 10**9)
        keys = kept(publisher, clock)
        said = await verified(token(), TrustedIssuer(LIMITS, keys))
        publisher.keys = without
        await keys.renewed()
        assert not said.in_force()


async def test_what_was_verified_is_not_in_force_once_the_keys_are_too_old() -> None:
    """House: keys outlive a failing issuer by an hour."""
    clock = FakeClock(NOW * 10**9)
    said = await verified(token(), TrustedIssuer(LIMITS, kept(clock=clock)))
    clock.advance(3600)
    assert said.in_force()
    clock.advance(1)
    assert not said.in_force()


async def test_the_age_of_the_keys_is_told() -> None:
    """House: evidence shows that an issuer was down."""
    clock = FakeClock(NOW * 10**9)
    issuer = TrustedIssuer(LIMITS, kept(clock=clock))
    await authenticated(token(), issuer)
    clock.advance(90)
    assert (await authenticated(token(), issuer)).key_age_seconds == 90


@pytest.mark.parametrize(("algorithm", "kid"), [("PS256", "rsa"), ("ES384", "p384")])
async def test_an_algorithm_is_used_only_if_settings_name_it(algorithm: str, kid: str) -> None:
    """House: settings."""
    text = token(algorithm=algorithm, kid=kid)
    assert await rejected(text) == "token_alg_refused"
    limits = Issuer(ISSUER, AUDIENCE, "unused", algorithms=("PS256", "ES384"))
    assert await authenticated(text, trusted(limits)) == claims(
        text, algorithm=algorithm, key_id=kid
    )


# The signature.


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


async def test_a_malleated_ecdsa_signature_proves_the_same_claims_and_no_others() -> None:
    """SEC 1 §4.1.4: (r, n-s) verifies too, so a token's digest is no key for a denylist."""
    text = token(payload(jti="t-1"))
    head, body, signature = text.split(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    other = raw[:32] + (order - int.from_bytes(raw[32:])).to_bytes(32)
    malleated = f"{head}.{body}.{encode(other)}"
    assert await authenticated(malleated) == claims(malleated, token_id="t-1")


# The order of the steps, and what a failure says.


async def test_nothing_is_said_about_claims_before_the_signature_holds() -> None:
    """House: an unverified claim has no consequence but the choice of the issuer."""
    for members in ({"exp": 0}, {"aud": "other"}, {"sub": 1}, {"act": "x"}, {"iat": "x"}):
        assert await rejected(tampered(**members)) == "token_signature"


async def test_without_the_issuers_keys_nobody_is_authenticated() -> None:
    """House: design §1.1."""

    async def fetch() -> bytes:
        raise IssuerUnavailable("down")

    issuer = TrustedIssuer(LIMITS, Kept(ISSUER, fetch, read_key_set, FakeClock()))
    with pytest.raises(IssuerUnavailable):
        await authenticated(token(), issuer)


@pytest.mark.parametrize("cut", range(1, 300, 7))
async def test_no_damage_to_a_token_raises_anything_but_a_named_failure(cut: int) -> None:
    """House: a failure that has no name would not be recorded."""
    text = token(payload(jti="t-1"))
    for other in (text[:cut], text[cut:], text[:cut] + "\udc80" + text[cut:]):
        with pytest.raises(GatewayError):
            await authenticated(other)


HOSTILE: dict[str, tuple[str, str]] = {
    "alg": (token(alg="none"), "the algorithm is an asymmetric signature"),
    "header": (token(jku="https://x.test"), "the header is alg, kid and typ, nothing else"),
    "issuer": (token(payload(iss="https://x.test")), "the issuer is configured"),
    "type": (token(typ="dpop+jwt"), "the type is one that the issuer may use"),
    "settings": (token(alg="PS256"), "the algorithm is one that the issuer may use"),
    "kid": (token(kid="x", private=P256), "the key is one of the issuer's"),
    "mismatch": (token(alg="EdDSA"), "the algorithm is the key's own"),
    "signature": (tampered(sub="x"), "the signature holds"),
    "audience": (token(payload(aud="x")), "the audience is this gateway alone"),
    "times": (token(payload(exp=1)), "the token is within its time"),
    "subject": (token(payload(sub=1)), "the subject is text"),
    "jti": (token(payload(jti=1)), "jti, tenant, instance and scope are text"),
    "act": (token(payload(act=1)), "the actors are a short chain of the issuer's own subjects"),
    "cnf": (token(payload(cnf=1)), "a key that the token is bound to can be checked"),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_the_last_step_noted_is_the_one_that_failed(name: str) -> None:
    """House: `bailiwick identity check`."""
    text, title = HOSTILE[name]
    steps = Steps()
    with pytest.raises(CredentialRejected):
        await verified(text, steps=steps)
    assert titles(steps)[-1] == title
    assert titles(steps)[0] == "the algorithm is an asymmetric signature"


async def test_no_step_shows_the_token() -> None:
    """House."""
    steps = Steps()
    text = token(payload(iss="x" * 3000))
    with pytest.raises(CredentialRejected):
        await verified(text, steps=steps)
    assert max(len(finding) for _, finding in steps.taken) == 200
    await verified(token(), steps=steps)
    for part in token().split("."):
        assert part not in repr(steps)
