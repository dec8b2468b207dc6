import json
import logging
import shutil
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.output import foreign, printable
from gateway.cli.serve import PlainFormatter
from gateway.policy.bundle import shipped_bundle
from tests.unit.cli.conftest import CommandLine
from tests.unit.evidence.logs import open_log

NAUGHTY = {
    "closing tag": ("x[/]", "x[/]"),
    "style": ("[red]x[/red]", "[red]x[/red]"),
    "link": ("[link=http://e]x", "[link=http://e]x"),
    "emoji code": (":skull:", ":skull:"),
    "OSC title": ("\x1b]0;own\x07", r"\u001b]0;own\u0007"),
    "C1 CSI": ("\x9b2J", r"\u009b2J"),
    "DEL": ("a\x7f", r"a\u007f"),
    "newline": ("a\nb", r"a\u000ab"),
    "RLO": ("a\u202eb", r"a\u202eb"),
    "line separator": ("a\u2028b", r"a\u2028b"),
    "ZWJ": ("a\u200db", r"a\u200db"),
    "tag character": ("a\U000e0041", r"a\udb40\udc41"),
    "private use": ("a\ue000", r"a\ue000"),
}
naughty = pytest.mark.parametrize(("text", "shown"), NAUGHTY.values(), ids=NAUGHTY)


def is_harmless(said: str) -> bool:
    """Return whether nothing here can move a cursor or hide, newlines of ours apart."""
    text = said.replace("\n", "")
    return not any(unicodedata.category(c) in {"Cc", "Cf", "Zl", "Zp", "Cs", "Co"} for c in text)


def record_with(text: str) -> dict[str, Any]:
    """Return the fields of a refusal in which everything foreign is `text`."""
    return {
        "time": "2026-11-24T10:00:00Z",
        "call_id": f"a-{text}",
        "identity": {"sub": text},
        "request": {"system": text},
        "call": {"action": text, "name": text},
        "decision": {
            "effect": "deny",
            "reasons": [{"code": text, "rule": text}],
            "class": {"effect": text, "impacts": [text], "domain": text, "environment": text},
            "engine": text,
            "policy_revision": text,
            "charter": text,
            "bundle_digest": text,
        },
        "approval": {"id": text, "state": text},
        "input": {"resource": {"arguments": {text: text}}},
    }


async def write(folder: Path, *entries: tuple[str, dict[str, Any]]) -> None:
    """Write a log of these entries; they are records 2 and on."""
    log = open_log(folder)
    for kind, fields in entries:
        await log.append(kind, fields)
    await log.close()


@naughty
async def test_a_tail_shows_foreign_text_as_plain_text(
    bailiwick: CommandLine, tmp_path: Path, text: str, shown: str
) -> None:
    """House: a tool name or a subject of `x[/]` once ended `tail` with a MarkupError."""
    await write(tmp_path, ("refusal", {**record_with(text), "identity": {"sub": "me"}}))
    done = bailiwick("evidence", "tail", "-n", 2, "--folder", tmp_path)
    assert (done.status, done.err) == (0, "")
    assert shown in done.out
    assert is_harmless(done.out)


@naughty
async def test_an_explanation_shows_foreign_text_as_plain_text(
    bailiwick: CommandLine, tmp_path: Path, text: str, shown: str
) -> None:
    """House: every sentence, the note about an unknown call included."""
    await write(tmp_path, ("refusal", record_with(text)))
    done = bailiwick("explain", text, "--folder", tmp_path)
    assert (done.status, done.err) == (0, "")
    assert done.out.count(shown) >= 14
    assert is_harmless(done.out)
    unknown = bailiwick("explain", f"{text}?", "--folder", tmp_path)
    assert unknown.status == 1
    assert shown in unknown.err
    assert is_harmless(unknown.err)


