"""The witness over HTTP, as a plain ASGI application.

`POST /add-checkpoint` (https://c2sp.org/tlog-witness) and `GET /`. Anybody may ask: the signature
on a checkpoint is all the authentication there is. A body is bounded in size and in time. What goes
wrong inside is answered with 500 and no cosignature. Does not start a server, and TLS is for a
proxy before it. https://asgi.readthedocs.io
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

import anyio
from anyio import to_thread

from gateway.core.errors import GatewayError
from gateway.witness.protocol import MAX_BODY_BYTES, Answer
from gateway.witness.state import Witness

BODY_SECONDS: Final = 10.0
"""Longest wait for a whole body."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_LOG = logging.getLogger(__name__)
_ADD: Final = "/add-checkpoint"


class WitnessApp:
    """A witness as an ASGI application."""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        try:
            answer = await self._answer(scope["method"], scope["path"], receive)
        except GatewayError as exc:
            _LOG.error("no cosignature: %s", exc.message)
            answer = Answer(500, "the witness cannot remember, so it does not cosign\n")
        except Exception:
            _LOG.exception("no cosignature, because of an unforeseen error")
            answer = Answer(500, "the witness failed\n")
        headers = [
            (b"content-type", answer.media_type.encode("ascii")),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
        ]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body.encode()})

    async def _answer(self, method: str, path: str, receive: Receive) -> Answer:
        if path not in ("/", _ADD):
            return Answer(404, "no such endpoint\n")
        if (method, path) == ("GET", "/"):
            return Answer(200, self._witness.about())
        if (method, path) != ("POST", _ADD):
            return Answer(405, "GET / or POST /add-checkpoint\n")
        body = await _body(receive)
        if isinstance(body, Answer):
            return body
        # Waits for the disk; a caller that leaves does not interrupt it.
        return await to_thread.run_sync(self._witness.add, body)


async def _body(receive: Receive) -> bytes | Answer:
    """Return the whole body, or the answer to one that is too long, too slow or cut short."""
    body = b""
    with anyio.move_on_after(BODY_SECONDS):
        while len(body) <= MAX_BODY_BYTES:
            message = await receive()
            if message["type"] == "http.disconnect":
                return Answer(400, "the body ended early\n")
            body += bytes(message.get("body", b""))
            if not message.get("more_body", False) and len(body) <= MAX_BODY_BYTES:
                return body
        return Answer(400, f"the body is longer than {MAX_BODY_BYTES} bytes\n")
    return Answer(408, "the body came too slowly\n")
