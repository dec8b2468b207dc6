"""Bundles as commands read them: every file is named by a path that a person can open.

Does not say what is wrong with a bundle: see `gateway.policy.bundle`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.core.errors import BundleError, SettingsError
from gateway.policy.bundle import Bundle
from gateway.policy.bundle import load as read


def load(path: Path) -> Bundle:
    """Read a bundle, whoever signed it.

    Raises:
        SettingsError: nothing lies there.
        BundleError: what is wrong, and in which file.
    """
    with naming(path):
        return read(path)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let what is raised inside name files by way of the bundle's path.

    Raises:
        SettingsError: nothing lies there.
        BundleError: as raised inside.
    """
    if not path.exists():
        raise SettingsError(f"{path}: is not there; name the policy bundle, a folder or an archive")
    try:
        yield
    except BundleError as exc:
        raise BundleError(placed(path, exc.message), code=exc.reason_code) from exc


def placed(path: Path, message: str) -> str:
    """Return a message that begins with a file of the bundle, with the bundle's path before it."""
    file, colon, _ = message.partition(":")
    if not colon or message.startswith(str(path)):
        return message
    if " " in file and not (path / file).exists():
        return message  # It begins with words, such as `self-test …`.
    return f"{path}/{message}" if path.is_dir() else f"{path}: {message}"


def unread(path: Path) -> list[str]:
    """Return a sentence for each file of a folder that was meant to be read, and is not."""
    return [
        f"{file}: is not read, because of how it is called; call it {file.stem}.yaml"
        for kind in ("charters", "systems")
        for file in sorted((path / kind).glob("*.y*ml"))
        if file.suffix != ".yaml"
    ]
