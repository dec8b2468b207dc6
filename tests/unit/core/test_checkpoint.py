import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.checkpoint import MAX_SIZE, Checkpoint, decimal
from gateway.core.errors import VerificationError
from gateway.core.note import Note

ROOT = bytes(range(32))
ROOT64 = base64.b64encode(ROOT).decode()
TEXT = f"example.com/bailiwick/0\n20852163\n{ROOT64}\n"
VECTORS = Path(__file__).parents[2] / "vectors" / "note" / "accept"


def malformed(text: str) -> None:
    """Assert that this is refused as a checkpoint."""
    with pytest.raises(VerificationError) as caught:
        Checkpoint.parse(text)
    assert caught.value.reason_code == "checkpoint_malformed"


def test_a_checkpoint_is_origin_size_and_root_on_a_line_each() -> None:
    """C2SP tlog-checkpoint, note text."""
    assert Checkpoint("example.com/bailiwick/0", 20852163, ROOT).text() == TEXT


def test_a_checkpoint_of_another_log_reads() -> None:
    """A checkpoint of the static-CT log arche2025h1."""
    text = Note.parse((VECTORS / "arche-witnessed.note").read_bytes()).text
    checkpoint = Checkpoint.parse(text)
    assert checkpoint.origin == "arche2025h1.staging.ct.transparency.dev"
    assert checkpoint.size == 1432088532
    assert checkpoint.root[:4] == bytes.fromhex("53b58cef")


@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1),
    st.integers(0, MAX_SIZE),
    st.binary(min_size=32, max_size=32),
)
def test_a_checkpoint_reads_back_as_it_was(origin: str, size: int, root: bytes) -> None:
    """House: origins may hold any text, U+2028 included."""
    checkpoint = Checkpoint(origin, size, root)
    assert Checkpoint.parse(checkpoint.text()) == checkpoint


def test_a_checkpoint_of_the_empty_tree_has_size_0() -> None:
    """C2SP tlog-checkpoint, note text."""
    assert Checkpoint.parse(f"o\n0\n{ROOT64}\n").size == 0


@pytest.mark.parametrize(
    "size",
    ["", "-1", "+1", "01", "00", "1.0", "1e3", " 1", "1 ", "1_0", "0x1", "１", "٣", str(2**63)]
    + ["9" * 19, "9" * 5000],
)
def test_a_size_has_one_spelling(size: str) -> None:
    """C2SP tlog-checkpoint: ASCII decimal with no leading zeroes."""
    malformed(f"o\n{size}\n{ROOT64}\n")


@pytest.mark.parametrize(
    "root",
    [
        "",
        ROOT64[:-1],
        ROOT64 + "=",
        ROOT64 + " ",
        ROOT64[:-2] + "9=",  # unused bits that are not zero
        "+/".join(["A" * 20] * 2) + "=",
        base64.b64encode(ROOT[:-1]).decode(),
        base64.b64encode(ROOT + b"\x00").decode(),
        base64.urlsafe_b64encode(b"\xff" * 32).decode(),
        "é" * 44,
    ],
)
def test_a_root_has_one_spelling_and_32_bytes(root: str) -> None:
    """RFC 4648 §4; C2SP tlog-checkpoint."""
    malformed(f"o\n1\n{root}\n")


@pytest.mark.parametrize("origin", ["", "a\tb", "a\rb", "a\x00b", "\x1f", "\ud800"])
def test_an_origin_is_a_line_of_text(origin: str) -> None:
    """C2SP tlog-checkpoint and signed-note."""
    malformed(f"{origin}\n1\n{ROOT64}\n")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        TEXT[:-1],
        TEXT + "\n",
        TEXT + "extension\n",
        TEXT + "extension",
        "\n" + TEXT,
        TEXT.replace("\n", "\r\n"),
        f"o\n1\n\n{ROOT64}\n",
        f"o\n{ROOT64}\n1\n",
        "o\n1\n",
    ],
)
def test_a_text_that_is_not_exactly_three_lines_is_refused(text: str) -> None:
    """House: extension lines are refused, nobody could audit them."""
    malformed(text)


@pytest.mark.parametrize(
    ("origin", "size", "root"),
    [("", 1, ROOT), ("a\nb", 1, ROOT), ("o", -1, ROOT), ("o", 2**63, ROOT), ("o", 1, ROOT[1:])],
)
def test_a_head_that_could_not_be_read_back_is_never_made(
    origin: str, size: int, root: bytes
) -> None:
    """House."""
    with pytest.raises(VerificationError) as caught:
        Checkpoint(origin, size, root)
    assert caught.value.reason_code == "checkpoint_malformed"


def test_the_largest_decimal_is_that_of_63_bits() -> None:
    """House: sizes fit a signed 64-bit integer everywhere."""
    assert decimal("9223372036854775807") == MAX_SIZE == 2**63 - 1
    with pytest.raises(ValueError, match="one spelling"):
        decimal("9223372036854775808")
