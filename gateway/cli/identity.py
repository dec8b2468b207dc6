"""`bailiwick identity`: why a credential is accepted or refused."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import anyio
import typer
from rich.text import Text

from gateway.cli import output
from gateway.cli.options import DEFAULT_SETTINGS, Json, SettingsPath
from gateway.core.claims import Claims, Credential, UnverifiedToken
from gateway.core.errors import IdentityError, SettingsError
from gateway.core.instant import iso
from gateway.identity.checking import Checked, check, forwarded
from gateway.settings import Settings, load
from gateway.wiring import SystemClock

app = typer.Typer(help="See how the gateway knows who is calling.", no_args_is_help=True)


@app.callback()
def identity() -> None:
    """Group the commands about identities."""


@app.command("check")
def check_credential(
    token: Annotated[
        str | None, typer.Argument(help="A token; - reads it from standard input.")
    ] = None,
    cert: Annotated[
        Path | None, typer.Option("--cert", help="A client certificate (PEM), its chain after it.")
    ] = None,
    system: Annotated[
        str | None, typer.Option("--system", help="The system to call; the first, if not given.")
    ] = None,
    terminator: Annotated[
        str | None, typer.Option("--terminator", help="Who forwards the certificate.")
    ] = None,
    dpop: Annotated[
        str | None, typer.Option("--dpop", help="The DPoP proof that comes with the token.")
    ] = None,
    settings: SettingsPath = DEFAULT_SETTINGS,
    json: Json = False,
) -> None:
    """Say step by step why a credential is accepted or refused.

    It is verified exactly as for a POST to that system, and never printed. What is in an argument
    can be seen by everybody on this machine: give a token that is still worth something by -.
    Exit status 0 if it is accepted, 1 if it is refused, 3 if that cannot be found out.
    """
    loaded = load(settings)
    credential = _credential(loaded, token, cert, terminator, dpop)
    checked = anyio.run(check, loaded, credential, _system(loaded, system), SystemClock())
    if json:
        output.as_json(_document(checked))
    else:
        _print(checked)
    if isinstance(checked.failure, IdentityError):
        raise typer.Exit(1)
    if checked.failure:
        raise typer.Exit(3)


def _credential(
    settings: Settings, token: str | None, cert: Path | None, vouching: str | None, dpop: str | None
) -> Credential:
    if token is None and cert is None:
        raise SettingsError("give a token, or --cert and a certificate, or both")
    text = sys.stdin.read().strip() if token == "-" else token  # noqa: S105 - no secret: "-"
    certificate = None
    if cert is not None:
        names = [known.name for known in settings.terminators]
        name = vouching or next(iter(names), "")
        if name not in names:
            raise SettingsError(
                f"certificates come by [[terminators]]; there is no {name!r}"
                if name
                else "certificates come by [[terminators]], and settings name none"
            )
        try:
            certificate = forwarded(cert.read_bytes(), name)
        except OSError as exc:
            raise SettingsError(f"{cert}: cannot be read ({exc.strerror})") from exc
    return Credential(
        token=UnverifiedToken(text) if text is not None else None,
        scheme="bearer" if dpop is None else "dpop",
        proof=UnverifiedToken(dpop) if dpop is not None else None,
        certificate=certificate,
    )


def _system(settings: Settings, name: str | None) -> str:
    if name is None:
        name = next(iter(settings.systems), "")
    if name not in settings.systems:
        known = ", ".join(settings.systems) or "none"
        raise SettingsError(f"there is no system {name!r} in settings ({known})")
    return name


def _document(checked: Checked) -> dict[str, Any]:
    failure, last = checked.failure, len(checked.steps)
    return {
        "accepted": failure is None,
        "code": failure.reason_code if failure else None,
        "message": failure.message if failure else None,
        "steps": [
            {"step": number, "title": title, "found": found, "ok": not (failure and number == last)}
            for number, (title, found) in enumerate(checked.steps, 1)
        ],
        "identity": checked.claims.as_evidence() if checked.claims else None,
    }


def _print(checked: Checked) -> None:
    failure, last = checked.failure, len(checked.steps)
    rows: list[Sequence[str | Text]] = []
    for number, (title, found) in enumerate(checked.steps, 1):
        failed = failure is not None and number == last
        verdict = output.coloured("no" if failed else "ok", "deny" if failed else "permit")
        rows.append([str(number), verdict, title, found])
    output.table(["step", "", "what is checked", "found"], rows)
    if failure:
        word = "refused" if isinstance(failure, IdentityError) else "not known"
        output.say(output.coloured(word, "deny"), f": {failure.message} ({failure.reason_code})")
    elif checked.claims:
        _print_claims(checked.claims)


def _print_claims(claims: Claims) -> None:
    output.say(output.coloured("accepted", "permit"), f": {claims.subject}")
    output.say(f"  vouched for by {claims.issuer}, as {claims.scheme}, proof: {claims.proof}")
    if claims.on_behalf_of:
        output.say(f"  acts for {claims.on_behalf_of} ({' ← '.join(claims.actors)})")
    if claims.scopes:
        output.say(f"  scopes: {' '.join(claims.scopes)}")
    output.say(f"  until {iso(claims.expires_at * 1_000_000_000)}")
    for flag in claims.flags:
        output.say("  ", output.coloured(flag, "hold"))
