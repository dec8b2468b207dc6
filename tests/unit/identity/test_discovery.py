import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from gateway.core.errors import IssuerUnavailable, SettingsError
from gateway.identity.discovery import discovered
from tests.issuer_server import IssuerServer, issuer_server

OPENID = "/.well-known/openid-configuration"
OAUTH = "/.well-known/oauth-authorization-server"


async def keys_of(issuer: IssuerServer, **options: Path | None) -> bytes:
    """Discover and fetch an issuer's keys."""
    with anyio.fail_after(10):
        return await discovered(issuer.url, **options)()


async def refused(issuer: IssuerServer) -> str:
    """Assert that no keys are found; return what is said."""
    with pytest.raises(IssuerUnavailable) as caught:
        await keys_of(issuer)
    return caught.value.message


@pytest.mark.parametrize("path", ["", "/", "/tenant", "/tenant/", "/realms/a"])
async def test_keys_are_found_from_the_issuers_name(path: str) -> None:
    """OpenID Connect Discovery 1.0 §4: a final slash is removed first."""
    with issuer_server(path=path) as issuer:
        assert await keys_of(issuer) == issuer.documents["/jwks"]
        assert issuer.requests == [path.rstrip("/") + OPENID, "/jwks"]


@pytest.mark.parametrize("path", ["", "/", "/tenant", "/tenant/"])
async def test_an_issuer_without_that_document_is_asked_for_the_other(path: str) -> None:
    """RFC 8414 §3: inserted between host and path, a final slash removed."""
    with issuer_server(path=path) as issuer:
        first, second = path.rstrip("/") + OPENID, OAUTH + path.rstrip("/")
        issuer.documents[second] = issuer.documents.pop(first)
        assert await keys_of(issuer) == issuer.documents["/jwks"]
        assert issuer.requests == [first, second, "/jwks"]


@pytest.mark.parametrize("mood", ["down", "error", "redirect", "html", "huge"])
async def test_only_an_absent_document_is_looked_for_elsewhere(mood: Any) -> None:
    """House: a failure is not an answer."""
    with issuer_server() as issuer:
        issuer.mood = mood
        await refused(issuer)
        assert set(issuer.requests) == {OPENID}


async def test_an_issuer_with_neither_document_is_unavailable() -> None:
    """House."""
    with issuer_server() as issuer:
        issuer.documents.clear()
        assert await refused(issuer) == f"{issuer.url}: answered 404"
        assert issuer.requests == [OPENID, OAUTH]


OTHER_ISSUERS = {
    "none": lambda url: None,
    "slash": lambda url: url + "/",
    "case": lambda url: url.upper(),
    "name": lambda url: url.replace("127.0.0.1", "localhost"),
    "list": lambda url: [url],
    "path": lambda url: url + "/tenant",
}


@pytest.mark.parametrize("other", OTHER_ISSUERS.values(), ids=OTHER_ISSUERS)
async def test_the_document_is_of_this_issuer_character_for_character(other: Any) -> None:
    """OpenID Connect Discovery 1.0 §4.3; RFC 8414 §3.3."""
    with issuer_server() as issuer:
        metadata = {"issuer": other(issuer.url), "jwks_uri": issuer.jwks_url}
        issuer.documents[OPENID] = json.dumps(metadata).encode()
        assert "of another issuer" in await refused(issuer)
        assert issuer.asked() == 0


@pytest.mark.parametrize(
    "document",
    [b"", b"[]", b"null", b"<html>", b'{"issuer":"$","issuer":"$","jwks_uri":"$/jwks"}'],
    ids=["empty", "list", "null", "html", "issuer-twice"],
)
async def test_the_document_is_strict_json(document: bytes) -> None:
    """House: what two parsers read differently is no answer."""
    with issuer_server() as issuer:
        issuer.documents[OPENID] = document.replace(b"$", issuer.url.encode())
        assert "strict JSON" in await refused(issuer)


BAD_PLACES: dict[str, Any] = {
    "none": None,
    "empty": "",
    "list": ["https://127.0.0.1/jwks"],
    "relative": "/jwks",
    "plain": "http://a.test/jwks",
    "file": "file:///etc/passwd",
    "scheme-less": "//127.0.0.1/jwks",
    "user": "https://user:secret@127.0.0.1/jwks",
    "fragment": "https://127.0.0.1/jwks#a",
    "space": "https://127.0.0.1/jw ks",
    "backslash": "https://127.0.0.1\\@a.test/jwks",
    "line": "https://127.0.0.1/jwks\n",
    "no-host": "https:///jwks",
    "no-host-query": "https:?/127.0.0.1/jwks",
    "port": "https://127.0.0.1:port/jwks",
    "fragment-in-query": "https://127.0.0.1/jwks?a#b",
    "second-query": "https://127.0.0.1/jwks?a?b",
}


