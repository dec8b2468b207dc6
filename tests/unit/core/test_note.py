import base64
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import VerificationError
from gateway.core.note import (
    COSIGNATURE,
    MAX_NOTE_BYTES,
    MAX_SECONDS,
    MAX_SIGNATURES,
    Note,
    SigningKey,
    VerifierKey,
    cosign,
    decode64,
    encode64,
)

VECTORS = Path(__file__).parents[2] / "vectors" / "note" / "accept"
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_SEED = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
ENOCH = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
EXAMPLE = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
ARCHE = (
    "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f"
)
WITNESSES = [
    "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2",
    "transparency.dev/DEV:witness-little-garden+d8042a87"
    "+BCtusOxINQNUTN5Oj8HObRkh2yHf/MwYaGX4CPdiVEPM",
    "witness1.smartit.nu/witness1+a48c820f+BPSFWg9G6KPiO7QPryYO5Xq4oYJJ+kAvLKLSimDhoxMO",
    "witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv",
]
TEXT = "example.com/log\n7\nAAAA\n"
ME = SigningKey("example.com/log", os.urandom(32))
OTHER = SigningKey("example.com/other", os.urandom(32))
P = 2**255 - 19
Y8 = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"
Y8_NEGATED = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"
SMALL_ORDER = [bytes.fromhex(Y8), bytes.fromhex(Y8_NEGATED)]
SMALL_ORDER += [value.to_bytes(32, "little") for value in (0, 1, P - 1, P, P + 1)]


def read(name: str) -> bytes:
    """Return the bytes of a vector."""
    return (VECTORS / name).read_bytes()


def line(name: str, key_id: bytes, blob: bytes) -> str:
    """Return a signature line, with its newline."""
    return f"— {name} {base64.b64encode(key_id + blob).decode()}\n"


def malformed(note: str | bytes) -> None:
    """Assert that this is refused as a note."""
    with pytest.raises(VerificationError) as caught:
        Note.parse(note)
    assert caught.value.reason_code == "note_malformed"


def bad_key(vkey: str) -> None:
    """Assert that this is refused as a verifier key."""
    with pytest.raises(VerificationError) as caught:
        VerifierKey.parse(vkey)
    assert caught.value.reason_code == "key_malformed"


@pytest.mark.parametrize(
    ("name", "vkey"),
    [
        ("go-peter-and-enoch.note", PETER),
        ("go-peter-and-enoch.note", ENOCH),
        ("c2sp-example.note", EXAMPLE),
        ("arche-witnessed.note", ARCHE),
    ],
)
def test_a_note_signed_elsewhere_verifies(name: str, vkey: str) -> None:
    """golang.org/x/mod/sumdb/note; C2SP signed-note, test vectors; a log of static CT."""
    assert Note.parse(read(name)).signed_by(VerifierKey.parse(vkey))


@pytest.mark.parametrize("vkey", WITNESSES)
def test_a_cosignature_made_elsewhere_verifies_and_tells_its_time(vkey: str) -> None:
    """C2SP tlog-cosignature; a checkpoint of arche2025h1 with its witnesses."""
    note = Note.parse(read("arche-witnessed.note"))
    assert note.cosigned_at(VerifierKey.parse(vkey)) == 0x6A122120


@pytest.mark.parametrize("vkey", [PETER, ENOCH, EXAMPLE, ARCHE, *WITNESSES])
def test_a_verifier_key_reads_back_as_it_is_written(vkey: str) -> None:
    """C2SP signed-note, verifier keys."""
    assert str(VerifierKey.parse(vkey)) == vkey


def test_a_key_id_is_that_of_name_type_and_key() -> None:
    """C2SP signed-note, signatures."""
    key = VerifierKey.parse(EXAMPLE)
    assert (key.name, key.algorithm, key.key_id.hex()) == ("example.com/foo", 1, "530d903a")
    assert key.public.hex().startswith("e932791ae6e7a840")
    assert VerifierKey.of(key.name, key.public) == key
    assert VerifierKey.of(key.name, key.public, COSIGNATURE).key_id != key.key_id


def test_signing_gives_the_published_note_byte_for_byte() -> None:
    """golang.org/x/mod/sumdb/note; Ed25519 is deterministic (RFC 8032)."""
    text, _, signatures = read("go-peter-and-enoch.note").decode().partition("\n\n")
    first = signatures.splitlines(keepends=True)[0]
    assert SigningKey("PeterNeumann", PETER_SEED).sign_note(f"{text}\n") == f"{text}\n\n{first}"


def test_a_signing_key_has_the_published_verifier_key() -> None:
    """golang.org/x/mod/sumdb/note."""
    assert str(SigningKey("PeterNeumann", PETER_SEED).verifier) == PETER


