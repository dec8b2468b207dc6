"""Somebody hands the gateway a bundle that the owner of the policy did not sign, or not like this.

Every attack is on a bundle that is good but for it, and ends in a refusal that names the file.
"""

import gzip
import hashlib
import hmac
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.core.errors import BundleError
from gateway.identity import bundle_key
from gateway.identity.jws import from_base64url, to_base64url
from gateway.policy import archive, signature
from gateway.policy.build import Signing, build, sign
from gateway.policy.bundle import load, read_files, shipped_bundle
from gateway.policy.files import SIGNATURES
from gateway.policy.signature import digest_of
from gateway.settings import Signature
from tests.opa_binary import opa_binary

TINY = Path(__file__).parents[1] / "bundles" / "allow_all"
CHARTERS = ("charters/billing-agent.yaml", "charters/release-agent.yaml", "systems/company.yaml")
INVALID = "bundle_signature_invalid"
Members = dict[str, bytes]


@dataclass(frozen=True)
class Owner:
    """Whoever may sign, and what the gateway is told about them."""

    key: Path
    public: Path
    algorithm: Any = "ES256"
    key_id: str = "release"
    scope: str = "policy"

    @property
    def signing(self) -> Signing:
        """How they sign."""
        return Signing(*bundle_key.signer(self.key, self.algorithm, self.key_id, self.scope))

    def verify(self, **changes: Any) -> signature.Verify:
        """Return what the gateway verifies with."""
        told = {"algorithm": self.algorithm, "key_id": self.key_id, "scope": self.scope}
        return bundle_key.verifier(Signature(key=self.public, **{**told, **changes}))


def owner(folder: Path, algorithm: str = "ES256") -> Owner:
    """Return somebody with a new key."""
    folder.mkdir()
    private, public = bundle_key.generate(algorithm)
    (folder / "key").touch(0o600)
    (folder / "key").write_bytes(private)
    (folder / "pub").write_bytes(public)
    return Owner(folder / "key", folder / "pub", algorithm)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> tuple[Owner, Path]:
    """Return the owner of a good bundle and its signed archive."""
    place = tmp_path_factory.mktemp("good")
    made = owner(place / "owner")
    folder = sources(place / "policy")
    build(folder, place / "bundle.tar.gz", signing=made.signing)
    return made, place / "bundle.tar.gz"


def sources(folder: Path) -> Path:
    """Return a new folder that holds a small bundle of every kind of file."""
    shutil.copytree(TINY, folder)
    for name in CHARTERS:
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(shipped_bundle() / name, folder / name)
    (folder / "schemas").mkdir()
    (folder / "schemas" / "input.json").write_text("{}")
    return folder


def members(path: Path) -> Members:
    """Return what an archive holds."""
    return dict(read_files(path, everything=True)[0])


def refusal(path: Path, verify: signature.Verify) -> tuple[str, str]:
    """Return the code and the sentence of the refusal."""
    with pytest.raises(BundleError) as refused:
        load(path, verify)
    return refused.value.reason_code, refused.value.message


def stored(tmp_path: Path, files: Members) -> Path:
    """Return an archive of these files."""
    path = tmp_path / "hostile.tar.gz"
    path.write_bytes(archive.write(files))
    return path


def resealed(files: Members, token: str) -> Members:
    """Return the files with this as their only signature."""
    return {**files, SIGNATURES: json.dumps({"signatures": [token]}).encode()}


def token_of(files: Members) -> str:
    """Return the signature that is there."""
    (token,) = json.loads(files[SIGNATURES])["signatures"]
    assert isinstance(token, str)
    return token


def payload_of(files: Members) -> dict[str, Any]:
    """Return what is signed."""
    payload: dict[str, Any] = json.loads(from_base64url(token_of(files).split(".")[1]))
    return payload


def test_the_good_bundle_is_taken(good: tuple[Owner, Path]) -> None:
    """House: what follows fails for the attack alone."""
    made, path = good
    assert load(path, made.verify()).signed_by == "release"


KINDS = [
    ".manifest", "data.json", "bailiwick/decision.rego", "charters/billing-agent.yaml",
    "systems/company.yaml", "schemas/input.json", "selftest/permit.json",
]  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_one_byte_of_any_kind_of_file_is_noticed(
    good: tuple[Owner, Path], tmp_path: Path, name: str
) -> None:
    """Issue: a hand-tampered bundle is refused."""
    made, path = good
    files = members(path)
    content = bytearray(files[name])
    if name in (".manifest", "data.json"):
        at = content.index(b"a")  # inside a text: white space would say nothing
        content[at] = ord("b")
    else:
        content += b" "
    hostile = stored(tmp_path, {**files, name: bytes(content)})
    assert refusal(hostile, made.verify()) == (INVALID, f"{name}: is not what was signed")


