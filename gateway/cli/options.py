"""Options that several commands share, so that they are spelled and explained once."""

from pathlib import Path
from typing import Annotated

import typer

SettingsPath = Annotated[
    Path,
    typer.Option("--settings", "-s", help="Settings file.", envvar="BAILIWICK_SETTINGS"),
]
"""Where the settings are; the only thing that the environment can change."""

Json = Annotated[bool, typer.Option("--json", help="Write JSON for machines.")]

DEFAULT_SETTINGS = Path("bailiwick.toml")
