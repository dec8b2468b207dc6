"""The ASGI application of one listener: admit, gather the credential, walk the line, answer.

What may vouch for a caller's certificate is known by where a request came in: a listener of a
terminator's own, or the address of one on loopback. While a call walks, its caller is watched: when
it leaves, the walk is cancelled, and with it the upstream exchange, also before the upstream's head
has come. https://asgi.readthedocs.io (HTTP 2.3). Does not start a server, does not verify.
"""

import logging
from collections.abc import Mapping, MutableMapping
from typing import Any, Final

import anyio

from gateway.app.body import Receive, read_body
from gateway.app.caller import ASGICaller, Send
from gateway.app.credentials import credential
from gateway.app.endpoints import OwnEndpoints
from gateway.app.metrics import Metrics
from gateway.core.call import CREDENTIAL_HEADERS, Request
from gateway.core.canonical import digest
from gateway.core.errors import WireError
from gateway.pipeline import walk
from gateway.wire.admission import Head, admit
from gateway.wiring import Gateway

Scope = MutableMapping[str, Any]

_LOG = logging.getLogger(__name__)
MAX_TARGET: Final = 256
"""Longest request target that a record shows, in bytes; one that can be served is far shorter."""


class App:
    """The gateway as an ASGI application.

    Args:
        gateway: what takes the calls.
        terminator: the TLS terminator whose own listener this is; None on the data-plane listener.
    """

    def __init__(self, gateway: Gateway, terminator: str | None = None) -> None:
        self._gateway = gateway
        self._terminator = terminator
        settings = gateway.settings
        self._peers = (
            {one.peer: one.name for one in settings.terminators if one.peer is not None}
            if terminator is None
            else {}
        )
        self._server = settings.server
        self._hosts = self._server.accepted_hosts()
        self._origins = frozenset(self._server.origins)
        self._endpoints = OwnEndpoints(settings, gateway.health, Metrics(gateway).text)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        caller = ASGICaller(send)
        head = Head(
            scope["method"], scope["raw_path"], scope["query_string"], tuple(scope["headers"])
        )
        if self._endpoints.own(head.raw_path):
            vouched = self._from_terminator(scope) is not None
            await self._endpoints.answer(head, caller, vouched=vouched)
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
        terminator = self._from_terminator(scope)
        seen: dict[str, Any] = {
            "method": head.method,
            "target": _target(head),
            "system": "",
            "headers": {},
            "body": b"",
            "source": self._source(scope),
        }
        try:
            admitted = admit(head, self._hosts, self._origins, vouched=terminator is not None)
            seen |= {
                "system": admitted.system,
                "resource": self._server.resource(admitted.system),
                "headers": _without_credential(admitted.headers),
                "source": admitted.source or seen["source"],
            }
            presented = credential(admitted.headers, terminator)
            seen["body"] = await read_body(receive, admitted.headers, self._server)
        except WireError as refused:
            return Request(**seen), refused
        return Request(**seen, credential=presented), None

    def _from_terminator(self, scope: Scope) -> str | None:
        """Return which terminator the request came from, None if from none."""
        return self._terminator or self._peers.get(_peer(scope))

    def _source(self, scope: Scope) -> str:
        """Return where the request came from, as far as we see it ourselves.

        Behind a terminator's own listener that is the terminator, wherever its instances run.
        """
        return f"terminator {self._terminator}" if self._terminator else _peer(scope)


def _peer(scope: Scope) -> str:
    return str((scope.get("client") or ("",))[0])


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
    return {name: value for name, value in headers.items() if name not in CREDENTIAL_HEADERS}


async def _cancel_when_left(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