@given(
    st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="".join(map(chr, range(32))))
    )
)
def test_a_text_reads_back_as_it_was_signed(text: str) -> None:
    """House: empty lines, U+0085 and U+2028 included."""
    for whole in (f"{text}\n", f"{text}\n\n{text}\n", f"\n{text}\n\n"):
        signed = ME.sign_note(whole)
        assert Note.parse(signed) == Note.parse(signed.encode())
        assert Note.parse(signed).text == whole
        assert Note.parse(signed).signed_by(ME.verifier)


@pytest.mark.parametrize("text", ["", "unfinished", "a\tb\n", "a\r\n", "\x00\n", "\ud800\n"])
def test_a_text_that_no_note_can_hold_is_not_signed(text: str) -> None:
    """C2SP signed-note, format."""
    with pytest.raises(VerificationError) as caught:
        ME.sign_note(text)
    assert caught.value.reason_code == "note_malformed"


def test_the_text_ends_at_the_last_empty_line() -> None:
    """C2SP signed-note, format."""
    inner = ME.sign_note(TEXT)
    note = Note.parse(OTHER.sign_note(inner))
    assert note.text == inner
    assert not note.signed_by(ME.verifier)


def test_a_changed_text_is_not_signed() -> None:
    """RFC 8032."""
    signed = ME.sign_note(TEXT)
    assert not Note.parse(signed.replace("\n7\n", "\n8\n")).signed_by(ME.verifier)
    assert not Note.parse(f"\n{signed}").signed_by(ME.verifier)


def test_signatures_of_unknown_keys_are_ignored() -> None:
    """C2SP signed-note: verifiers must ignore them, of the same name or the same id too."""
    name, key_id = ME.verifier.name, ME.verifier.key_id
    strange = line(name, b"\x00\x01\x02\x03", b"?") + line("someone", key_id, b"?")
    note = Note.parse(ME.sign_note(TEXT) + strange)
    assert note.signed_by(ME.verifier)
    assert [signature.name for signature in note.signatures] == [name, name, "someone"]


def test_a_note_signed_by_others_only_is_not_signed() -> None:
    """C2SP signed-note: clients must reject it."""
    assert not Note.parse(OTHER.sign_note(TEXT)).signed_by(ME.verifier)


def test_a_key_of_the_same_name_does_not_sign_for_another() -> None:
    """C2SP signed-note: name and id together identify the key."""
    forger = SigningKey(ME.verifier.name, os.urandom(32))
    blob = forger.sign(TEXT.encode())
    assert not Note.parse(forger.sign_note(TEXT)).signed_by(ME.verifier)
    forged = f"{TEXT}\n{line(ME.verifier.name, ME.verifier.key_id, blob)}"
    assert not Note.parse(forged).signed_by(ME.verifier)


@pytest.mark.parametrize("first", [True, False])
def test_a_bad_signature_under_a_known_key_spoils_the_note(first: bool) -> None:
    """C2SP signed-note: clients should reject the whole note."""
    good = line(ME.verifier.name, ME.verifier.key_id, ME.sign(TEXT.encode()))
    bad = line(ME.verifier.name, ME.verifier.key_id, ME.sign(b"something else\n"))
    note = Note.parse(f"{TEXT}\n{bad + good if first else good + bad}")
    assert not note.signed_by(ME.verifier)


@pytest.mark.parametrize("size", [1, 8, 63, 65, 71, 72, 73])
@pytest.mark.parametrize("key", [ME.verifier, ME.witness])
def test_a_signature_of_another_length_does_not_verify(key: VerifierKey, size: int) -> None:
    """RFC 8032: 64 bytes."""
    blob = (ME.sign(TEXT.encode()) + bytes(9))[:size]
    assert not key.verify(TEXT.encode(), blob)


def test_a_cosignature_signs_the_time_and_the_text() -> None:
    """C2SP tlog-cosignature, Ed25519 signed message."""
    row = cosign(ME, TEXT, 1_679_315_147)
    blob = Note.parse(f"{TEXT}\n{row}").signatures[0].blob
    message = b"cosignature/v1\ntime 1679315147\n" + TEXT.encode()
    assert blob == (1_679_315_147).to_bytes(8) + ME.sign(message)


def test_a_cosigned_note_tells_when() -> None:
    """C2SP tlog-cosignature."""
    note = Note.parse(ME.sign_note(TEXT) + cosign(OTHER, TEXT, 1_700_000_000))
    assert note.signed_by(ME.verifier)
    assert note.signed_by(OTHER.witness)
    assert note.cosigned_at(OTHER.witness) == 1_700_000_000


