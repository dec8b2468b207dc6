"""`bailiwick token`: tokens of the development issuer."""

import time
from typing import Annotated

import typer

from gateway.cli import output
from gateway.cli.options import DEFAULT_SETTINGS, SettingsPath
from gateway.core.errors import SettingsError
from gateway.identity.dev import DEFAULT_LIFETIME_SECONDS, mint
from gateway.settings import MAX_LIFETIME_SECONDS, load

app = typer.Typer(help="Make tokens for trying things out on this machine.", no_args_is_help=True)


@app.callback()
def token() -> None:
    """Group the commands about tokens."""


@app.command("mint")
def mint_token(
    subject: Annotated[str, typer.Argument(help="The agent: a charter's `subject`.")],
    seconds: Annotated[
        int, typer.Option(min=1, max=MAX_LIFETIME_SECONDS, help="How long it lives.")
    ] = DEFAULT_LIFETIME_SECONDS,
    settings: SettingsPath = DEFAULT_SETTINGS,
) -> None:
    """Print a bearer token for an agent.

    It works only on a gateway that listens on loopback and has the same [dev_issuer].
    """
    if not subject.strip():
        raise SettingsError("the subject is empty; name an agent, as its charter's `subject` does")
    dev = load(settings).dev_issuer
    if dev is None:
        raise SettingsError(f"{settings}: there is no [dev_issuer]; ask your issuer for a token")
    output.OUT.out(mint(dev, subject, seconds, time.time_ns() // 1_000_000_000))
