import pytest

from gateway.core.instant import iso


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        pytest.param(0, "1970-01-01T00:00:00.000000Z", id="epoch"),
        pytest.param(1_795_510_800_000_000_000, "2026-11-24T09:00:00.000000Z", id="whole second"),
        pytest.param(1_999, "1970-01-01T00:00:00.000001Z", id="cut to the microsecond"),
        pytest.param(999_999_999, "1970-01-01T00:00:00.999999Z", id="never rounded up"),
        pytest.param(-1, "1969-12-31T23:59:59.999999Z", id="before the epoch"),
    ],
)
def test_an_instant_has_one_text(ns: int, text: str) -> None:
    """RFC 3339 §5.6, six digits of a second, in UTC."""
    assert iso(ns) == text


def test_texts_sort_as_the_instants_do() -> None:
    """house: a time in a record can be compared as text."""
    instants = [0, 1_000, 999_999_000, 1_000_000_000, 1_795_510_800_123_456_789]
    assert sorted(map(iso, instants)) == list(map(iso, instants))


def test_an_instant_beyond_the_calendar_is_refused() -> None:
    """house: there is no text for it, so none is made up."""
    with pytest.raises((ValueError, OverflowError)):
        iso(10**21)
