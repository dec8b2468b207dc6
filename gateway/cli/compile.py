"""`bailiwick charter compile`: the charters of a bundle in another policy language.

Writes nothing unless everything can be written. Does not change the bundle.
"""

from pathlib import Path
from typing import Annotated, Literal

import typer

from gateway.cli import bundles, output
from gateway.core.errors import SettingsError


def compile_charters(
    to: Annotated[Literal["cedar"], typer.Option(help="The policy language.")],
    bundle: Annotated[Path, typer.Argument(help="The bundle: a folder, or an archive.")] = Path(
        "policy"
    ),
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the files; made if missing.")
    ] = Path("cedar"),
    force: Annotated[bool, typer.Option("--force", help="Write over files that exist.")] = False,
) -> None:
    """Write charters down in another policy language.

    One file a charter, and one schema for all of them. A call that the language cannot tell from a
    permitted one is denied by what is written, and named on stderr. Exit status 2 if the bundle
    cannot be read or a file cannot be written.
    """
    try:
        from gateway.policy.cedar.sources import sources
    except ImportError as exc:
        raise SettingsError('not installed: Cedar; pip install "bailiwick[cedar]"') from exc
    files, notes = sources(bundles.load(bundle))
    _write(out, files, force=force)
    for name in files:
        output.say(f"wrote {out / name}")
    for note in notes:
        output.note(note)


def _write(folder: Path, files: dict[str, str], *, force: bool) -> None:
    """Write every file, or none if one exists that may not be written over.

    Raises:
        SettingsError: naming the file.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in files:
            if not force and (folder / name).exists():
                raise SettingsError(f"{folder / name}: exists; --force writes over it")
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as exc:
        raise SettingsError(f"{exc.filename}: cannot be written ({exc.strerror})") from exc
