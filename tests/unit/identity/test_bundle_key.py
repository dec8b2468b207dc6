import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.core.errors import BundleError, SettingsError
from gateway.identity.bundle_key import ALGORITHMS, generate, signer, verifier
from gateway.identity.jws import to_base64url
from gateway.settings import Signature

PAYLOAD: dict[str, Any] = {"files": [{"name": "a", "hash": "00", "algorithm": "SHA-256"}]}


def pem(key: Any) -> bytes:
    """Return a private key as PEM."""
    encoding, shape = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    made: bytes = key.private_bytes(encoding, shape, serialization.NoEncryption())
    return made


def stored(folder: Path, private: bytes, public: bytes | None = None) -> tuple[Path, Path]:
    """Return the files of a key pair."""
    key, beside = folder / "key.pem", folder / "key.pub"
    key.write_bytes(private)
    key.chmod(0o600)
    if public is None:
        loaded = serialization.load_pem_private_key(private, None)
        shape = serialization.PublicFormat.SubjectPublicKeyInfo
        public = loaded.public_key().public_bytes(serialization.Encoding.PEM, shape)
    beside.write_bytes(public)
    return key, beside


@pytest.fixture(scope="module")
def pair() -> tuple[bytes, bytes]:
    """Return a key pair for ES256."""
    return generate("ES256")


@pytest.fixture
def files(pair: tuple[bytes, bytes], tmp_path: Path) -> tuple[Path, Path]:
    """Return its files."""
    return stored(tmp_path, *pair)


def setting(public: Path, algorithm: Any = "ES256", **more: Any) -> Signature:
    """Return the settings of a verifier."""
    return Signature(key=public, algorithm=algorithm, **more)


def refusal(verify: Callable[[str], Any], token: str) -> tuple[str, str]:
    """Return the code and the sentence of a refusal."""
    with pytest.raises(BundleError) as refused:
        verify(token)
    return refused.value.reason_code, refused.value.message


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_a_key_signs_its_public_half_verifies(algorithm: str, tmp_path: Path) -> None:
    """RFC 7518 §3.1: RSA and elliptic curves, no shared secrets."""
    key, public = stored(tmp_path, *generate(algorithm))
    sign, own = signer(key, algorithm, "release", "policy")
    token = sign(PAYLOAD)
    whole = {**PAYLOAD, "keyid": "release", "scope": "policy"}
    verify = verifier(setting(public, algorithm, key_id="release", scope="policy"))
    assert verify(token) == own(token) == whole


def test_a_signature_looks_as_opa_writes_it(files: tuple[Path, Path]) -> None:
    """OPA, bundle signatures: header alg, kid, typ; payload files, keyid, and scope if any."""
    token = signer(files[0], "ES256")[0](PAYLOAD)
    header, payload, _ = token.split(".")
    assert json.loads(base64.urlsafe_b64decode(header + "==")) == {
        "alg": "ES256", "kid": "default", "typ": "JWT",
    }  # fmt: skip
    assert json.loads(base64.urlsafe_b64decode(payload + "==")) == {**PAYLOAD, "keyid": "default"}