@naughty
async def test_json_for_people_and_machines_is_harmless_and_the_same_value(
    bailiwick: CommandLine, tmp_path: Path, text: str, shown: str
) -> None:
    """RFC 8259 §7: any character may be escaped, and the value stays."""
    fields = record_with(text)
    await write(tmp_path, ("refusal", fields))
    folder = ("--folder", tmp_path)
    whole = bailiwick("evidence", "show", 2, *folder)
    decision_input = bailiwick("evidence", "show", 2, "--input", *folder)
    tail = bailiwick("evidence", "tail", "-n", 2, "--json", *folder)
    explained = bailiwick("explain", text, "--json", *folder)
    assert all(is_harmless(done.out) for done in (whole, decision_input, tail, explained))
    record = json.loads(whole.out)
    assert {name: record[name] for name in fields} == fields
    assert json.loads(decision_input.out) == fields["input"]
    assert json.loads(tail.out.split("\n")[0]) == record
    assert json.loads(explained.out) == [record]


@naughty
def test_a_charter_check_shows_foreign_text_as_plain_text(
    bailiwick: CommandLine, tmp_path: Path, text: str, shown: str
) -> None:
    """House: the owner and the sentences of faults come from the bundle."""
    bundle = tmp_path / "policy"
    shutil.copytree(shipped_bundle(), bundle)
    quoted = '"' + "".join(f"\\U{ord(character):08x}" for character in text) + '"'
    charter = f"subject: x\nowner: {quoted}\n{quoted}: 1\n"
    (bundle / "charters" / "foreign.yaml").write_text(charter, "utf-8")
    done = bailiwick("charter", "check", bundle)
    assert (done.status, done.err) == (1, "")
    assert f"foreign: incomplete, owner {shown}" in done.out
    assert is_harmless(done.out)
    machine = bailiwick("charter", "check", bundle, "--json")
    assert is_harmless(machine.out)
    faults = json.loads(machine.out)["charters"]["foreign"]["faults"]
    assert any(text in fault["sentence"] for fault in faults)


@naughty
def test_a_file_of_a_bundle_with_such_a_name_is_shown_as_plain_text_or_refused(
    bailiwick: CommandLine, tmp_path: Path, text: str, shown: str
) -> None:
    """House: the file's name comes from the bundle."""
    bundle = tmp_path / "policy"
    shutil.copytree(shipped_bundle(), bundle)
    (bundle / "charters" / f"{text.replace('/', '|')}.yaml").write_text("subject: x\n", "utf-8")
    done = bailiwick("charter", "check", bundle)
    assert f"{shown.replace('/', '|')}: incomplete" in done.out or "charters/" in done.err
    assert is_harmless(done.out)
    assert is_harmless(done.err)


async def test_records_of_another_shape_stop_no_command(
    bailiwick: CommandLine, tmp_path: Path
) -> None:
    """House: what members hold is not checked when a record is read."""
    odd = {
        "call_id": "a-b",
        "identity": "me",
        "call": [1],
        "decision": {"reasons": [7], "class": 1},
    }
    await write(tmp_path, ("intent", {"call_id": "a-b"}), ("refusal", odd))
    assert bailiwick("evidence", "tail", "--folder", tmp_path).status == 0
    assert bailiwick("explain", "b", "--folder", tmp_path).status == 0


def test_half_a_surrogate_pair_is_escaped() -> None:
    """House: arguments of the command line may hold one (PEP 383)."""
    assert foreign("a\udc9b").plain == r"a\udc9b"


def test_what_can_be_seen_is_left_alone() -> None:
    """House: other scripts are no attack."""
    assert printable("Grüße, 東京, قهوة 🙂 \\ [x]") == "Grüße, 東京, قهوة 🙂 \\ [x]"


def test_a_log_line_of_the_gateway_is_plain_text() -> None:
    """House: a message may repeat what an agent or an upstream sent."""
    record = logging.LogRecord("x", logging.WARNING, "", 1, "a\x1b[2J\nb", None, None)
    assert PlainFormatter("%(message)s").format(record) == r"a\u001b[2J\u000ab"
