import pytest

from gateway.core.errors import BundleError
from gateway.core.revision import EXAMPLE, is_older, order

RISING = [
    "0",
    "0.1",
    "1",
    "1.0.1",
    "1.2",
    "1.10",
    "2",
    "2026.11.24",
    "2026.11.24-1",
    "2026.11.24-2",
    "2026.11.24-10",
    "2026.12.1-1",
    "2026.12.1.1.1",
    "9" * 18,
]


@pytest.mark.parametrize("at", range(len(RISING)))
def test_revisions_are_ordered_number_by_number(at: int) -> None:
    """House: `10` comes after `9`, and a longer revision after its own beginning."""
    assert [is_older(RISING[at], other) for other in RISING] == [
        at < place for place in range(len(RISING))
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [("1", "1.0"), ("1.0-0", "1"), ("1-2", "1.2"), ("01.002", "1.2"), ("0", "0.0.0")],
)
def test_two_spellings_of_one_revision_are_equal(one: str, other: str) -> None:
    """House: neither is older, so neither can be used to go back and forth."""
    assert order(one) == order(other)
    assert not is_older(one, other)
    assert not is_older(other, one)


@pytest.mark.parametrize(
    "text",
    [
        "", "v1", "1.", ".1", "1..2", "1_2", "1 ", "1\n", "-1", "1.a", "١.٢", "1" * 19,
        "1." * 32 + "1",
    ],
    ids=[
        "empty", "letter", "dot at the end", "dot at the start", "two dots", "underscore", "space",
        "newline", "minus", "letter behind", "other digits", "too large", "too long",
    ],
)  # fmt: skip
def test_anything_else_is_no_revision_and_the_message_shows_one(text: str) -> None:
    """Issue: an older bundle is refused, so nobody may be unable to tell."""
    with pytest.raises(BundleError, match=EXAMPLE):
        order(text)


def test_the_example_is_a_revision() -> None:
    """House: what the message shows can be used."""
    assert order(EXAMPLE) == (2026, 11, 24, 1)
