import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gateway.core.errors import BundleError
from gateway.identity.jws import from_base64url
from gateway.policy.files import SIGNATURES, Files
from gateway.policy.signature import check, digest_of, signed
from tests.fakes_policy import FakeKey
from tests.opa_binary import opa_binary

KEY = FakeKey("release")
FILES = {
    ".manifest": b'{"revision": "1", "roots": ["bailiwick"]}',
    "README.md": b"read me",
    "bailiwick/a.rego": b"package bailiwick\n",
    "data.json": b'{"b": 1.50, "a": [1e3, -0, "\\u2028<>&\\u0001\\u007f\\/"], "\\ud83d\\ude00": 1}',
}


def complete(files: Files) -> Files:
    """Return the files with their signature."""
    return {**files, SIGNATURES: signed(files, KEY.sign)}


def refusal(files: Files, key: FakeKey = KEY) -> tuple[str, str]:
    """Return the code and the sentence of a refusal."""
    with pytest.raises(BundleError) as refused:
        check(files, key.verify)
    return refused.value.reason_code, refused.value.message


def listing(entries: Any) -> Files:
    """Return the files with this list of files signed."""
    token = KEY.sign({"files": entries})
    return {**FILES, SIGNATURES: json.dumps({"signatures": [token]}).encode()}


def test_what_was_signed_is_accepted_and_the_key_is_named() -> None:
    """House: an encoder has a round trip."""
    assert check(complete(FILES), KEY.verify) == "release"


def test_an_older_signature_is_not_signed() -> None:
    """House: signing again is signing the same files."""
    assert signed(complete(FILES), KEY.sign) == signed(FILES, KEY.sign)


def test_without_signature_the_code_says_so() -> None:
    """Issue: an unsigned bundle is refused."""
    code, message = refusal(FILES)
    assert (code, message.startswith(f"{SIGNATURES}: missing")) == ("bundle_unsigned", True)


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_held_against_what_was_signed(name: str) -> None:
    """Issue: a hand-tampered bundle is refused."""
    content = FILES[name].replace(b"a", b"e")
    assert refusal({**complete(FILES), name: content}) == (
        "bundle_signature_invalid",
        f"{name}: is not what was signed",
    )


@pytest.mark.parametrize("name", ["bailiwick/b.rego", "notes.txt", "z/.hidden"])
def test_a_file_that_was_not_signed_is_refused(name: str) -> None:
    """Issue: a bundle with an extra file is refused, also one that no engine reads."""
    assert refusal({**complete(FILES), name: b""}) == (
        "bundle_signature_invalid",
        f"{name}: is not among the files that were signed",
    )


@pytest.mark.parametrize("name", FILES)
def test_a_signed_file_that_is_missing_is_refused(name: str) -> None:
    """Policy §6: set equality, no file missing."""
    files = {path: content for path, content in complete(FILES).items() if path != name}
    assert refusal(files) == ("bundle_signature_invalid", f"{name}: was signed and is missing")


def test_another_key_does_not_count() -> None:
    """House: the key is the settings'."""
    assert refusal(complete(FILES), FakeKey("other"))[1] == "the signature is by another key"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"signatures": []}',
        b'{"signatures": ["a", "b"]}',
        b'{"signatures": [1]}',
        b'{"signatures": ["a"], "plugin": "mine"}',
        b'{"signatures": ["a"], "more": 1}',
        b'{"signatures": ["a"], "signatures": ["b"]}',
    ],
)
def test_there_is_exactly_one_signature_and_nothing_else(content: bytes) -> None:
    """Policy §6: OPA uses the first of several; which one we mean must not be a question."""
    key = FakeKey()
    code, message = refusal({**FILES, SIGNATURES: content}, key)
    assert (code, message.startswith(SIGNATURES)) == ("bundle_signature_invalid", True)
    assert key.asked == []


GOOD = {"name": "README.md", "hash": "00", "algorithm": "SHA-256"}


