import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.pointer import differences, is_pointer, joined, replaced, segments

TEXT = st.text(max_size=4)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(TEXT, max_size=4))
def test_a_pointer_names_the_segments_it_was_joined_from(names: list[str]) -> None:
    """RFC 6901 §4: `~1` is a slash, `~0` a tilde, and `~01` no slash."""
    pointer = ""
    for name in names:
        pointer = joined(pointer, name)
    assert segments(pointer) == tuple(names)


def test_an_escaped_tilde_begins_no_escape() -> None:
    """RFC 6901 §4: `~01` is the text `~1`, not a slash."""
    assert segments("/~01/a~1b") == ("~1", "a/b")


@pytest.mark.parametrize("text", ["a", "a/b", "/~", "/~2", "/a~/b", None, 1])
def test_what_is_no_pointer_is_refused(text: object) -> None:
    """RFC 6901 §3."""
    assert not is_pointer(text)
    if isinstance(text, str):
        with pytest.raises(ValueError):
            segments(text)


@given(VALUES, VALUES)
def test_differences_lead_back_from_the_new_value_to_the_old(old: object, new: object) -> None:
    """House: what redaction took away is exactly what is sealed."""
    back = new
    for pointer, value in differences(old, new).items():
        back = replaced(back, segments(pointer), value)
    assert back == old


def test_only_what_differs_is_kept() -> None:
    """House: an original that was not redacted stands in the record already."""
    old, new = {"a": [1, 2], "b/c": "x"}, {"a": [1, 3], "b/c": "y"}
    assert differences(old, new) == {"/a/1": 2, "/b~1c": "x"}


@pytest.mark.parametrize("path", [("b",), ("a", "2"), ("a", "x"), ("a", "0", "y"), ("a", "-1")])
def test_nothing_is_put_where_nothing_stands(path: tuple[str, ...]) -> None:
    """House: originals of another record must not fit by accident."""
    with pytest.raises(LookupError):
        replaced({"a": [1, 2]}, path, 0)
