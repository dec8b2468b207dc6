import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.echoes import Echoes, folded, occurring, spellings
from gateway.core.ink import Stamp
from tests.unit.core.test_redaction import outcome, redact

SECRET = "my dull/marked+secret phräse?"
STAMP = Stamp("secret", "hmac-sha256:0", 1)
FORMS = {
    "plain": SECRET,
    "upper": SECRET.upper(),
    "query": quote_plus(SECRET),
    "path": quote(SECRET),
    "all": quote(SECRET, safe="").lower(),
    "json": json.dumps(json.dumps(SECRET)),
    "base64": base64.b64encode(SECRET.encode()).decode(),
    "base64 one on": base64.b64encode(b"1" + SECRET.encode() + b"22").decode(),
    "base64 two on": base64.b64encode(b"12" + SECRET.encode() + b"2").decode(),
    "base64url": base64.urlsafe_b64encode(SECRET.encode()).decode(),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_an_echo_is_found_however_it_is_spelt(form: str) -> None:
    """House: case, RFC 3986 §2.1, RFC 4648 §4 and §5, RFC 8259 §7."""
    body = json.dumps({"result": {"say": f"it is {form}."}})
    said = redact(outcome(body, tool="plain"), "outcome", also=(SECRET,)).fields["body"]
    assert form.strip('"=')[4:-6] not in said
    assert "it is" in said


def test_an_echo_in_base64url_is_found() -> None:
    """RFC 4648 §5: two characters differ from those of §4."""
    secret = "a?>?>b?>?>??>"
    encoded = base64.urlsafe_b64encode(secret.encode()).decode().rstrip("=")
    assert "_" in encoded
    assert list(Echoes({secret: STAMP}).find(encoded))


def test_an_echo_that_escapes_hide_is_found() -> None:
    """RFC 8259 §7: any character may be escaped."""
    body = '{"result":{"say":"it is \\u0068unter two","again":["x\\u0068unter two"]}}'
    said = redact(outcome(body, tool="plain"), "outcome", also=("hunter two",)).fields["body"]
    assert "unter" not in said


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_folding_keeps_the_length(text: str) -> None:
    """House: places in the folded text are places in the text."""
    assert len(folded(text)) == len(text)


@given(st.binary(max_size=5), st.text("abcXYZ09", min_size=6, max_size=12), st.binary(max_size=5))
def test_base64_of_a_text_around_a_secret_is_found(
    before: bytes, secret: str, after: bytes
) -> None:
    """RFC 4648 §4: at each of three alignments the secret decides most of its characters."""
    encoded = base64.b64encode(before + secret.encode() + after).decode()
    spans = list(Echoes({secret: STAMP}).find(encoded))
    assert spans
    assert max(end - start for start, end, _ in spans) >= len(secret)


def test_base64_of_a_short_secret_is_not_looked_for() -> None:
    """House: a few characters occur by chance."""
    assert spellings("abcde") == ("abcde",)


def test_half_of_a_surrogate_pair_has_spellings() -> None:
    """House: JSON can say it."""
    assert "\ud800abcdefg" in spellings("\ud800abcdefg")


def test_a_search_that_is_too_long_is_not_begun() -> None:
    """House: bounded work."""
    assert occurring({"abcd": STAMP}, ["ABCD"], 4) == {"abcd": STAMP}
    assert occurring({"abcd": STAMP}, ["ABCDE"], 4) is None