@pytest.mark.parametrize(
    "entries",
    [
        None,
        {},
        "x",
        [None],
        ["x"],
        [GOOD, GOOD],
        [{**GOOD, "algorithm": "SHA-1"}],
        [{**GOOD, "algorithm": "MD5"}],
        [{**GOOD, "algorithm": "sha-256"}],
        [{"name": "README.md", "hash": "00"}],
        [{**GOOD, "more": 1}],
        [{**GOOD, "name": 1}],
        [{**GOOD, "hash": None}],
    ],
    ids=str,
)
def test_the_list_of_files_is_read_strictly(entries: Any) -> None:
    """Policy §6: `{name, hash, algorithm: SHA-256}`, each file once."""
    code, message = refusal(listing(entries))
    assert (code, "must list each file once" in message) == ("bundle_signature_invalid", True)


@pytest.mark.parametrize("name", [".manifest", "data.json"])
def test_data_is_hashed_by_what_it_says(name: str) -> None:
    """Policy §6: keys in order, no white space."""
    assert digest_of(name, b'{"b":1,"a":{"d":[ ],"c":null}}') == digest_of(
        name, b' {"a": {"c": null, "d": []}, "b": 1}\n'
    )
    assert digest_of("schemas/input.json", b"{}") != digest_of("schemas/input.json", b"{ }")


@pytest.mark.parametrize("other", [b"1.0", b"1e0", b"10e-1", b'"1"', b"true", b"1.00"])
def test_another_spelling_of_a_number_is_another_content(other: bytes) -> None:
    """Policy §6: number literals verbatim."""
    assert digest_of("data.json", b'{"a":1}') != digest_of("data.json", b'{"a":' + other + b"}")


@pytest.mark.parametrize(
    "content",
    [b'{"a":1,"a":2}', b'{"a":{"b":1,"b":1}}', b'{"a":"\\ud800"}', b"{", b"\xff", b'{"a":NaN}',
     b"\xef\xbb\xbf{}", b"[" * 100_000],
    ids=["twice", "twice inside", "half a pair", "cut", "no UTF-8", "NaN", "mark", "deep"],
)  # fmt: skip
def test_what_two_readers_would_read_differently_has_no_digest(content: bytes) -> None:
    """House: OPA takes the last of two keys, so that the first could be anything."""
    with pytest.raises(BundleError) as refused:
        digest_of("data.json", content)
    assert refused.value.message.startswith("data.json: ")


TEXTS = {
    "order": '{"\\ud83d\\ude00":2,"\\uffff":1,"é":3,"z":4,"":5}',
    "numbers": '{"z":1.50,"a":1e3,"b":1E+2,"c":-0,"d":12345678901234567890123,"f":-0.0}',
    "texts": '{"<&>":"<a>&\\u2028\\u2029\\u0001\\u007f\\n\\t\\r\\b\\f\\/\\"\\\\ \\ud83d\\ude00 é"}',
    "shapes": '{"a":[],"b":{},"c":null,"d":[true,false,[[{}]]]}',
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_our_digests_are_those_of_opa(text: str, tmp_path: Path) -> None:
    """Policy §6: `opa sign` is the reference for what a file's digest is."""
    opa = opa_binary()
    key = tmp_path / "secret"
    folder = tmp_path / "bundle"
    folder.mkdir()
    key.write_text("secret")
    files = {
        ".manifest": b'{"roots": ["b", "a"], "revision": "1"}',
        "data.json": text.encode(),
        "other.json": text.encode() + b"\n",
        "read.me": b"\xff\x00",
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    arguments = ["--signing-alg", "HS256", "--signing-key", "secret", "-o", str(tmp_path)]
    subprocess.run(
        [opa, "sign", "--bundle", ".", *arguments],
        cwd=folder, check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    (token,) = json.loads((tmp_path / SIGNATURES).read_bytes())["signatures"]
    listed = json.loads(from_base64url(token.split(".")[1]))["files"]
    assert {one["name"]: one["hash"] for one in listed} == {
        name: digest_of(name, content) for name, content in files.items()
    }
