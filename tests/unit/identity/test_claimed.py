from typing import Any

import pytest

from gateway.core.errors import CredentialRejected, SettingsError
from gateway.identity.claimed import check_audience, confirmation, reader, scopes
from gateway.identity.jws import to_base64url

THUMBPRINT = to_base64url(bytes(range(32)))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("a", {"b": {"c/d": 1}, "~": 2}),
        ("/a", {"b": {"c/d": 1}, "~": 2}),
        ("/a/b", {"c/d": 1}),
        ("/a/b/c~1d", 1),
        ("/a/~0", 2),
        ("a/b", 3),
        ("https://corp.test/tenant", 4),
        ("/a/b/c", None),
        ("/a/b/c~1d/e", None),
        ("/list/0", None),
        ("/x", None),
        ("x", None),
        ("/null", None),
    ],
)
def test_a_place_is_the_name_of_a_claim_or_a_pointer(place: str, value: Any) -> None:
    """RFC 6901 §4, through objects."""
    payload = {
        "a": {"b": {"c/d": 1}, "~": 2},
        "a/b": 3,
        "https://corp.test/tenant": 4,
        "list": [1],
        "null": None,
    }
    assert reader(place)(payload) == value


@pytest.mark.parametrize("place", ["", "/~", "/a~2b"])
def test_what_is_neither_is_refused(place: str) -> None:
    """RFC 6901 §3."""
    with pytest.raises(SettingsError):
        reader(place)


@pytest.mark.parametrize(
    ("audience", "code"),
    [
        ("us", None),
        (["us"], None),
        (None, "token_aud_missing"),
        ("", "token_audience"),
        ([], "token_audience"),
        (["us", "us"], "token_audience"),
        (["us", "them"], "token_audience"),
        (["them"], "token_audience"),
        ("us them", "token_audience"),
        ("US", "token_audience"),
        ({"us": 1}, "token_audience"),
        ([["us"]], "token_audience"),
        (0, "token_audience"),
    ],
    ids=str,
)
def test_a_token_is_for_one_audience(audience: Any, code: str | None) -> None:
    """RFC 7519 §4.1.3; House: a token for two could be replayed by either."""
    if code is None:
        check_audience({"aud": audience}, "us")
        return
    with pytest.raises(CredentialRejected) as caught:
        check_audience({"aud": audience}, "us")
    assert caught.value.reason_code == code


@pytest.mark.parametrize("audience", ["", [""]])
def test_no_name_is_nobodys_audience(audience: Any) -> None:
    """House."""
    with pytest.raises(CredentialRejected):
        check_audience({"aud": audience}, "")


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, ()),
        ("", ()),
        ("a", ("a",)),
        ("a b", ("a", "b")),
        (" a  b ", ("a", "b")),
        ("a\tb", ("a\tb",)),
        ("b a b", ("b", "a")),
        ([], ()),
        (["a", "b", "a"], ("a", "b")),
        (["a b"], ("a b",)),
        (["", "a"], ("a",)),
    ],
    ids=repr,
)
def test_scopes_are_a_text_or_a_list(value: Any, found: tuple[str, ...]) -> None:
    """RFC 6749 §3.3, RFC 8693 §4.2; a list where issuers write roles."""
    assert scopes(value, {}) == found


@pytest.mark.parametrize("value", [1, True, {}, {"a": 1}, [1], ["a", None], [["a"]]], ids=repr)
def test_scopes_in_another_form_are_refused(value: Any) -> None:
    """House."""
    with pytest.raises(CredentialRejected) as caught:
        scopes(value, {})
    assert caught.value.reason_code == "token_claim_malformed"


def test_what_a_scope_contains_contains_more() -> None:
    """House: settings, `scope_implies`."""
    implies = {"a": ("b", "c"), "c": ("d",), "x": ("y",)}
    assert set(scopes("a", implies)) == {"a", "b", "c", "d"}
    assert scopes("d", implies) == ("d",)
    assert scopes(None, implies) == ()


def test_scopes_that_contain_each_other_end() -> None:
    """House: settings may go round in circles."""
    implies = {f"s{n}": (f"s{(n + 1) % 1000}", f"s{n}") for n in range(1000)}
    assert len(scopes("s7", implies)) == 1000


@pytest.mark.parametrize("name", ["jkt", "x5t#S256"])
def test_a_binding_that_can_be_checked_is_returned(name: str) -> None:
    """RFC 9449 §6.1; RFC 8705 §3.1."""
    assert len(THUMBPRINT) == 43
    assert confirmation({"cnf": {name: THUMBPRINT}}) == {name: THUMBPRINT}
    assert confirmation({}) is None


@pytest.mark.parametrize(
    "cnf",
    [
        None,
        {},
        [],
        "",
        THUMBPRINT,
        {"jwk": {"kty": "EC"}},
        {"jwe": "x"},
        {"jku": "https://evil.test/keys", "kid": "1"},
        {"kid": "1"},
        {"jkt": THUMBPRINT, "x5t#S256": THUMBPRINT},
        {"jkt": THUMBPRINT, "jwk": {}},
        {"x5t": THUMBPRINT},
        {"JKT": THUMBPRINT},
        {"jkt": None},
        {"jkt": ""},
        {"jkt": [THUMBPRINT]},
        {"jkt": THUMBPRINT + "="},
        {"jkt": THUMBPRINT[:-1]},
        {"jkt": THUMBPRINT + "A"},
        {"jkt": THUMBPRINT[:-1] + "9"},
        {"jkt": THUMBPRINT[:-1] + "\u0430"},
        {"jkt": THUMBPRINT[:-1] + "+"},
        {"x5t#S256": "00" * 32},
    ],
    ids=ascii,
)
def test_a_binding_that_cannot_be_checked_is_not_ignored(cnf: Any) -> None:
    """RFC 7800 §3.1; House: ignored, it would let a thief in."""
    with pytest.raises(CredentialRejected) as caught:
        confirmation({"cnf": cnf})
    assert caught.value.reason_code == "token_confirmation_refused"
