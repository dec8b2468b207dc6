"""An anchor that is a witness: https://c2sp.org/tlog-witness, spoken as its client.

A witness keeps the newest checkpoint of our log and cosigns what is consistent with it. We believe
its cosignature, under the one key we were given, and nothing else in its answer; a size that it
says it holds is only where the next proof starts, and is forgotten after a conflict, so that each
try asks again and one lie silences nothing for good. If it holds more than we have, or a proof that
holds for our own tree does not convince it, then our log is not the one it knows:
`anchor_conflict`. No redirects, no proxies, https except on loopback. Does not judge how
independent the witness is.
"""

import ipaddress
import logging
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

import anyio
import httpx
from anyio import to_thread

from gateway.core.checkpoint import decimal
from gateway.core.errors import SettingsError, VerificationError
from gateway.core.merkle import Nodes
from gateway.core.note import COSIGNATURE, Note, Signature, VerifierKey, encode64
from gateway.evidence.anchoring.anchor import AnchorError, checked, conflict, continuing
from gateway.ports import Clock

DEADLINE_SECONDS: Final = 5.0
"""Longest time for one exchange."""
MAX_ANSWER_BYTES: Final = 64 * 1024
MAX_SKEW_SECONDS: Final = 300
"""How far the time in a cosignature may lie from ours; more, and it is not of now."""

_LOG = logging.getLogger(__name__)
_SIZE_TYPE = "text/x.tlog.size"


def http_client() -> httpx.AsyncClient:
    """Return a client fit for witnesses. Closed by its owner."""
    return httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=DEADLINE_SECONDS)


class WitnessAnchor:
    """A witness at a URL.

    Args:
        name: what settings call it.
        url: its submission prefix.
        key: the key that it cosigns with, of type `COSIGNATURE`.
        client: for the exchange; not closed here.
        clock: to judge the time in a cosignature.

    Raises:
        SettingsError: the URL is not https (http on loopback), or the key is not a witness's.
    """

    def __init__(
        self, name: str, url: str, key: VerifierKey, client: httpx.AsyncClient, clock: Clock
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" and not (parts.scheme == "http" and _loopback(parts.hostname)):
            raise SettingsError(f"anchor {name}: a witness is asked over https")
        if key.algorithm != COSIGNATURE:
            raise SettingsError(f"anchor {name}: this is a log's key, not a witness's (type 4)")
        self.name = name
        self._url = url.rstrip("/") + "/add-checkpoint"
        self._key, self._client, self._clock = key, client, clock
        self._held = 0
        """The size that the witness held when it last said so."""

    async def deliver(self, note: str, size: int, nodes: Nodes) -> str:
        """See `Anchor.deliver`; returns the note with the witness's cosignature."""
        # In threads: the disk may be slow, and the event loop serves calls.
        ours = await to_thread.run_sync(checked, note, size, nodes, abandon_on_cancel=True)
        for _ in range(2):
            old = self._held
            if old > size:
                raise self._conflict(f"it holds {old} records, we have {size}")
            proof = await to_thread.run_sync(continuing, ours, old, nodes, abandon_on_cancel=True)
            status, answer, kind = await self._post(_request(old, proof, note))
            if status == httpx.codes.OK:
                cosigned = self._cosigned(note, answer)
                self._held = size
                return cosigned
            if status == httpx.codes.UNPROCESSABLE_ENTITY:
                raise self._conflict(f"it does not know our first {old} records as they are")
            if status != httpx.codes.CONFLICT or kind != _SIZE_TYPE:
                raise self._failed(f"answered {status}")
            self._learn(answer, old, size)
        raise self._failed("holds another size each time it is asked")

    def _learn(self, answer: bytes, asked: int, size: int) -> None:
        """Take the size that the witness says it holds."""
        try:
            told = decimal(answer.decode("ascii").removesuffix("\n"))
        except ValueError as exc:
            raise self._failed("answered with a size that is none") from exc
        if told == asked == size:
            raise self._conflict(f"it knows another log of {told} records")
        if told < asked:
            _LOG.warning("anchor %s: forgot; it held %d records, now %d", self.name, asked, told)
        self._held = told

    async def _post(self, body: bytes) -> tuple[int, bytes, str]:
        """Return status, body and media type of the answer."""
        headers = {"content-type": "text/plain; charset=utf-8", "accept-encoding": "identity"}
        try:
            with anyio.fail_after(DEADLINE_SECONDS):
                async with self._client.stream(
                    "POST", self._url, content=body, headers=headers, follow_redirects=False
                ) as response:
                    kind = response.headers.get("content-type", "").partition(";")[0].strip()
                    return response.status_code, await self._read(response), kind
        except (httpx.HTTPError, TimeoutError) as exc:
            raise self._failed(f"cannot be reached ({type(exc).__name__})") from exc

    async def _read(self, response: httpx.Response) -> bytes:
        body = b""
        async for piece in response.aiter_raw():
            body += piece
            if len(body) > MAX_ANSWER_BYTES:
                raise self._failed("answered with too much")
        return body

    def _cosigned(self, note: str, answer: bytes) -> str:
        """Return the note with the cosignatures of our witness, and of nobody else."""
        try:
            heard = Note.parse(note.encode() + answer)
        except VerificationError as exc:
            raise self._failed("answered with something that is no cosignature") from exc
        seconds = heard.cosigned_at(self._key)
        if seconds is None:
            raise self._failed("answered without a cosignature of its key")
        if abs(seconds - self._clock.wall_ns() // 10**9) > MAX_SKEW_SECONDS:
            raise self._failed("cosigned with a time that is not now")
        own = (self._key.name, self._key.key_id)
        return note + "".join(_line(s) for s in heard.signatures if (s.name, s.key_id) == own)

    def _failed(self, why: str) -> AnchorError:
        return AnchorError(f"anchor {self.name}: the witness {why}")

    def _conflict(self, why: str) -> AnchorError:
        self._held = 0
        return conflict(self.name, f"the witness refuses our log: {why}")


def _request(old: int, proof: Sequence[bytes], note: str) -> bytes:
    """Return the body of `add-checkpoint`."""
    return "\n".join([f"old {old}", *map(encode64, proof), "", note]).encode()


def _line(signature: Signature) -> str:
    return f"— {signature.name} {encode64(signature.key_id + signature.blob)}\n"


def _loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
