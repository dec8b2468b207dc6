"""`bailiwick evidence keygen|rotate-key|vkey|responder-key`: the keys around the evidence."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import output
from gateway.cli.options import DEFAULT_SETTINGS, SettingsPath
from gateway.core.errors import SettingsError
from gateway.evidence.disk import write_new
from gateway.evidence.keeping import origin_of
from gateway.evidence.sealing import generate
from gateway.evidence.signer import KeyRing, add_epoch, create_keys
from gateway.settings import load


def keygen(
    folder: Annotated[Path, typer.Argument(help="A new folder.")],
) -> None:
    """Make the keys of a new log.

    One signs, one redacts. The folder may be there, but empty. Name it in settings as
    evidence.keys. Keep it off the evidence's disk, and keep a copy: a log goes on only with the key
    that it began with. (`bailiwick init` makes one as well.)
    """
    try:
        # After a rotation the first key is gone: it must not come back beside its successors.
        if folder.is_dir() and any(folder.iterdir()):
            raise SettingsError(f"{folder} is not empty; choose another folder")
        create_keys(folder)
    except OSError as exc:
        raise SettingsError(f"{folder}: cannot be written ({exc.strerror})") from exc
    output.say(f"wrote {folder}")


def rotate_key(settings: SettingsPath = DEFAULT_SETTINGS) -> None:
    """Make the signing key of the next epoch.

    The gateway takes it up when it starts next: the old key signs the new one in the log, and is
    then destroyed, so that nobody can sign the past with it.
    """
    folder = load(settings).evidence.keys
    try:
        epoch = add_epoch(folder)
    except OSError as exc:
        raise SettingsError(f"{folder}: cannot be written ({exc.strerror})") from exc
    output.say(f"wrote the key of epoch {epoch} to {folder}; restart the gateway to take it up")


def vkey(settings: SettingsPath = DEFAULT_SETTINGS) -> None:
    """Print the log's public key, for auditors and witnesses.

    One line for each epoch whose key is here, newest last: `bailiwick evidence verify --key VKEY`
    pins it.
    """
    evidence = load(settings).evidence
    keys = KeyRing(evidence.keys)
    for epoch in keys.epochs:
        output.say(str(keys.signer(origin_of(evidence), epoch).verifier))


def responder_key(
    file: Annotated[Path, typer.Argument(help="Where the private key goes; .pub is added to it.")],
) -> None:
    """Make a responder's key pair.

    What is redacted is sealed to it. Give the public file to the gateway (evidence.responder_key)
    and keep the private one elsewhere: the gateway writes what it cannot read, `bailiwick evidence
    open` reads it.
    """
    private, public = generate()
    beside = file.with_name(file.name + ".pub")
    try:
        write_new(file, private.encode("ascii"))
        try:
            write_new(beside, public.encode("ascii"))
        except OSError:
            file.unlink()  # Half a pair would only be taken for one.
            raise
    except OSError as exc:
        raise SettingsError(f"{exc.filename}: cannot be written ({exc.strerror})") from exc
    output.say(f"wrote {file}")
    output.say(f"wrote {beside}")