def test_a_witness_that_signed_twice_is_taken_at_its_earliest_word() -> None:
    """House: what was there at the earlier time was there at the later one."""
    rows = cosign(OTHER, TEXT, 1_700_000_009) + cosign(OTHER, TEXT, 1_700_000_000)
    assert Note.parse(f"{TEXT}\n{rows}").cosigned_at(OTHER.witness) == 1_700_000_000


def test_a_cosignature_with_another_time_does_not_verify() -> None:
    """C2SP tlog-cosignature: the time is signed."""
    name, key_id, blob = Note.parse(f"{TEXT}\n{cosign(ME, TEXT, 5)}").signatures[0]
    moved = line(name, key_id, (6).to_bytes(8) + blob[8:])
    assert Note.parse(f"{TEXT}\n{moved}").cosigned_at(ME.witness) is None


def test_a_note_that_was_not_cosigned_tells_no_time() -> None:
    """House."""
    note = Note.parse(ME.sign_note(TEXT))
    assert note.cosigned_at(ME.witness) is None
    assert note.cosigned_at(ME.verifier) is None
    assert note.cosigned_at(OTHER.witness) is None


def test_a_cosignature_is_no_signature_of_the_log() -> None:
    """C2SP signed-note: the type is part of the key id, so neither passes for the other."""
    note = Note.parse(f"{TEXT}\n{cosign(ME, TEXT, 5)}")
    assert not note.signed_by(ME.verifier)
    assert not Note.parse(ME.sign_note(TEXT)).signed_by(ME.witness)


@pytest.mark.parametrize("seconds", [-1, MAX_SECONDS + 1, 2**64])
def test_a_time_beyond_63_bits_is_not_cosigned(seconds: int) -> None:
    """C2SP tlog-cosignature: it must not exceed 2^63 - 1."""
    with pytest.raises(ValueError, match="this time"):
        cosign(ME, TEXT, seconds)


def test_a_cosigned_time_beyond_63_bits_does_not_verify() -> None:
    """C2SP tlog-cosignature: it must not exceed 2^63 - 1."""
    for seconds, verdict in ((MAX_SECONDS, True), (MAX_SECONDS + 1, False)):
        message = b"cosignature/v1\ntime %d\n" % seconds + TEXT.encode()
        blob = seconds.to_bytes(8) + ME.sign(message)
        assert ME.witness.verify(TEXT.encode(), blob) is verdict


GOOD = line("example.com/log", b"\x01\x02\x03\x04", b"signature")


@pytest.mark.parametrize(
    "note",
    [
        "",
        "\n",
        "\n\n",
        TEXT,
        TEXT + "\n",
        TEXT + GOOD,
        GOOD,
        "\n" + GOOD,
        f"{TEXT}\n{GOOD[:-1]}",
        f"{TEXT}\n{GOOD[:-1]}x",
        f"{TEXT}\n{GOOD}\n",
        f"{TEXT}\n{GOOD}\n{TEXT}",
        f"{TEXT}\n{GOOD}text\n",
        f"{TEXT}\n {GOOD}",
        f"{TEXT}\n{GOOD.replace('— ', '- ')}",
        f"{TEXT}\n{GOOD.replace('— ', '—')}",
        f"{TEXT}\n{GOOD.replace('— ', '—  ')}",
        f"{TEXT}\n{GOOD.removeprefix('— ')}",
        f"{TEXT}\n— AQIDBAU=\n",
        f"{TEXT}\n—  AQIDBAU=\n",
        f"{TEXT}\n— name \n",
        f"{TEXT}\n— name\n",
        f"{TEXT}\n— na me AQIDBAU=\n",
        f"{TEXT}\n— na+me AQIDBAU=\n",
        f"{TEXT}\n— na\u00a0me AQIDBAU=\n",
        f"{TEXT}\n— na\u2003me AQIDBAU=\n",
        f"{TEXT}\n— na\u2028me AQIDBAU=\n",
        f"{TEXT}\n— na\u0085me AQIDBAU=\n",
        f"{TEXT}\n— name  AQIDBAU=\n",
        f"{TEXT}\n— name AQIDBAU= \n",
        f"{TEXT}\n— name AQIDBAU= x\n",
        f"{TEXT}\n— name AQIDBAU\n",
        f"{TEXT}\n— name AQIDBAV=\n",
        f"{TEXT}\n— name AQIDBAU==\n",
        f"{TEXT}\n— name AQIDBA-_\n",
        f"{TEXT}\n— name AQIDBA==\n",
        f"{TEXT}\n— name ÄQIDBAU=\n",
        f"{TEXT}\n{GOOD}".replace("\n", "\r\n"),
        f"a\tb\n\n{GOOD}",
        f"a\x00b\n\n{GOOD}",
        f"a\x1fb\n\n{GOOD}",
        f"a\x0bb\n\n{GOOD}",
        f"a\ud800b\n\n{GOOD}",
        f"a\n\n{GOOD}".encode("utf-16"),
        b"a\xff\n\n" + GOOD.encode(),
        b"a\xc0\x80\n\n" + GOOD.encode(),
        b"a\xed\xa0\x80\n\n" + GOOD.encode(),
        f"{TEXT}\n{GOOD * (MAX_SIGNATURES + 1)}",
        "x" * MAX_NOTE_BYTES + f"\n\n{GOOD}",
    ],
)
def test_what_is_not_a_signed_note_is_refused(note: str | bytes) -> None:
    """C2SP signed-note, format; golang.org/x/mod/sumdb/note, Open."""
    malformed(note)


