import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

from gateway.policy import documents
from gateway.starter import create
from tests.peers import Exchange, peer, response
from tests.unit.cli.conftest import CommandLine
from tests.unit.cli.test_foreign import is_harmless

ABOUT = ("--owner", "crm-team", "--domain", "crm", "--environment", "production")
TOOLS: list[dict[str, Any]] = [
    {"name": "read_customer", "annotations": {"readOnlyHint": True}},
    {"name": "delete_customer", "annotations": {"destructiveHint": True}},
]
API = """\
openapi: 3.1.0
paths:
  /customers/{id}:
    get: {operationId: read_customer}
    delete: {operationId: delete_customer}
"""


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """Return the settings of a gateway whose bundle is the shipped one."""
    return create(tmp_path / "gw", "http://127.0.0.1:1/mcp", 8080)[0]


@pytest.fixture
def api(tmp_path: Path) -> Path:
    """Return an OpenAPI file."""
    path = tmp_path / "api.yaml"
    path.write_text(API)
    return path


@contextmanager
def serving(tools: Sequence[Any], status: str = "200 OK") -> Iterator[str]:
    """Serve MCP 2026-07-28 with these tools while the block lasts; yield the endpoint."""

    async def answering(exchange: Exchange) -> bool:
        message = json.loads(exchange.received.body)
        said = {"jsonrpc": "2.0", "id": message["id"], "result": {"tools": tools}}
        await exchange.send(response(json.dumps(said).encode(), status=status))
        return True

    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(peer(answering)) as listening,
    ):
        yield listening.url


def at(settings: Path, url: str) -> tuple[object, ...]:
    """Return the options that name settings in which `crm` is at this URL."""
    settings.write_text(settings.read_text() + f'\n[systems.crm]\nurl = "{url}"\n')
    return "--settings", settings


def tools_of(file: Path) -> dict[str, Any]:
    """Return the tools that a catalogue file holds."""
    return dict(documents.read(str(file), file.read_text()).value["tools"])


def test_a_server_of_the_settings_is_drafted_into_their_bundle(
    bailiwick: CommandLine, settings: Path
) -> None:
    """Issue: `bailiwick systems import NAME` writes a draft, everything unclassified."""
    with serving(TOOLS) as url:
        done = bailiwick("systems", "import", "crm", *ABOUT, *at(settings, url))
    file = settings.parent / "policy" / "systems" / "crm.yaml"
    assert (done.status, done.err) == (0, f"bailiwick: {file}: written\n")
    assert " ".join(done.out.split()) == (
        "tool state effect claims consider "
        "read_customer new unclassified readOnly "
        "delete_customer new unclassified destructive delete or write; impacts deletion"
    )
    unclassified = {"effect": "unclassified", "impacts": []}
    assert tools_of(file) == dict.fromkeys(["read_customer", "delete_customer"], unclassified)
    assert (file.stat().st_mode & 0o777, [one.name for one in file.parent.iterdir()]) == (
        0o644,
        ["company.yaml", "crm.yaml"],
    )


def test_an_openapi_file_is_drafted_without_any_settings(
    bailiwick: CommandLine, tmp_path: Path, api: Path
) -> None:
    """Issue: or an OpenAPI file."""
    out = tmp_path / "crm.yaml"
    done = bailiwick("systems", "import", "crm", *ABOUT, "--openapi", api, "--out", out, "--json")
    assert done.status == 0
    assert json.loads(done.out) == {
        "system": "crm",
        "file": str(out),
        "protocol": "http",
        "tools": [
            {
                "name": "read_customer",
                "state": "new",
                "effect": "unclassified",
                "operation": "GET /customers/{id}",
                "claims": {},
                "consider": {"effects": ["read"], "impacts": [], "flags": []},
            },
            {
                "name": "delete_customer",
                "state": "new",
                "effect": "unclassified",
                "operation": "DELETE /customers/{id}",
                "claims": {},
                "consider": {"effects": ["delete"], "impacts": ["deletion"], "flags": []},
            },
        ],
        "left_out": [],
    }


def test_a_draft_can_go_to_standard_output(bailiwick: CommandLine, api: Path) -> None:
    """Issue: `-` prints to stdout, and nothing else does."""
    done = bailiwick("systems", "import", "crm", *ABOUT, "--openapi", api, "--out", "-")
    assert (done.status, done.err) == (0, "")
    read = documents.read("-", done.out).value
    assert list(read["tools"]) == ["delete_customer", "read_customer"]