@pytest.mark.parametrize("place", BAD_PLACES.values(), ids=BAD_PLACES)
async def test_keys_are_fetched_from_a_plain_https_url_only(place: Any) -> None:
    """OpenID Connect Discovery 1.0 §3: jwks_uri MUST use https; House: read the same by all."""
    with issuer_server() as issuer:
        metadata = {"issuer": issuer.url, "jwks_uri": place}
        issuer.documents[OPENID] = json.dumps(metadata).encode()
        said = await refused(issuer)
        assert (issuer.requests, "jwks_uri" in said, "secret" in said) == ([OPENID], True, False)


async def test_keys_may_be_chosen_by_a_query() -> None:
    """RFC 8414 §2: jwks_uri is a URL; some providers choose a policy's keys so."""
    with issuer_server() as issuer:
        metadata = {"issuer": issuer.url, "jwks_uri": f"{issuer.jwks_url}?p=policy-1"}
        issuer.documents[OPENID] = json.dumps(metadata).encode()
        issuer.documents["/jwks?p=policy-1"] = b"keys"
        assert await keys_of(issuer) == b"keys"


async def test_an_issuer_elsewhere_may_not_send_us_to_this_machine_without_tls(
    tmp_path: Path,
) -> None:
    """House: http is for an issuer on loopback itself."""
    with issuer_server(tls=tmp_path) as issuer, issuer_server() as local:
        metadata = {"issuer": issuer.url, "jwks_uri": local.jwks_url}
        issuer.documents[OPENID] = json.dumps(metadata).encode()
        with anyio.fail_after(10), pytest.raises(IssuerUnavailable) as caught:
            await discovered(issuer.url, ca_file=issuer.ca_file)()
        assert caught.value.message == f"{issuer.url}: jwks_uri is not https"
        assert local.requests == []


async def test_keys_that_move_are_followed_with_the_next_fetch() -> None:
    """House: no restart."""
    with issuer_server() as issuer:
        fetch = discovered(issuer.url)
        with anyio.fail_after(10):
            await fetch()
            issuer.documents["/new"] = b"new"
            metadata = {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/new"}
            issuer.documents[OPENID] = json.dumps(metadata).encode()
            assert await fetch() == b"new"


async def test_both_requests_believe_the_authorities_of_the_file(tmp_path: Path) -> None:
    """House: pinned."""
    with issuer_server(tls=tmp_path) as issuer:
        assert await keys_of(issuer, ca_file=issuer.ca_file) == issuer.documents["/jwks"]
        await refused(issuer)
        assert issuer.requests == [OPENID, "/jwks"]


async def test_the_token_is_shown_to_the_issuers_own_origin_only(tmp_path: Path) -> None:
    """House: a document must not send our token to somebody else."""
    file = tmp_path / "token"
    await anyio.Path(file).write_text("mine")
    with issuer_server() as issuer, issuer_server() as other:
        await keys_of(issuer, token_file=file)
        assert [seen["authorization"] for seen in issuer.headers] == ["Bearer mine"] * 2
        metadata = {"issuer": issuer.url, "jwks_uri": other.jwks_url}
        issuer.documents[OPENID] = json.dumps(metadata).encode()
        assert await keys_of(issuer, token_file=file) == other.documents["/jwks"]
        assert "authorization" not in other.headers[0]


async def test_a_failure_at_the_keys_is_said_of_where_they_are() -> None:
    """House."""
    with issuer_server() as issuer, issuer_server() as other:
        other.mood = "down"
        metadata = {"issuer": issuer.url, "jwks_uri": other.jwks_url}
        issuer.documents[OPENID] = json.dumps(metadata).encode()
        assert (await refused(issuer)).startswith(f"{other.url}: did not give a whole answer")


async def test_a_slow_issuer_is_left_within_five_seconds_in_all() -> None:
    """House: discovery and keys share one deadline."""
    with issuer_server() as issuer:
        issuer.mood = "slow"
        with anyio.fail_after(8), pytest.raises(IssuerUnavailable) as caught:
            await discovered(issuer.url)()
        assert caught.value.message == f"{issuer.url}: took longer than 5 seconds"


@pytest.mark.parametrize(
    "issuer", ["issuer", "http://a.test", "https://a.test?b", "https://a@b.test", ""]
)
def test_an_issuer_that_is_no_plain_https_url_cannot_be_discovered(issuer: str) -> None:
    """OpenID Connect Discovery 1.0 §2: https, no query, no fragment."""
    with pytest.raises(SettingsError):
        discovered(issuer)
