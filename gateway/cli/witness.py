"""`bailiwick witness`: run a witness for logs that belong to somebody else."""

import base64
import binascii
import logging
import os
import secrets
import socket
from contextlib import closing
from pathlib import Path
from typing import Annotated

import anyio
import typer

from gateway.app.server import bind
from gateway.app.server import serve as listen
from gateway.cli import output
from gateway.cli.options import Json
from gateway.cli.serve import PlainFormatter
from gateway.core.errors import SettingsError, VerificationError
from gateway.core.note import SigningKey, VerifierKey
from gateway.evidence.disk import write_new
from gateway.settings import Server
from gateway.wiring import SystemClock
from gateway.witness.asgi import WitnessApp
from gateway.witness.conflicts import Conflicts
from gateway.witness.memory import Memory
from gateway.witness.state import Witness

app = typer.Typer(
    help="Be a second place that remembers checkpoints.",
    no_args_is_help=True,
)


@app.callback()
def witness() -> None:
    """Group the commands about witnesses."""


@app.command()
def keygen(
    file: Annotated[Path, typer.Argument(help="Where the private key goes; not overwritten.")],
    name: Annotated[
        str, typer.Option(help="Who the witness is, like a URL without its scheme.")
    ] = "witness.invalid/bailiwick",
) -> None:
    """Make a witness's key and print its verifier key (vkey).

    The vkey is what gateways (`key` of [[evidence.anchors]]) and auditors need; the file never
    leaves the witness's host. Use a key for one witness only.
    """
    seed = secrets.token_bytes(32)
    try:
        vkey = str(SigningKey(name, seed).witness)
    except VerificationError as exc:
        raise SettingsError(f"--name: {exc.message}") from exc
    try:
        write_new(file, base64.b64encode(seed) + f"\n{name}\n".encode())
    except OSError as exc:
        raise SettingsError(f"{file}: the key cannot be written ({exc.strerror})") from exc
    output.OUT.out(output.printable(vkey), highlight=False)


@app.command()
def serve(
    folder: Annotated[Path, typer.Option(help="What it remembers; made if missing.")],
    key: Annotated[Path, typer.Option(help="Private key, from `bailiwick witness keygen`.")],
    log: Annotated[
        list[str],
        typer.Option(metavar="VKEY", help="A log's vkey; again for each further one."),
    ],
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 8090,
    json: Json = False,
) -> None:
    """Run a witness until SIGTERM or ctrl-C.

    It speaks https://c2sp.org/tlog-witness. It cosigns a checkpoint only if that continues the one
    it cosigned before, and keeps what it refused in FOLDER/conflicts. Run it where the log's owner
    has no access, behind a proxy that speaks TLS, and never lose or restore FOLDER: a witness that
    forgets proves nothing.

    When a log gets a new key, give the new vkey after the old one; once the new key has signed, the
    old one is refused. With --json, one line on stdout says when connections are accepted.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(PlainFormatter("bailiwick: %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    signing, logs = _signing_key(key), [_log_key(vkey) for vkey in log]
    listener = Server(host=host, port=port)
    with bind(listener) as bound, closing(Memory(folder)) as memory:
        made = Witness(signing, logs, memory, Conflicts(folder), SystemClock())
        anyio.run(_run, made, signing.witness, listener, bound, json)


async def _run(
    made: Witness, vkey: VerifierKey, listener: Server, bound: socket.socket, json: bool
) -> None:
    # Asked now: `listen` takes the socket over.
    own = Server(host=listener.host, port=bound.getsockname()[1])
    url = f"http://{own.address}"

    def announce() -> None:
        if json:
            output.as_json({"url": url, "vkey": str(vkey), "process_id": os.getpid()})
            return
        output.note(f"witness {vkey} on {url}")
        for line in made.about().splitlines()[2:]:
            output.note(f"  {line}")

    await listen(WitnessApp(made), own, bound, announce)
    output.note("stopped")


def _signing_key(path: Path) -> SigningKey:
    try:
        if path.stat().st_mode & 0o077:
            raise SettingsError(f"{path}: others can read this key; chmod 600, and replace it")
        seed, _, name = path.read_text("utf-8").partition("\n")
        return SigningKey(name.removesuffix("\n"), base64.b64decode(seed, validate=True))
    except OSError as exc:
        raise SettingsError(f"{path}: the key cannot be read ({exc.strerror})") from exc
    except (binascii.Error, ValueError, VerificationError) as exc:
        raise SettingsError(f"{path}: is not a key of `bailiwick witness keygen`") from exc


def _log_key(vkey: str) -> VerifierKey:
    try:
        return VerifierKey.parse(vkey)
    except VerificationError as exc:
        raise SettingsError(f"--log: {exc.message}") from exc