def test_a_file_that_is_there_is_only_added_to(
    bailiwick: CommandLine, tmp_path: Path, api: Path
) -> None:
    """Issue: refuse unless --update; then new, known, gone."""
    out = tmp_path / "crm.yaml"
    out.write_bytes(
        b"protocol: http\r\ntools:\r\n"
        b"  read_customer: {effect: read, impacts: [], operation: 'GET /customers/{id}'} # mine\r\n"
        b"  old: {effect: read, impacts: [], operation: GET /old}\r\n"
    )
    out.chmod(0o600)
    before = out.read_bytes()
    refused = bailiwick("systems", "import", "crm", *ABOUT, "--openapi", api, "--out", out)
    assert (refused.status, refused.out, out.read_bytes()) == (2, "", before)
    args = ("systems", "import", "crm", "--openapi", api, "--update")
    done = bailiwick(*args, "--out", out)
    assert [line.split()[:2] for line in done.out.splitlines()[1:]] == [
        ["read_customer", "known"],
        ["delete_customer", "new"],
        ["old", "gone"],
    ]
    assert done.err == f"bailiwick: old: is not offered any more\nbailiwick: {out}: written\n"
    assert tools_of(out).keys() == {"read_customer", "delete_customer", "old"}
    assert all(line in out.read_bytes() for line in before.splitlines(keepends=True))
    assert out.stat().st_mode & 0o777 == 0o600
    again = bailiwick(*args, "--out", out)
    assert again.err.endswith(f"{out}: nothing to add\n")


def test_an_update_to_standard_output_writes_nothing(
    bailiwick: CommandLine, settings: Path, api: Path
) -> None:
    """House: a look before the change."""
    file = settings.parent / "policy" / "systems" / "crm.yaml"
    file.write_text("protocol: http\ntools:\n  a: {}\n")
    args = ("--openapi", api, "--update", "--out", "-", "--settings", settings)
    done = bailiwick("systems", "import", "crm", *args)
    assert done.status == 0 and "delete_customer:" in done.out
    assert file.read_text() == "protocol: http\ntools:\n  a: {}\n"


def test_what_the_server_raises_or_moves_is_pointed_out(
    bailiwick: CommandLine, tmp_path: Path, api: Path
) -> None:
    """Issue: hints can raise risk, also of what was reviewed."""
    out = tmp_path / "crm.yaml"
    out.write_text("protocol: mcp\ntools:\n  delete_customer: {effect: read, impacts: []}\n")
    with serving(TOOLS[1:]) as url:
        done = bailiwick("systems", "import", "crm", "--url", url, "--update", "--out", out)
    assert "delete_customer: is classified read, and the server calls it destructive" in done.err
    out.write_text("protocol: http\ntools:\n  read_customer: {operation: GET /c}\n")
    done = bailiwick("systems", "import", "crm", "--openapi", api, "--update", "--out", out)
    assert "read_customer: is GET /customers/{id} now; the file keeps the old one" in done.err


def test_nothing_that_a_server_says_reaches_the_terminal_raw(
    bailiwick: CommandLine, tmp_path: Path
) -> None:
    """House: hostile text in names and descriptions, on every way out."""
    hostile = "x\x1b]0;own\x07\u202e\u2028\n"
    tools = [{"name": hostile}, {"name": "a", "title": hostile, "description": hostile}]
    with serving(tools) as url:
        ways: tuple[tuple[object, ...], ...] = ((), ("--json",), ("--out", "-"))
        for number, options in enumerate(ways):
            options = options if "-" in options else (*options, "--out", tmp_path / f"{number}")
            done = bailiwick("systems", "import", "crm", *ABOUT, "--url", url, *options)
            assert done.status == 0 and "left out, and so denied: x\\u001b" in done.err
            assert is_harmless(done.out) and is_harmless(done.err)
    assert is_harmless((tmp_path / "0").read_text())


def test_a_server_that_offers_nothing_to_draft_is_a_no(
    bailiwick: CommandLine, tmp_path: Path
) -> None:
    """House, style §4.8: 1 is "the answer is no"."""
    with serving([{"name": "bad name"}]) as url:
        done = bailiwick("systems", "import", "crm", *ABOUT, "--url", url, "--out", tmp_path / "a")
    assert (done.status, done.out, list(tmp_path.iterdir())) == (1, "", [])


@pytest.mark.parametrize("tools", [None, []], ids=["not there", "refused"])
def test_a_server_that_cannot_be_asked_is_no_answer(
    bailiwick: CommandLine, tmp_path: Path, tools: Any
) -> None:
    """Issue: clear errors, exit 3; nothing is written."""
    out = ("--out", tmp_path / "a")
    if tools is None:
        done = bailiwick("systems", "import", "crm", *ABOUT, "--url", "http://127.0.0.1:1/x", *out)
    else:
        with serving(tools, "401 Unauthorized") as url:
            done = bailiwick("systems", "import", "crm", *ABOUT, "--url", url, *out)
    assert (done.status, done.out, done.err.count("\n"), list(tmp_path.iterdir())) == (3, "", 1, [])