@pytest.mark.parametrize("name", KINDS)
def test_a_file_taken_away_is_noticed(good: tuple[Owner, Path], tmp_path: Path, name: str) -> None:
    """Issue: a rule that is not there does not deny."""
    made, path = good
    files = members(path)
    del files[name]
    hostile = stored(tmp_path, files)
    assert refusal(hostile, made.verify()) == (INVALID, f"{name}: was signed and is missing")


@pytest.mark.parametrize(
    "name", ["bailiwick/rules/evil/evil.rego", "charters/evil.yaml", "readme.txt", "z.rego"]
)
def test_a_file_added_is_noticed(good: tuple[Owner, Path], tmp_path: Path, name: str) -> None:
    """Issue: an extra-file bundle is refused, also one that no engine reads."""
    made, path = good
    hostile = stored(tmp_path, {**members(path), name: b"package bailiwick\n"})
    says = f"{name}: is not among the files that were signed"
    assert refusal(hostile, made.verify()) == (INVALID, says)


def test_an_unsigned_bundle_is_refused(good: tuple[Owner, Path], tmp_path: Path) -> None:
    """Issue: an unsigned bundle is refused."""
    made, path = good
    files = members(path)
    del files[SIGNATURES]
    code, message = refusal(stored(tmp_path, files), made.verify())
    assert (code, message.startswith(SIGNATURES)) == ("bundle_unsigned", True)


def test_a_bundle_signed_anew_by_somebody_else_is_refused(
    good: tuple[Owner, Path], tmp_path: Path
) -> None:
    """House: anybody can make a signature; the key is the settings'."""
    made, path = good
    copy = Path(shutil.copy(path, tmp_path / "hostile.tar.gz"))
    other = owner(tmp_path / "other")
    assert sign(copy, other.signing).signed_by == "release"
    code, message = refusal(copy, made.verify())
    assert (code, "is not by the key" in message) == (INVALID, True)


def test_two_signatures_are_one_too_many(good: tuple[Owner, Path], tmp_path: Path) -> None:
    """Policy §6: OPA uses the first, somebody else the last."""
    made, path = good
    files = members(path)
    both = json.dumps({"signatures": [token_of(files), "x.y.z"]}).encode()
    code, message = refusal(stored(tmp_path, {**files, SIGNATURES: both}), made.verify())
    assert (code, message.startswith(SIGNATURES)) == (INVALID, True)


FORGED: dict[str, Callable[[Owner, bytes], str]] = {
    "none": lambda made, body: _token({"alg": "none"}, body, b""),
    "none without its dot": lambda made, body: _token({"alg": "none"}, body, b"").rstrip("."),
    "HS256 with the public key": lambda made, body: _hmac(made.public.read_bytes(), body),
    "HS256 with nothing": lambda made, body: _hmac(b"", body),
    "the right algorithm and no signature": lambda made, body: _token(
        {"alg": "ES256", "kid": "release"}, body, b""
    ),
    "zeros": lambda made, body: _token({"alg": "ES256", "kid": "release"}, body, bytes(64)),
}


def _token(header: dict[str, Any], body: bytes, mac: bytes) -> str:
    head = to_base64url(json.dumps(header).encode())
    return f"{head}.{to_base64url(body)}.{to_base64url(mac)}"


def _hmac(secret: bytes, body: bytes) -> str:
    unsigned = _token({"alg": "HS256", "kid": "release"}, body, b"")
    mac = hmac.digest(secret, unsigned.removesuffix(".").encode(), hashlib.sha256)
    return unsigned + to_base64url(mac)


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_a_signature_without_the_private_key_is_none(
    good: tuple[Owner, Path], tmp_path: Path, forge: Callable[[Owner, bytes], str]
) -> None:
    """RFC 8725 §2.1, §2.2: `none`, and the public key taken for a secret."""
    made, path = good
    files = members(path)
    token = forge(made, json.dumps(payload_of(files)).encode())
    assert refusal(stored(tmp_path, resealed(files, token)), made.verify())[0] == INVALID


@pytest.mark.parametrize(
    "changes", [{"scope": "staging"}, {"scope": ""}, {"key_id": "next"}, {"key_id": "default"}]
)
def test_a_signature_for_something_else_is_none(
    good: tuple[Owner, Path], changes: dict[str, str]
) -> None:
    """Issue: scope, key id."""
    made, path = good
    assert refusal(path, made.verify(**changes))[0] == INVALID


