import base64
import hashlib

import pytest

from gateway.core.errors import EvidenceError, VerificationError
from gateway.evidence.sealing import SUITE, ResponderKeyInvalid, Sealer, generate, open_sealed

PRIVATE, PUBLIC = generate()
INFO = b"bailiwick/record\nexample.com/bailiwick/0\ncall-1\nintent"


def sealed(data: bytes = b"hunter2") -> dict[str, str]:
    """Return data sealed to the test's key."""
    return Sealer(PUBLIC).seal(data, INFO)


def changed(data: bytes, at: int) -> bytes:
    """Return data with one bit of one byte changed."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def refused(private: str, given: object, info: bytes = INFO) -> None:
    """Check that nothing is opened."""
    with pytest.raises(VerificationError) as caught:
        open_sealed(private, given, info)
    assert caught.value.reason_code == "sealed_unreadable"


@pytest.mark.parametrize("data", [b"", b"hunter2", bytes(range(256)) * 400])
def test_the_holder_of_the_private_key_reads_what_was_sealed(data: bytes) -> None:
    """RFC 9180 §6.1."""
    assert open_sealed(PRIVATE, sealed(data), INFO) == data


def test_sealed_data_does_not_show_what_it_holds_and_differs_each_time() -> None:
    """RFC 9180 §5.1: a fresh encapsulation for each."""
    one, two = sealed(), sealed()
    assert b"hunter2" not in base64.b64decode(one["data"])
    assert one["data"] != two["data"]


def test_sealed_data_names_its_key_and_suite() -> None:
    """House: docs/evidence.md."""
    raw = base64.b64decode(PUBLIC.split()[1])
    assert sealed()["key"] == Sealer(PUBLIC).key_id == hashlib.sha256(raw).hexdigest()[:16]
    assert sealed()["suite"] == SUITE
    assert sorted(sealed()) == ["data", "key", "suite"]


def test_another_key_opens_nothing() -> None:
    """RFC 9180 §9.1: confidentiality to the holder of the key."""
    refused(generate()[0], sealed())


def test_half_of_the_key_opens_nothing() -> None:
    """House: the hybrid stays closed unless both halves fall."""
    other = base64.b64decode(generate()[0].split()[1])
    own = base64.b64decode(PRIVATE.split()[1])
    for mixed in (own[:64] + other[64:], other[:64] + own[64:]):
        refused(f"{PRIVATE.split()[0]} {base64.b64encode(mixed).decode()}", sealed())


def test_sealed_data_of_another_record_opens_nothing() -> None:
    """House: `info` binds what is sealed to origin, call and kind."""
    refused(PRIVATE, sealed(), INFO.replace(b"intent", b"outcome"))


@pytest.mark.parametrize("at", [0, 600, 1087, 1100, 1119, 1120, -1])
def test_a_changed_byte_is_noticed(at: int) -> None:
    """RFC 9180 §5.2: the ciphertext and both encapsulations are authenticated."""
    given = sealed()
    raw = base64.b64decode(given["data"])
    given["data"] = base64.b64encode(changed(raw, at % len(raw))).decode()
    refused(PRIVATE, given)


@pytest.mark.parametrize("length", [0, 10, 1120, 1130, -1])
def test_data_cut_short_is_noticed(length: int) -> None:
    """House: a torn blob opens to nothing, not to its beginning."""
    given = sealed()
    given["data"] = base64.b64encode(base64.b64decode(given["data"])[:length]).decode()
    refused(PRIVATE, given)


@pytest.mark.parametrize(
    "change", [{"suite": "X25519"}, {"suite": None}, {"data": "!"}, {"data": None}, {"data": "é"}]
)
def test_what_is_not_sealed_data_is_refused(change: dict[str, object]) -> None:
    """House: evidence comes from a file, so anything may stand in it."""
    refused(PRIVATE, {**sealed(), **change})
    refused(PRIVATE, None)
    refused(PRIVATE, {"suite": SUITE})


@pytest.mark.parametrize(
    "text",
    [
        "",
        PRIVATE,
        PUBLIC.replace("-v1", "-v2"),
        PUBLIC.split()[1],
        PUBLIC[:-9],
        PUBLIC.strip() + "AAAA",
        PUBLIC.split()[0] + " " + base64.b64encode(b"\xff" * 1216).decode(),
        PUBLIC.split()[0] + " é",
    ],
    ids=["empty", "private", "version", "bare", "short", "long", "impossible", "not base64"],
)
def test_what_is_no_public_key_is_refused(text: str) -> None:
    """House: a gateway that cannot seal must not start."""
    with pytest.raises(ResponderKeyInvalid):
        Sealer(text)
    assert issubclass(ResponderKeyInvalid, EvidenceError)


def test_a_public_key_is_no_private_one() -> None:
    """House: the two texts cannot be taken for each other."""
    for text in (PUBLIC, PRIVATE[:-9], PRIVATE.strip() + "AAAA"):
        with pytest.raises(ResponderKeyInvalid):
            open_sealed(text, sealed(), INFO)


def test_keys_are_one_line_of_text_each() -> None:
    """House: docs/evidence.md; FIPS 203 and RFC 7748 give the lengths."""
    private, public = generate()
    assert private.startswith("bailiwick-responder-private-key-v1 ")
    assert public.startswith("bailiwick-responder-public-key-v1 ")
    assert [len(base64.b64decode(text.split(" ")[1])) for text in (private, public)] == [96, 1216]
    assert private.count("\n") == public.count("\n") == 1