WRONG: dict[str, tuple[str, tuple[object, ...]]] = {
    "a name that is a path": ("a system is named by", ("../evil", *ABOUT)),
    "a name of capitals": ("a system is named by", ("CRM", *ABOUT)),
    "a name that means something to OPA": ("OPA gives a file of this name", ("data", *ABOUT)),
    "no owner": ("a new draft needs", ("crm", *ABOUT[2:])),
    "a blank domain": ("a new draft needs", ("crm", *ABOUT[:2], "--domain", " ", *ABOUT[4:])),
    "an owner for a file that is there": ("stand in the file", ("crm", "--update", *ABOUT)),
    "an update of nothing": ("is not there; leave out --update", ("crm", "--update")),
    "two sources": ("are two sources", ("crm", *ABOUT, "--url", "http://h/", "--openapi", "x")),
    "a URL in the clear": ("write https", ("crm", *ABOUT, "--url", "http://192.0.2.1/mcp")),
    "a URL with a password": ("no password", ("crm", *ABOUT, "--url", "https://a:b@h.example/m")),
    "an OpenAPI file that is not there": (
        "/nowhere/api.yaml: cannot be read",
        ("crm", *ABOUT, "--openapi", "/nowhere/api.yaml"),
    ),
    "a system that settings do not name": ("names no system crm", ("crm", *ABOUT)),
    "two results on one output": ("both want", ("crm", *ABOUT, "--json", "--out", "-")),
    "a folder that is not there": (
        "cannot be written",
        ("crm", *ABOUT, "--openapi", "api.yaml", "--out", "/nowhere/a/b"),
    ),
    "a file that is there": (
        "is there already; --update adds",
        ("company", *ABOUT, "--openapi", "api.yaml"),
    ),
}


@pytest.mark.parametrize(("said", "arguments"), WRONG.values(), ids=WRONG)
def test_wrong_options_and_files_are_said_before_anything_is_written(
    bailiwick: CommandLine, settings: Path, api: Path, said: str, arguments: tuple[object, ...]
) -> None:
    """House, style §4.8: 2 is usage or settings; a system's name never becomes a path."""
    before = {path: path.stat().st_mtime_ns for path in (settings.parent / "policy").rglob("*")}
    arguments = tuple(api if argument == "api.yaml" else argument for argument in arguments)
    done = bailiwick("systems", "import", *arguments, "--settings", settings)
    assert (done.status, done.out) == (2, "")
    assert said in done.err and "Traceback" not in done.err
    after = {path: path.stat().st_mtime_ns for path in (settings.parent / "policy").rglob("*")}
    assert after == before


def test_a_bundle_that_is_an_archive_is_not_written_to(
    bailiwick: CommandLine, settings: Path, api: Path
) -> None:
    """House: say where the file should go instead."""
    (settings.parent / "bundle.tar.gz").touch()
    settings.write_text(settings.read_text().replace('"policy"', '"bundle.tar.gz"'))
    done = bailiwick("systems", "import", "crm", *ABOUT, "--openapi", api, "--settings", settings)
    assert (done.status, "--out" in done.err) == (2, True)


# check


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Return a folder with a catalogue of one sound system, and no rules."""
    (tmp_path / "b" / "systems").mkdir(parents=True)
    (tmp_path / "b" / "systems" / "crm.yaml").write_text(
        "owner: crm-team\ndomain: crm\nenvironment: production\nprotocol: mcp\n"
        "tools:\n  a.b: {effect: read, impacts: []}\n  new: {effect: unclassified, impacts: []}\n"
    )
    return tmp_path / "b"


def test_a_sound_catalogue_is_said_with_what_nobody_has_classified(
    bailiwick: CommandLine, bundle: Path
) -> None:
    """Issue: `systems check`; a draft is sound, and its tools are denied."""
    done = bailiwick("systems", "check", bundle)
    said = "crm: sound, owner crm-team, 2 tools, 1 unclassified\n"
    assert (done.status, done.out, done.err) == (0, said, "")
    listed = json.loads(bailiwick("systems", "check", bundle, "--json").out)
    assert listed == {"systems": {"crm": {"faults": [], "unclassified": ["new"]}}}


def test_faults_of_the_catalogue_are_named_with_file_and_line(
    bailiwick: CommandLine, bundle: Path
) -> None:
    """Issue: faults with file:line; a name may hold dots, and one bad file hides no other."""
    systems = bundle / "systems"
    crm = systems / "crm.yaml"
    crm.write_text(crm.read_text().replace("{effect: read,", "\n    {effect: guess,"))
    (systems / "broken.yaml").write_text("owner: a\nowner: b\n")
    (systems / "latin.yaml").write_bytes(b"\xff")
    done = bailiwick("systems", "check", bundle)
    assert done.status == 1
    broken, sentence, latin = done.out.splitlines()
    assert broken.startswith(f"{systems / 'broken.yaml'}:2: It ")
    assert sentence.startswith(f"{crm}:7: `tools.a.b.effect` must be one of ")
    assert sentence.endswith(" (effect_unknown)")
    assert latin == f"{systems / 'latin.yaml'}: It is not UTF-8. (not_readable)"
    listed = json.loads(bailiwick("systems", "check", bundle, "--json").out)["systems"]
    assert [len(listed[name]["faults"]) for name in ("broken", "crm", "latin")] == [1, 1, 1]


def test_a_folder_without_a_catalogue_cannot_be_checked(
    bailiwick: CommandLine, tmp_path: Path
) -> None:
    """House, style §4.8: 2; an empty one can, and says what follows."""
    assert bailiwick("systems", "check", tmp_path).status == 2
    (tmp_path / "systems").mkdir()
    done = bailiwick("systems", "check", tmp_path)
    assert (done.status, "every call is denied" in done.err) == (0, True)
