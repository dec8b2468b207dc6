"""`bailiwick policy`: a bundle from folder to signed archive, checked and tested on the way."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

from gateway.cli import bundles, output, self_tests
from gateway.cli.options import Json
from gateway.core.errors import SettingsError
from gateway.evidence.disk import write_new
from gateway.identity import bundle_key
from gateway.policy import build as building
from gateway.policy import checking, opa_tool, rego_tests
from gateway.policy.build import Signing
from gateway.policy.bundle import Bundle, read_files
from gateway.policy.rego_tests import FAILED, PASSED, SKIPPED, Result
from gateway.settings import Signature

app = typer.Typer(
    help="Check, test, build and sign a policy bundle.",
    no_args_is_help=True,
)

HOW_TO_GET_OPA: Final = (
    "set OPA_BIN, or put opa on PATH or at .tools/bin/opa; "
    "https://www.openpolicyagent.org/docs/latest/#1-download-opa"
)

BundlePath = Annotated[Path, typer.Argument(help="The bundle: a folder, or an archive.")]
Algorithm = Annotated[
    str, typer.Option(help="RS, PS or ES with 256, 384 or 512, as the key is.", metavar="ALG")
]
KeyId = Annotated[str, typer.Option("--key-id", help="What the signature calls the key.")]
Scope = Annotated[str, typer.Option(help="What the signature is for; gateways compare it.")]
POLICY: Final = Path("policy")


@app.callback()
def policy() -> None:
    """Group the commands about policy bundles."""


@app.command()
def check(
    bundle: BundlePath = POLICY,
    require_opa: Annotated[
        bool, typer.Option("--require-opa", help="Fail if OPA is not there to check with.")
    ] = False,
    key: Annotated[
        Path | None, typer.Option(help="Public key (PEM): check the signature with it.")
    ] = None,
    algorithm: Algorithm = "RS256",
    key_id: KeyId = "default",
    scope: Scope = "",
    json: Json = False,
) -> None:
    """Say what is wrong with a bundle, by file and line.

    Rules may call only functions that answer alike in every engine and every time: no clock, no
    network, no chance. With OPA at hand they are also compiled strictly, typed by the schema of the
    input, and held against `opa fmt`; without it the output says what was not checked.

    Exit status 1 if a rule does what it may not, 2 if the bundle cannot be used at all.
    """
    binary = opa_tool.find()
    if require_opa and binary is None:
        raise SettingsError(f"{opa_tool.MISSING}: {HOW_TO_GET_OPA}")
    verify = _verify(key, algorithm, key_id, scope) if key else None
    with bundles.naming(bundle):
        found = checking.check(bundle, verify, binary)
    if json:
        output.as_json(_checked(found, binary))
    else:
        for finding in found.findings:
            output.say(bundles.placed(bundle, str(finding)), style="red")
        if found.bundle:
            output.say(f"sound: {_named(found.bundle)}")
    for sentence in found.not_checked:
        output.note(f"NOT CHECKED: {sentence}")
    if binary is None:
        output.note(f"to check that as well: {HOW_TO_GET_OPA}")
    if found.bundle:
        _warn(found.bundle)
    for sentence in bundles.unread(bundle):
        output.note(sentence)
    if found.findings:
        raise typer.Exit(1)


@app.command()
def test(
    bundle: BundlePath = POLICY,
    engine: Annotated[
        Literal["opa", "embedded"] | None,
        typer.Option(help="Where to run them; OPA if it is there, else the embedded engine."),
    ] = None,
    json: Json = False,
) -> None:
    """Run the tests of a bundle: `*_test.rego`, and `selftest/`.

    A test is a rule that begins with `test_`, and holds if it is true; the bundle's charters and
    systems are there as data. The self-tests are asked of the embedded engine, and a gateway serves
    only if all hold. Exit status 1 if a test fails, or if there is no `*_test.rego`.
    """
    binary = opa_tool.find()
    if engine == "opa" and binary is None:
        raise SettingsError(f"{opa_tool.MISSING}: {HOW_TO_GET_OPA}")
    loaded, (files, _) = bundles.load(bundle), read_files(bundle, everything=False)
    if binary is not None and engine != "embedded":
        name, results = "opa", rego_tests.in_opa(binary, loaded, files)
    else:
        name, results = "embedded", rego_tests.embedded(loaded, files)
    asked = self_tests.ask(loaded)
    if json:
        output.as_json({
            "engine": name,
            "results": [asdict(result) for result in results],
            "self_tests": [asdict(one) for one in asked],
        })  # fmt: skip
    else:
        _table(name, results)
        self_tests.show(asked)
    skipped = sum(result.outcome == SKIPPED for result in results)
    if skipped:
        output.note(f"{output.counted(skipped, 'test')} NOT RUN: system/ is for OPA only")
    if not results:
        output.note("the bundle holds no tests")
    if (
        not results
        or any(result.outcome == FAILED for result in results)
        or not all(one.passed for one in asked)
    ):
        raise typer.Exit(1)


@app.command()
def build(
    bundle: BundlePath = POLICY,
    out: Annotated[Path, typer.Option("--out", "-o", help="The archive.")] = Path("bundle.tar.gz"),
    revision: Annotated[
        str | None, typer.Option(help="Instead of the manifest's, like 2026.11.24-1.")
    ] = None,
    sign_key: Annotated[
        Path | None,
        typer.Option(
            "--key", "--sign-key", help="Private key (PEM) to sign with; without it, unsigned."
        ),
    ] = None,
    algorithm: Algorithm = "RS256",
    key_id: KeyId = "default",
    scope: Scope = "",
    force: Annotated[bool, typer.Option("--force", help="Replace OUT if it is there.")] = False,
    json: Json = False,
) -> None:
    """Make one archive of a bundle, for gateways and for OPA.

    It holds the folder's files and a `data.json` for OPA made of charters and systems. The same
    folder always gives the same bytes, and archive and folder have the same digest. Gateways refuse
    a revision that is older than one they have had, so raise it with every change.

    A charter that is incomplete denies everything and is built with a warning; anything else that
    is wrong is refused (exit status 2), and nothing is written.
    """
    signing = _signing(sign_key, algorithm, key_id, scope) if sign_key else None
    with bundles.naming(bundle):
        made = building.build(bundle, out, revision=revision, signing=signing, force=force)
    for sentence in bundles.unread(bundle):
        output.note(sentence)
    _report(made, json)
    if signing is None:
        output.note(f"{out} is not signed; `bailiwick policy sign` signs it")


@app.command()
def sign(
    bundle: BundlePath,
    key: Annotated[Path, typer.Option(help="Private key (PEM).")],
    algorithm: Algorithm = "RS256",
    key_id: KeyId = "default",
    scope: Scope = "",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="A new archive, instead of in place.")
    ] = None,
    json: Json = False,
) -> None:
    """Sign a bundle as OPA does, so that gateways and OPA can verify it.

    An archive is written anew with the signature in it, a folder gets a `.signatures.json`; an
    older signature is replaced. Every file is signed, also those that no engine reads, and a file
    that comes later breaks the signature. Keep the key where the gateways are not.
    """
    signing = _signing(key, algorithm, key_id, scope)
    with bundles.naming(bundle):
        made = building.sign(bundle, signing, out)
    _report(made, json)


@app.command()
def keygen(
    file: Annotated[Path, typer.Argument(help="Where the private key goes; .pub is added to it.")],
    algorithm: Algorithm = "RS256",
) -> None:
    """Make a key pair for signing bundles (PEM).

    The public file goes to the gateways ([policy.signature] of their settings, with the same
    algorithm) and to OPA (--verification-key); whoever has the private one can write policy.
    """
    private, public = bundle_key.generate(algorithm)
    beside = file.with_name(file.name + ".pub")
    try:
        write_new(file, private)
        try:
            write_new(beside, public)
            beside.chmod(0o644)  # OPA and gateways, who are other users, verify with it.
        except OSError:
            file.unlink()  # Half a pair would only be taken for one.
            raise
    except FileExistsError as exc:
        raise SettingsError(f"{exc.filename}: is there already, and a key is kept") from exc
    except OSError as exc:
        raise SettingsError(f"{exc.filename}: cannot be written ({exc.strerror})") from exc
    output.say(f"wrote {file}")
    output.say(f"wrote {beside}")


def _verify(
    key: Path, algorithm: str, key_id: str, scope: str
) -> Callable[[str], Mapping[str, Any]]:
    named: Any = bundle_key.known(algorithm)
    return bundle_key.verifier(Signature(key=key, algorithm=named, key_id=key_id, scope=scope))


def _signing(key: Path, algorithm: str, key_id: str, scope: str) -> Signing:
    return Signing(*bundle_key.signer(key, algorithm, key_id, scope))


def _report(made: Bundle, json: bool) -> None:
    if json:
        output.as_json({"path": str(made.path), **_identity(made)})
    else:
        output.say(f"wrote {_named(made)}")
        output.say(f"  digest {made.digest}")
        if made.archive_digest:
            output.say(f"  archive {made.archive_digest}")
        if made.signed_by:
            output.say(f"  signed with the key `{made.signed_by}`")
    _warn(made)


def _identity(made: Bundle) -> dict[str, Any]:
    return {
        "revision": made.revision,
        "digest": made.digest,
        "archive_digest": made.archive_digest,
        "signed_by": made.signed_by,
    }


def _named(made: Bundle) -> str:
    return f"{made.path}, revision {made.revision}"


def _warn(made: Bundle) -> None:
    for name in sorted(name for name, faults in made.faults.items() if faults):
        output.note(f"charter {name} is incomplete and denies everything; see `charter check`")


def _checked(found: checking.Checked, binary: str | None) -> dict[str, Any]:
    return {
        **(_identity(found.bundle) if found.bundle else {}),
        "opa": binary,
        "findings": [asdict(finding) for finding in found.findings],
        "not_checked": list(found.not_checked),
    }


def _table(engine: str, results: tuple[Result, ...]) -> None:
    outcomes: dict[str, Counter[str]] = {}
    for one in results:
        outcomes.setdefault(one.path, Counter())[one.outcome] += 1
    columns = ("file", PASSED, FAILED, SKIPPED)
    rows = [
        (path, *(str(counts[outcome] or "") for outcome in columns[1:]))
        for path, counts in outcomes.items()
    ]
    used = [at for at, _ in enumerate(columns) if any(row[at] for row in rows)]
    output.table([columns[at] for at in used], [[row[at] for at in used] for row in rows])
    for one in results:
        if one.outcome == FAILED:
            output.say(f"{one.path}:{one.line}: {one.name} {one.says}", style="red")
    failed = sum(one.outcome == FAILED for one in results)
    output.say(f"{output.counted(len(results), 'test')} in {engine}, {failed} failed")
