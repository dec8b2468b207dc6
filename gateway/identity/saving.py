"""The last good document of an issuer, on disk: a small JSON file that one gateway writes.

A file is written beside its name and then moved there, readable by its owner only, so that it is
whole or the one before. What is read back is believed no more than what an issuer sends: it is
bounded, strictly JSON, of the right issuer, and it says when it was read there. A file that is
anything else is as good as none. Does not decide how old a document may be.
"""

import base64
import binascii
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway.core.canonical import dumps, parse_object
from gateway.core.errors import MalformedMessage
from gateway.identity.jwks import MAX_BYTES

_LONGEST: Final = 2 * MAX_BYTES
_WRITABLE_BY_ALL: Final = 0o002


@dataclass(frozen=True, slots=True)
class Saved:
    """A document as it was kept."""

    name: str
    """Whose document it is."""
    read_at: int
    """Seconds since the Unix epoch at which its issuer was last known to stand by it."""
    document: bytes


def save(path: Path, saved: Saved) -> None:
    """Write the file, or leave the one before.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = base64.b64encode(saved.document).decode()
    content = dumps({"name": saved.name, "read_at": saved.read_at, "document": text})
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # A crash before this leaves the old file, one after it the new one.
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def restore(path: Path, name: str) -> Saved | None:
    """Return what was saved for `name`, None if there is nothing to be believed."""
    try:
        members = parse_object(_content(path))
        document = base64.b64decode(_member(members, "document", str), validate=True)
        saved = Saved(_member(members, "name", str), _member(members, "read_at", int), document)
    except (OSError, MalformedMessage, binascii.Error, ValueError):
        return None
    return saved if saved.name == name else None


def _content(path: Path) -> bytes:
    # Neither a link nor a pipe, which could stand there for somebody else's file or for none.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with open(os.open(path, flags), "rb") as file:
        status = os.fstat(file.fileno())
        # Keys are whom we believe: nobody else may have had a chance to write them.
        theirs = status.st_uid not in (os.geteuid(), 0) or status.st_mode & _WRITABLE_BY_ALL
        if theirs or not stat.S_ISREG(status.st_mode) or status.st_size > _LONGEST:
            raise ValueError("not a file of ours")
        return file.read(_LONGEST)


def _member(members: dict[str, Any], name: str, kind: type) -> Any:
    value = members.get(name)
    if type(value) is not kind:
        raise ValueError(f"{name} is not there or of another kind")
    return value