@pytest.mark.parametrize("algorithm", ["SHA-1", "MD5", "SHA-512"])
def test_digests_of_other_kinds_are_refused_even_when_they_are_signed(
    good: tuple[Owner, Path], tmp_path: Path, algorithm: str
) -> None:
    """Issue: SHA-256 only."""
    made, path = good
    files = members(path)
    listed = [{**one, "algorithm": algorithm} for one in payload_of(files)["files"]]
    token = made.signing.sign({"files": listed})
    code, message = refusal(stored(tmp_path, resealed(files, token)), made.verify())
    assert (code, message.startswith(SIGNATURES)) == (INVALID, True)


# --- what a structural digest could hide ---


def rewritten(files: Members, rewrite: Callable[[str], str]) -> Members:
    """Return the files with their manifest written in another way."""
    text = rewrite(files[".manifest"].decode())
    assert text.encode() != files[".manifest"]
    return {**files, ".manifest": text.encode()}


def test_a_manifest_with_its_keys_in_another_order_is_the_same(
    good: tuple[Owner, Path], tmp_path: Path
) -> None:
    """Policy §6: `opa build` writes it anew, and its signature holds."""
    made, path = good
    files = rewritten(
        members(path), lambda text: json.dumps(dict(reversed(json.loads(text).items())), indent=1)
    )
    assert load(stored(tmp_path, files), made.verify()).signed_by == "release"


def test_a_key_given_twice_hides_nothing(good: tuple[Owner, Path], tmp_path: Path) -> None:
    """House: OPA's digest sees the last one only."""
    made, path = good
    files = rewritten(
        members(path), lambda text: text.replace("{", '{"revision": "2030.1.1-1", ', 1)
    )
    code, message = refusal(stored(tmp_path, files), made.verify())
    assert (code, message.startswith(".manifest: ")) == (INVALID, True)


def test_a_number_spelled_otherwise_is_noticed(tmp_path: Path) -> None:
    """Policy §6: number literals verbatim."""
    folder, made = sources(tmp_path / "policy"), owner(tmp_path / "owner")
    out = tmp_path / "bundle.tar.gz"
    bundle = build(folder, out, signing=made.signing)
    assert b'"count":1,' in bundle.data
    data = bundle.data.replace(b'"count":1,', b'"count":1.0,')
    hostile = stored(tmp_path, {**members(out), "data.json": data})
    assert refusal(hostile, made.verify()) == (INVALID, "data.json: is not what was signed")


def test_signed_data_that_says_something_else_than_the_sources_is_refused(
    good: tuple[Owner, Path], tmp_path: Path
) -> None:
    """House: the sidecar would decide on the one, we on the other."""
    made, path = good
    files = members(path)
    data = json.loads(files["data.json"])
    data["charters"]["billing-agent"]["approvals"] = []
    files["data.json"] = json.dumps(data).encode()
    hostile = stored(tmp_path, {**files, SIGNATURES: signature.signed(files, made.signing.sign)})
    assert refusal(hostile, made.verify())[1].startswith("data.json: is not what this version")


# --- archives ---