def test_a_note_may_have_many_signatures() -> None:
    """C2SP signed-note: at least 16 must be accepted."""
    assert len(Note.parse(f"{TEXT}\n{GOOD * MAX_SIGNATURES}").signatures) == MAX_SIGNATURES


def test_a_note_may_hold_delete_and_other_unicode() -> None:
    """C2SP signed-note: only control characters below U+0020 are forbidden."""
    assert Note.parse(f"a\x7f\u0085\u2028é😀\n\n{GOOD}").text == "a\x7f\u0085\u2028é😀\n"


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "name",
        "name+c74f20a3",
        PETER.replace("c74f20a3", "c74f20a4"),
        PETER.replace("c74f20a3", "C74F20A3"),
        PETER.replace("c74f20a3", "0c74f20a3"),
        PETER.replace("c74f20a3", ""),
        PETER.replace("PeterNeumann", "PeterNeuman"),
        PETER.replace("PeterNeumann", ""),
        PETER.replace("PeterNeumann", "Peter Neumann"),
        PETER.replace("TW", "TX"),
        PETER + "=",
        PETER + "\n",
        " " + PETER,
        PETER[:-4],
        PETER[:-1] + "é",
        PETER.replace("+ARpc", "+Abpc"),
        "PRIVATE+KEY+" + PETER,
        "name+00000000+",
        "name+00000000+AQ==",
    ],
)
def test_what_is_not_a_verifier_key_is_refused(vkey: str) -> None:
    """C2SP signed-note, verifier keys; golang.org/x/mod/sumdb/note, NewVerifier."""
    bad_key(vkey)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u2003b", "a\nb", "a\tb", "\ud800"])
def test_a_name_with_a_space_or_a_plus_is_refused(name: str) -> None:
    """C2SP signed-note, format."""
    with pytest.raises(VerificationError) as caught:
        VerifierKey.of(name, ME.verifier.public)
    assert caught.value.reason_code == "key_malformed"
    with pytest.raises(VerificationError):
        SigningKey(name, os.urandom(32))


@pytest.mark.parametrize(
    ("public", "algorithm"),
    [(bytes(range(31)), 1), (bytes(range(33)), 1), (b"", 4)]
    + [(None, algorithm) for algorithm in (0, 2, 3, 5, 6, 255)],
)
def test_only_ed25519_keys_of_a_known_type_are_taken(public: bytes | None, algorithm: int) -> None:
    """C2SP signed-note: support only the types that are needed."""
    with pytest.raises(VerificationError) as caught:
        VerifierKey.of("name", public if public is not None else ME.verifier.public, algorithm)
    assert caught.value.reason_code == "key_malformed"


@pytest.mark.parametrize("sign_bit", [0, 0x80])
@pytest.mark.parametrize("public", SMALL_ORDER)
def test_a_key_that_anybody_can_sign_under_is_refused(public: bytes, sign_bit: int) -> None:
    """https://eprint.iacr.org/2020/1244: all encodings of points of small order."""
    public = public[:31] + bytes([public[31] | sign_bit])
    with pytest.raises(VerificationError) as caught:
        VerifierKey.of("name", public)
    assert caught.value.reason_code == "key_malformed"


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_seed_has_32_bytes(size: int) -> None:
    """RFC 8032 §5.1.5."""
    with pytest.raises(ValueError):
        SigningKey("name", bytes(size))


def test_a_signing_key_does_not_show_its_seed() -> None:
    """House: keys never reach a log."""
    key = SigningKey("PeterNeumann", PETER_SEED)
    assert PETER_SEED.hex() not in repr(key)
    assert not hasattr(key, "__dict__")


@given(st.binary())
def test_base64_reads_back(data: bytes) -> None:
    """RFC 4648 §4."""
    assert decode64(encode64(data)) == data


@pytest.mark.parametrize("text", ["QQ", "QQ=", "QR==", "QQ==\n", "Q Q=", "-_==", "QQ==QQ==", "="])
def test_base64_has_one_spelling(text: str) -> None:
    """RFC 4648 §3.5."""
    with pytest.raises(ValueError):
        decode64(text)
