"""A bundle that lies in a folder, read as its files.

Links that leave the folder and links to folders are refused: what lies elsewhere changes unseen.
Does not judge what the files say.
"""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from gateway.core.errors import BundleError
from gateway.policy.files import Collector, Files, is_read, limit_of, refuse_meaning_for_opa


def read(folder: Path, everything: bool) -> Files:
    """Return the files of a bundle's folder, by relative path.

    Args:
        folder: where the bundle lies.
        everything: also hidden files and those that no engine reads, as a signature covers them;
            without it, what is hidden is not even looked at.

    Raises:
        BundleError: naming the file and what is wrong with it.
    """
    found = Collector()
    try:
        inside = folder.resolve()
        for path in _walk(folder, everything):
            name = path.relative_to(folder).as_posix()
            refuse_meaning_for_opa(name)
            if everything or is_read(name):
                if not path.resolve().is_relative_to(inside):
                    raise BundleError(f"{path}: is a link that leaves the bundle")
                found.add(name, _content(path, name))
    except OSError as exc:
        raise BundleError(f"{exc.filename}: cannot be read ({exc.strerror})") from exc
    return found.files()


def _walk(folder: Path, everything: bool) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder, onerror=_raise):
        if not everything:
            folders[:] = [name for name in folders if not name.startswith(".")]
        for name in folders:
            # os.walk does not enter it, and rules that are not read would not be missed.
            if (linked := Path(parent, name)).is_symlink():
                raise BundleError(f"{linked}: is a link to a folder; copy the folder instead")
        for name in names:
            yield Path(parent, name)


def _raise(error: OSError) -> None:
    raise error


def _content(path: Path, name: str) -> bytes:
    # O_NONBLOCK: a pipe in the folder must not make anybody wait.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        return file.read(limit_of(name) + 1)