def forged(header: dict[str, Any], private: bytes, payload: dict[str, Any] | None = None) -> str:
    """Return a token with this header, really signed with ES256."""
    head, body = (
        to_base64url(json.dumps(part).encode()) for part in (header, payload or named("default"))
    )
    key = serialization.load_pem_private_key(private, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    r, s = decode_dss_signature(key.sign(f"{head}.{body}".encode(), ec.ECDSA(SHA256())))
    return f"{head}.{body}.{to_base64url(r.to_bytes(32) + s.to_bytes(32))}"


def named(key_id: str) -> dict[str, Any]:
    """Return the payload with this key id."""
    return {**PAYLOAD, "keyid": key_id}


@pytest.mark.parametrize(
    "more",
    [
        {"jwk": {"kty": "EC"}}, {"jku": "https://x"}, {"x5u": "https://x"}, {"x5c": ["x"]},
        {"crit": ["b64"], "b64": False}, {"crit": []}, {"cty": "JWT"}, {"zip": "DEF"},
    ],
    ids=lambda more: min(more),
)  # fmt: skip
def test_a_header_that_brings_anything_along_is_refused(
    pair: tuple[bytes, bytes], files: tuple[Path, Path], more: dict[str, Any]
) -> None:
    """RFC 7515 §4: the key is the settings', and no extension is understood."""
    verify = verifier(setting(files[1]))
    assert verify(forged({"alg": "ES256"}, pair[0]))
    code, message = refusal(verify, forged({"alg": "ES256", **more}, pair[0]))
    assert (code, "holds more than" in message) == ("bundle_signature_invalid", True)


@pytest.mark.parametrize("named_algorithm", ["none", "NONE", "HS256", "ES384", "RS256", "", None])
def test_the_algorithm_is_the_one_of_the_settings(
    pair: tuple[bytes, bytes], files: tuple[Path, Path], named_algorithm: str | None
) -> None:
    """RFC 8725 §3.1: the header does not choose."""
    token = forged({"alg": named_algorithm}, pair[0])
    assert "is not of the algorithm ES256" in refusal(verifier(setting(files[1])), token)[1]


def test_the_public_key_is_no_secret_for_hs256(files: tuple[Path, Path]) -> None:
    """RFC 8725 §2.1: the oldest confusion."""
    head = to_base64url(b'{"alg":"HS256"}')
    body = to_base64url(json.dumps(named("default")).encode())
    mac = hmac.digest(files[1].read_bytes(), f"{head}.{body}".encode(), hashlib.sha256)
    token = f"{head}.{body}.{to_base64url(mac)}"
    assert refusal(verifier(setting(files[1])), token)[0] == "bundle_signature_invalid"


def test_a_signature_by_another_key_is_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    """Issue: signatures verified by us."""
    token = forged({"alg": "ES256"}, generate("ES256")[0])
    assert "is not by the key" in refusal(verifier(setting(files[1])), token)[1]


KEY_IDS = {
    "both": ({"kid": "release"}, {"keyid": "release"}, "release", True),
    "header only": ({"kid": "release"}, {}, "release", True),
    "payload only": ({}, {"keyid": "release"}, "release", True),
    "neither, default": ({}, {}, "default", True),
    "neither, named": ({}, {}, "release", False),
    "another in the header": ({"kid": "x"}, {"keyid": "release"}, "release", False),
    "another in the payload": ({"kid": "release"}, {"keyid": "x"}, "release", False),
    "no text": ({}, {"keyid": 1}, "release", False),
    "null": ({}, {"keyid": None}, "default", False),
}


@pytest.mark.parametrize(("header", "payload", "wanted", "holds"), KEY_IDS.values(), ids=KEY_IDS)
def test_the_key_id_is_the_one_of_the_settings_wherever_it_is_named(
    pair: tuple[bytes, bytes],
    files: tuple[Path, Path],
    header: dict[str, Any],
    payload: dict[str, Any],
    wanted: str,
    holds: bool,
) -> None:
    """Policy §6: keyid; `opa sign` names no key, `default` is OPA's word for that."""
    verify = verifier(setting(files[1], key_id=wanted))
    token = forged({"alg": "ES256", **header}, pair[0], {**PAYLOAD, **payload})
    if holds:
        assert verify(token)["keyid"] == wanted
    else:
        assert "does not name the key id" in refusal(verify, token)[1]


@pytest.mark.parametrize(
    ("scope", "wanted"), [(None, "a"), ("a", ""), ("b", "a"), (1, "1"), ("a ", "a")]
)
def test_the_scope_is_the_one_of_the_settings(
    pair: tuple[bytes, bytes], files: tuple[Path, Path], scope: Any, wanted: str
) -> None:
    """Policy §6: a bundle signed for something else is not for us."""
    payload = {**named("default"), **({} if scope is None else {"scope": scope})}
    token = forged({"alg": "ES256"}, pair[0], payload)
    assert "is not for the scope" in refusal(verifier(setting(files[1], scope=wanted)), token)[1]


def test_a_text_that_is_no_strict_jws_is_refused(
    pair: tuple[bytes, bytes], files: tuple[Path, Path]
) -> None:
    """RFC 7515 §7.1: three parts of canonical base64url, the first two JSON objects."""
    head, body, mac = forged({"alg": "ES256"}, pair[0]).split(".")
    twice = to_base64url(b'{"alg":"ES256","alg":"ES256"}')
    broken = ["", "a.b", f"{head}.{body}.{mac}.", f"{head}=.{body}.{mac}", f"{head}.{body}.{mac} "]
    for token in [*broken, f"{twice}.{body}.{mac}", f"{head}.{to_base64url(b'[]')}.{mac}", "é.é.é"]:
        assert refusal(verifier(setting(files[1])), token)[0] == "bundle_signature_invalid"


def test_a_damaged_signature_is_refused(
    pair: tuple[bytes, bytes], files: tuple[Path, Path]
) -> None:
    """RFC 7515 §5.2."""
    head, body, mac = forged({"alg": "ES256"}, pair[0]).split(".")
    other = to_base64url(json.dumps(named("default") | {"files": []}).encode())
    verify = verifier(setting(files[1]))
    for token in (f"{head}.{other}.{mac}", f"{head}.{body}.{'A' + mac[1:]}", f"{head}.{body}."):
        assert refusal(verify, token)[0] == "bundle_signature_invalid"


UNFIT = {
    "another curve": (lambda: ec.generate_private_key(ec.SECP384R1()), "ES256"),
    "a curve that nobody pairs": (lambda: ec.generate_private_key(ec.SECP256K1()), "ES256"),
    "a curve for RSA": (lambda: ec.generate_private_key(ec.SECP256R1()), "RS256"),
    "RSA for a curve": (lambda: rsa.generate_private_key(65537, 2048), "ES256"),
    "short RSA": (lambda: rsa.generate_private_key(65537, 1024), "PS256"),
    "Ed25519": (ed25519.Ed25519PrivateKey.generate, "ES256"),
}


@pytest.mark.parametrize(("make", "algorithm"), UNFIT.values(), ids=UNFIT)
def test_a_key_that_does_not_fit_the_algorithm_is_refused(
    make: Callable[[], Any], algorithm: str, tmp_path: Path
) -> None:
    """RFC 7518 §3.3, §3.4: 2048 bits, and one curve for each algorithm."""
    key, public = stored(tmp_path, pem(make()))
    for use in (lambda: signer(key, algorithm), lambda: verifier(setting(public, algorithm))):
        with pytest.raises(SettingsError, match=f"is not a key for {algorithm}"):
            use()


def test_files_that_hold_no_key_are_refused_by_name(files: tuple[Path, Path]) -> None:
    """House: the sentence names the file."""
    key, public = files
    key_bytes, public_bytes = key.read_bytes(), public.read_bytes()
    key.write_bytes(public_bytes)
    public.write_bytes(key_bytes)
    with pytest.raises(SettingsError, match=r"key\.pub: is not the PEM of a public key"):
        verifier(setting(public))
    with pytest.raises(SettingsError, match=r"key\.pem: is not the PEM of a private key"):
        signer(key, "ES256")
    for use in (lambda: verifier(setting(Path("/nowhere"))), lambda: signer(Path("/x"), "ES256")):
        with pytest.raises(SettingsError, match="the key cannot be read"):
            use()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_private_key_that_others_can_read_is_refused(files: tuple[Path, Path], mode: int) -> None:
    """House: whoever reads it can write policy."""
    files[0].chmod(mode)
    with pytest.raises(SettingsError, match="others can read this key"):
        signer(files[0], "ES256")


def test_an_algorithm_that_settings_do_not_know_is_refused(files: tuple[Path, Path]) -> None:
    """House: neither none, nor a shared secret."""
    for name in ("none", "HS256", "EdDSA", "rs256"):
        with pytest.raises(SettingsError, match="is none of RS256"):
            generate(name)
        with pytest.raises(SettingsError, match="is none of RS256"):
            signer(files[0], name)


def test_a_signature_over_many_files_is_read(files: tuple[Path, Path]) -> None:
    """House: ten thousand charters are a signature of megabytes."""
    many = [{"name": f"charters/{n}.yaml", "hash": "0" * 64} for n in range(10_000)]
    sign, verify = signer(files[0], "ES256")
    assert len(verify(sign({"files": many}))["files"]) == 10_000
