from pathlib import Path

import pytest

from gateway.core.errors import SettingsError
from gateway.settings import load
from gateway.starter import create


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/mcp", 'http://h/"a"', "http://h/{port}", "http://h/😀"]
)
def test_the_settings_hold_the_values_that_were_given(tmp_path: Path, url: str) -> None:
    """TOML 1.0, basic strings: a quote in a URL is escaped."""
    settings, *_ = create(tmp_path / "gw", url, 65535)
    loaded = load(settings)
    assert (loaded.systems["company"].url, loaded.server.port) == (url, 65535)


@pytest.mark.parametrize("url", ["", "x", "http://h/\x7f", "http://h/\udc80", 'http://h"\nport=1'])
def test_a_url_that_the_settings_refuse_is_not_written(tmp_path: Path, url: str) -> None:
    """House: what is written can be served."""
    with pytest.raises(SettingsError) as raised:
        create(tmp_path / "gw", url, 8080)
    assert "bailiwick.toml" not in raised.value.message
    assert list(tmp_path.iterdir()) == []


def test_a_link_that_leads_nowhere_is_not_followed(tmp_path: Path) -> None:
    """House: nothing is written where nobody asked."""
    (tmp_path / "bailiwick.toml").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SettingsError):
        create(tmp_path, "http://h/mcp", 8080)
    assert not (tmp_path / "elsewhere").exists()