def crafted(path: Path, *more: tarfile.TarInfo) -> bytes:
    """Return a good archive with these entries behind its own."""
    unpacked = io.BytesIO()
    with tarfile.open(fileobj=unpacked, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in members(path).items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        for entry in more:
            tar.addfile(entry)
    return gzip.compress(unpacked.getvalue())


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    """Return an entry of a tar archive."""
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    return made


HOSTILE = {
    "link to a secret": entry("charters/x.yaml", tarfile.SYMTYPE, "/etc/passwd"),
    "hard link": entry("charters/x.yaml", tarfile.LNKTYPE, ".manifest"),
    "device": entry("charters/x.yaml", tarfile.CHRTYPE),
    "pipe": entry("charters/x.yaml", tarfile.FIFOTYPE),
    "out of the archive": entry("../charters/x.yaml"),
    "out of it from inside": entry("charters/../../charters/x.yaml"),
    "backslash": entry("charters\\x.yaml"),
    "twice": entry("charters/billing-agent.yaml"),
    "in other letters": entry("Charters/Billing-Agent.yaml"),
    "hidden": entry("charters/.x.yaml"),
}


@pytest.mark.parametrize("more", HOSTILE.values(), ids=HOSTILE)
def test_an_archive_with_anything_but_plain_files_is_refused(
    good: tuple[Owner, Path], tmp_path: Path, more: tarfile.TarInfo
) -> None:
    """House: before a signature is even looked at, and without one as well."""
    made, path = good
    hostile = tmp_path / "hostile.tar.gz"
    hostile.write_bytes(crafted(path, more))
    name = repr(more.name).strip("'")
    assert name in refusal(hostile, made.verify())[1]
    with pytest.raises(BundleError):
        load(hostile)


def test_an_archive_that_unpacks_to_a_gigabyte_is_not_unpacked(
    good: tuple[Owner, Path], tmp_path: Path
) -> None:
    """House: bounded as it streams."""
    bomb = tmp_path / "hostile.tar.gz"
    with gzip.open(bomb, "wb", compresslevel=9) as file:
        for _ in range(1024):
            file.write(bytes(1024 * 1024))
    assert bomb.stat().st_size < 2 * 1024 * 1024
    code, message = refusal(bomb, good[0].verify())
    assert message == f"{bomb}: unpacks to more than any bundle may hold"


@pytest.mark.parametrize("more", [gzip.compress(b""), b"x", b"\x00"], ids=["gzip", "text", "zero"])
def test_nothing_follows_a_signed_archive(
    good: tuple[Owner, Path], tmp_path: Path, more: bytes
) -> None:
    """House: a second stream is what only some readers see."""
    made, path = good
    hostile = tmp_path / "hostile.tar.gz"
    hostile.write_bytes(path.read_bytes() + more)
    assert "something follows" in refusal(hostile, made.verify())[1]


def test_a_test_cannot_decide_in_the_sidecar(good: tuple[Owner, Path], tmp_path: Path) -> None:
    """House: OPA loads tests, we do not; signed or not, they stay in their own packages."""
    made, path = good
    files = members(path)
    name = "bailiwick/rules/evil/evil_test.rego"
    files[name] = b'package bailiwick.rules.evil\n\npermit contains "evil"\n'
    hostile = stored(tmp_path, {**files, SIGNATURES: signature.signed(files, made.signing.sign)})
    assert refusal(hostile, made.verify())[1].startswith(f"{name}: a test belongs into")


# --- the same signatures in OPA ---


def opa(*arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run OPA in a folder."""
    return subprocess.run(
        [opa_binary(), *map(str, arguments)],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def opa_verifies(made: Owner, path: Path) -> subprocess.CompletedProcess[str]:
    """Let OPA read a signed archive."""
    return opa(
        "build", "--bundle", path, "--output", path.with_name("again.tar.gz"),
        "--verification-key", made.public, "--verification-key-id", made.key_id,
        "--scope", made.scope, "--signing-alg", made.algorithm,
        folder=path.parent,
    )  # fmt: skip


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "PS256"])
def test_opa_takes_what_we_sign_and_nothing_else(algorithm: str, tmp_path: Path) -> None:
    """Issue: OPA-format signatures."""
    made, path = owner(tmp_path / "owner", algorithm), tmp_path / "bundle.tar.gz"
    build(sources(tmp_path / "policy"), path, signing=made.signing)
    done = opa_verifies(made, path)
    assert done.returncode == 0, done.stderr
    files = members(path)
    damaged = {**files, "charters/billing-agent.yaml": b"x"}
    for hostile in (damaged, {**files, "z.rego": b"package bailiwick.z\n"}):
        assert opa_verifies(made, stored(tmp_path, hostile)).returncode != 0
    assert opa_verifies(owner(tmp_path / "other", algorithm), path).returncode != 0


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "PS256"])
def test_we_take_the_signature_that_opa_build_writes(algorithm: str, tmp_path: Path) -> None:
    """Issue: OPA-format signatures verified by us; OPA leaves charters out, so only those."""
    made, folder = owner(tmp_path / "owner", algorithm), sources(tmp_path / "policy")
    path = tmp_path / "opa.tar.gz"
    (folder / "data.json").write_bytes(load(folder).data)
    done = opa(
        "build", "--bundle", ".", "--revision", "2026.1.1-2", "--output", path,
        "--signing-key", made.key, "--signing-alg", algorithm,
        folder=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    verify = made.verify(key_id="default", scope="")
    files = members(path)
    assert signature.check(files, verify) == "default"
    assert "(`opa build` leaves those out)" in refusal(path, verify)[1]
    for name in files.keys() - {SIGNATURES}:
        with pytest.raises(BundleError):
            signature.check({**files, name: files[name].replace(b"a", b"b")}, verify)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "PS256"])
def test_we_take_a_folder_that_opa_signed(algorithm: str, tmp_path: Path) -> None:
    """Issue: OPA-format signatures verified by us."""
    made, folder = owner(tmp_path / "owner", algorithm), sources(tmp_path / "policy")
    claims = tmp_path / "claims.json"
    claims.write_text(json.dumps({"keyid": "release", "scope": "policy"}))
    done = opa(
        "sign", "--bundle", ".", "--signing-key", made.key, "--signing-alg", algorithm,
        "--claims-file", claims,
        folder=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert load(folder, made.verify()).signed_by == "release"
    (folder / "schemas" / "input.json").write_text("{ }")
    assert refusal(folder, made.verify())[1] == "schemas/input.json: is not what was signed"
    assert digest_of("schemas/input.json", b"{}") == hashlib.sha256(b"{}").hexdigest()
