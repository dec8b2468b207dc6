"""The gateway's own endpoints: health, metrics, what a client must know to be let in (RFC 9728).

Nothing here needs a credential, tells a secret, or is recorded. Does not take calls.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from gateway.app.caller import ASGICaller
from gateway.app.metrics import CONTENT_TYPE
from gateway.core.errors import AdmissionRefused
from gateway.settings import Settings
from gateway.settings.urls import is_loopback
from gateway.wire.admission import Head, admit_own
from gateway.wire.challenge import PROOF_ALGORITHMS
from gateway.wire.protected_resource import WELL_KNOWN, metadata, metadata_url

_OWN: Final = "/-/"
_METADATA_SECONDS: Final = 300
"""How long a client may keep metadata: they change with settings, so with a restart only."""


class OwnEndpoints:
    """What the gateway answers by itself."""

    def __init__(
        self,
        settings: Settings,
        health: Callable[[], Mapping[str, bool]],
        metrics: Callable[[], bytes],
    ) -> None:
        self._health, self._metrics = health, metrics
        self._hosts = settings.server.accepted_hosts()
        self._origins = frozenset(settings.server.origins)
        self._metadata = _metadata_by_path(settings)

    @staticmethod
    def own(path: bytes) -> bool:
        """Say whether a path is the gateway's, rather than a system's."""
        return path.startswith((_OWN.encode(), WELL_KNOWN.encode()))

    async def answer(self, head: Head, caller: ASGICaller, *, vouched: bool) -> None:
        """Answer a request to an endpoint of our own; `vouched` as for `admit`."""
        try:
            admit_own(head, self._hosts, self._origins, vouched=vouched)
        except AdmissionRefused as refused:
            return await _refuse(caller, refused.http_status, refused.reason_code, refused.message)
        # A byte that is not ASCII is in no path of ours.
        path = head.raw_path.decode("ascii", "replace")
        if path.startswith(_OWN):
            await self._tell_state(head.method, path, caller)
        else:
            await self._tell_metadata(head.method, path, caller)

    async def _tell_state(self, method: str, path: str, caller: ASGICaller) -> None:
        if method == "GET" and path == "/-/metrics":
            await caller.start(200, {"content-type": CONTENT_TYPE, "cache-control": "no-store"})
            await caller.finish(self._metrics())
        elif method != "GET" or path not in ("/-/health/live", "/-/health/ready"):
            await _refuse(caller, 404, "not_found", "no such endpoint")
        elif path == "/-/health/live":
            await caller.json(200, {"status": "live"})
        else:
            parts = self._health()
            ready = all(parts.values())
            document = {"status": "ready" if ready else "not_ready", "parts": parts}
            await caller.json(200 if ready else 503, document)

    async def _tell_metadata(self, method: str, path: str, caller: ASGICaller) -> None:
        document = self._metadata.get(path)
        if document is None:
            await _refuse(caller, 404, "not_found", "no such endpoint")
        elif method != "GET":
            allow = {"allow": "GET"}
            await _refuse(caller, 405, "method_refused", "metadata are read by GET", allow)
        else:
            keeping = {"cache-control": f"max-age={_METADATA_SECONDS}"}
            await caller.json(200, document, keeping)


def _metadata_by_path(settings: Settings) -> Mapping[str, Mapping[str, Any]]:
    documents: dict[str, Mapping[str, Any]] = {}
    issuers = _authorization_servers(settings)
    for name, system in settings.systems.items():
        resource = settings.server.resource(name)
        documents[urlsplit(metadata_url(resource)).path] = metadata(
            resource,
            name,
            issuers=issuers,
            scopes=system.scopes,
            proof_algorithms=PROOF_ALGORITHMS,
            proof_required=system.proof == "dpop",
            certificates=bool(settings.terminators),
        )
    return documents


def _authorization_servers(settings: Settings) -> list[str]:
    """Return the issuers that a client could ask for a token: by URL, for authentication."""
    names = [one.issuer for one in settings.issuers if one.profile != "transaction"]
    if settings.dev_issuer:
        names.append(settings.dev_issuer.issuer)
    return [name for name in names if _is_issuer_url(name)]


def _is_issuer_url(name: str) -> bool:
    """Say whether a name is an issuer identifier (RFC 8414 §2), or one on loopback."""
    try:
        parts = urlsplit(name)
        host = parts.hostname
    except ValueError:
        return False
    if not host or "?" in name or "#" in name:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))


async def _refuse(
    caller: ASGICaller,
    status: int,
    code: str,
    message: str,
    headers: Mapping[str, str] | None = None,
) -> None:
    await caller.json(status, {"error": {"code": code, "message": message}}, headers)
