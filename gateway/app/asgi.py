"""The ASGI application: admit, walk the line, answer; and the health endpoints.

While a call walks, its caller is watched: when it leaves, the walk is cancelled, and with it the
upstream exchange, also before the upstream's head has come. https://asgi.readthedocs.io (HTTP 2.3).
Does not start a server.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

import anyio

from gateway.app.body import Receive, read_body
from gateway.core.call import Request
from gateway.core.canonical import digest, dumps
from gateway.core.claims import UnverifiedToken
from gateway.core.errors import AdmissionRefused, WireError
from gateway.pipeline import walk
from gateway.wire.admission import Head, admit, admit_own
from gateway.wiring import Gateway

Scope = MutableMapping[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_LOG = logging.getLogger(__name__)
_OWN: Final = b"/-/"
MAX_TARGET: Final = 256
"""Longest request target that a record shows, in bytes; one that can be served is far shorter."""


class App:
    """The gateway as an ASGI application."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._server = gateway.settings.server
        self._hosts = self._server.accepted_hosts()
        self._origins = frozenset(self._server.origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        caller = ASGICaller(send)
        head = Head(
            scope["method"], scope["raw_path"], scope["query_string"], tuple(scope["headers"])
        )
        if head.raw_path.startswith(_OWN):
            await self._own(head, caller)
            return
        try:
            async with anyio.create_task_group() as tasks:
                request, refused = await self._admit(head, scope, receive)
                tasks.start_soon(_cancel_when_left, receive, tasks.cancel_scope)
                await walk(request, caller, self._gateway.ports, refused)
                tasks.cancel_scope.cancel()
        except Exception:
            # A bug must end as a refused call that says nothing about us.
            _LOG.exception("a call was refused because of an unforeseen error")
            await caller.refuse_unforeseen()

    async def _admit(
        self, head: Head, scope: Scope, receive: Receive
    ) -> tuple[Request, WireError | None]:
        """Return the request as far as it is known, and why it was not admitted, if it was not."""
        seen: dict[str, Any] = {
            "method": head.method,
            "target": _target(head),
            "system": "",
            "headers": {},
            "body": b"",
            "source": (scope.get("client") or ("",))[0],
        }
        try:
            admitted = admit(head, self._hosts, self._origins)
            seen |= {"system": admitted.system, "headers": _without_credential(admitted.headers)}
            seen["body"] = await read_body(receive, admitted.headers, self._server)
        except WireError as refused:
            return Request(**seen), refused
        return Request(**seen, credential=_bearer(admitted.headers)), None

    async def _own(self, head: Head, caller: "ASGICaller") -> None:
        """Answer a health check; nothing here needs a credential or tells a secret."""
        path = head.raw_path
        try:
            admit_own(head, self._hosts, self._origins)
        except AdmissionRefused as refused:
            error = {"code": refused.reason_code, "message": refused.message}
            return await caller.json(refused.http_status, {"error": error})
        if head.method != "GET" or path not in (b"/-/health/live", b"/-/health/ready"):
            await caller.json(404, {"error": {"code": "not_found", "message": "no such endpoint"}})
        elif path == b"/-/health/live":
            await caller.json(200, {"status": "live"})
        else:
            parts = self._gateway.health()
            ready = all(parts.values())
            document = {"status": "ready" if ready else "not_ready", "parts": parts}
            await caller.json(200 if ready else 503, document)


def _target(head: Head) -> str:
    """Return the target for the record; of a long one only its digest.

    Nobody may fill the disk without a credential, and a cut would leave the half of a secret that
    redaction does not know for one.
    """
    target = head.raw_path + (b"?" + head.query if head.query else b"")
    if len(target) > MAX_TARGET:
        return f"{len(target)} bytes, {digest(target)}"
    return target.decode("latin-1")


def _without_credential(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name != "authorization"}


def _bearer(headers: Mapping[str, str]) -> UnverifiedToken | None:
    """Return the bearer credential (RFC 6750 §2.1); the scheme's name has no case (RFC 9110)."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return UnverifiedToken(token.strip()) if scheme.lower() == "bearer" and token else None


async def _cancel_when_left(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


class ASGICaller:
    """The `Caller` port over ASGI's `send`. Owned by one request."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._started = False

    async def start(self, status: int, headers: Mapping[str, str]) -> None:
        """Write the head; a stream must not be buffered by anyone on its way."""
        self._started = True
        lines = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]
        if headers.get("content-type", "").startswith("text/event-stream"):
            lines.append((b"x-accel-buffering", b"no"))
        await self._send({"type": "http.response.start", "status": status, "headers": lines})

    async def write(self, piece: bytes) -> None:
        """Write part of the body."""
        await self._send({"type": "http.response.body", "body": piece, "more_body": True})

    async def finish(self, piece: bytes = b"") -> None:
        """Write the last part of the body."""
        await self._send({"type": "http.response.body", "body": piece, "more_body": False})

    async def abort(self) -> None:
        """Leave the answer unfinished: the server then closes the connection in mid-body."""

    async def json(self, status: int, document: Mapping[str, Any]) -> None:
        """Write a whole JSON answer."""
        await self.start(status, {"content-type": "application/json", "cache-control": "no-store"})
        await self.finish(dumps(document))

    async def refuse_unforeseen(self) -> None:
        """Answer 500, or leave a begun answer unfinished."""
        if not self._started:
            message = "the gateway failed; the call was refused or its answer withheld"
            await self.json(500, {"error": {"code": "internal_error", "message": message}})
