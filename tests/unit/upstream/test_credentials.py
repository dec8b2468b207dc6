from pathlib import Path

import pytest

from gateway.core.errors import SettingsError
from gateway.upstream.credentials import bearer_from


@pytest.mark.parametrize("written", ["tok-1", "tok-1\n", "  tok-1\r\n"], ids=repr)
def test_a_token_is_read_without_the_space_around_it(written: str, tmp_path: Path) -> None:
    """RFC 6750 §2.1: editors end files with a newline."""
    (tmp_path / "token").write_text(written, newline="")
    assert bearer_from(tmp_path / "token") == "Bearer tok-1"


BAD = {
    "empty": b"",
    "only space": b" \n",
    "two lines": b"a\nb",
    "a header smuggled in": b"a\r\nX-Evil: 1",
    "a space inside": b"Bearer a",
    "a tab inside": b"a\tb",
    "NUL": b"a\x00b",
    "DEL": b"a\x7f",
    "not ASCII": "tök".encode(),
    "not UTF-8 either": b"\xff\xfe",
}


@pytest.mark.parametrize("written", BAD.values(), ids=BAD.keys())
def test_what_is_no_single_line_of_visible_ascii_is_refused(written: bytes, tmp_path: Path) -> None:
    """RFC 9110 §5.5: a header value could say something else to the upstream."""
    (tmp_path / "token").write_bytes(written)
    with pytest.raises(SettingsError) as caught:
        bearer_from(tmp_path / "token")
    text = written.decode("latin-1").strip()
    assert not text or text not in caught.value.message, "the secret is in no message"


@pytest.mark.parametrize("what", ["missing", "a folder"])
def test_a_file_that_cannot_be_read_is_a_settings_error(what: str, tmp_path: Path) -> None:
    """House: the gateway does not start without the credential it was told to use."""
    path = tmp_path if what == "a folder" else tmp_path / "missing"
    with pytest.raises(SettingsError):
        bearer_from(path)
