import ast
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway import evidence
from gateway.core.record import Receipt, leaf_hash
from gateway.evidence.report import Fault, Report
from gateway.evidence.segments import name, segments
from gateway.evidence.verify import PROGRESS_EVERY, verify
from tests.unit.evidence.logs import link, open_log, raw_lines, segment_entry, write_log

Entries = list[tuple[str, dict[str, Any]]]


def store(folder: Path, raw: list[bytes]) -> None:
    """Make a log of one segment with these raw lines."""
    (folder / name(0)).write_bytes(b"".join(raw))


def where(report: Report) -> tuple[str, int, str, int]:
    """Return code, seq, segment and line of the fault."""
    assert isinstance(report.fault, Fault)
    return report.fault.code, report.fault.seq, report.fault.segment, report.fault.line


async def test_a_good_log_is_reported_as_what_it_holds(tmp_path: Path) -> None:
    """house: counts, head, and no more than can be said without a checkpoint."""
    await write_log(tmp_path, 3)
    log = open_log(tmp_path)
    await log.append("refusal", {"call_id": "r"})
    await log.append("intent", {"call_id": "open"})
    await log.close()
    await open_log(tmp_path).close()
    log = open_log(tmp_path)
    await log.append("intent", {"call_id": "still open"})
    report = verify(tmp_path)
    await log.close()
    raw = raw_lines(tmp_path)[: report.records]
    assert report == Report(
        records=18,
        calls=5,
        outcomes=4,
        refusals=1,
        orphaned=1,
        open_intents=1,
        segments=1,
        head=Receipt(17, leaf_hash(raw[-1][:-1])),
        fault=None,
    )
    assert report.sound
    assert report.verdict == "valid prefix, end unproven"


def test_nothing_in_the_folder_is_changed(tmp_path: Path) -> None:
    """house: an auditor leaves no trace, torn tail or not."""
    store(tmp_path, [*link([segment_entry(), ("start", {})]), b"torn"])
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    verify(tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


async def test_progress_is_told(tmp_path: Path) -> None:
    """house: a long check says that it is alive."""
    store(tmp_path, link([segment_entry(), *[("refusal", {})] * (2 * PROGRESS_EVERY)]))
    told: list[int] = []
    assert verify(tmp_path, told.append).sound
    assert told == [PROGRESS_EVERY, 2 * PROGRESS_EVERY]


# Step 1: segments.


def test_a_folder_without_segments_is_no_log(tmp_path: Path) -> None:
    """house: nothing there is not the same as nothing wrong."""
    report = verify(tmp_path)
    assert where(report) == ("segment_missing", 0, name(0), 0)
    assert (report.records, report.head) == (0, None)


@pytest.mark.parametrize("which", [0, 1, -2], ids=["first", "middle", "last but one"])
async def test_a_missing_segment_is_named(tmp_path: Path, which: int) -> None:
    """house: the names alone show the hole."""
    await write_log(tmp_path, 20, segment_bytes=1500)
    missing = segments(tmp_path)[which]
    missing.unlink()
    code, seq, segment, line = where(verify(tmp_path))
    assert (code, segment, line) == ("segment_missing", missing.name, 0)
    assert name(seq) == missing.name


async def test_swapped_segments_are_found(tmp_path: Path) -> None:
    """house: a segment under another's name is not believed."""
    await write_log(tmp_path, 20, segment_bytes=1500)
    first, second = segments(tmp_path)[1:3]
    text = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(text)
    code, _, segment, line = where(verify(tmp_path))
    assert (code, segment, line) == ("seq_broken", first.name, 1)


@pytest.mark.parametrize("empty", [1, -1], ids=["middle", "last"])
async def test_an_empty_segment_is_found(tmp_path: Path, empty: int) -> None:
    """house: torn if it is the last, as after a crash; damaged elsewhere."""
    await write_log(tmp_path, 20, segment_bytes=1500)
    path = segments(tmp_path)[empty]
    path.write_bytes(b"")
    code, _, segment, line = where(verify(tmp_path))
    assert (segment, line) == (path.name, 1)
    assert code == ("torn_tail" if empty == -1 else "record_damaged")


# Step 2: lines.


@pytest.mark.parametrize("kept", [1, 40, -1], ids=["one byte", "part", "all but the newline"])
async def test_a_truncated_last_line_is_a_torn_tail(tmp_path: Path, kept: int) -> None:
    """house: what a crash leaves is told apart from damage."""
    await write_log(tmp_path, 2)
    raw = raw_lines(tmp_path)
    store(tmp_path, [*raw[:-1], raw[-1][:kept]])
    report = verify(tmp_path)
    assert where(report) == ("torn_tail", len(raw) - 1, name(0), len(raw))
    assert report.records == len(raw) - 1


async def test_a_line_without_newline_in_an_earlier_segment_is_damage(tmp_path: Path) -> None:
    """house: only the last segment can be torn."""
    await write_log(tmp_path, 20, segment_bytes=1500)
    path = segments(tmp_path)[1]
    path.write_bytes(path.read_bytes()[:-1])
    code, _, segment, line = where(verify(tmp_path))
    assert (code, segment) == ("record_damaged", path.name)
    assert line == path.read_bytes().count(b"\n") + 1


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(lambda line: b"\x00" * 100, id="NULs"),
        pytest.param(lambda line: b"", id="empty line"),
        pytest.param(lambda line: line + line, id="two records on one line"),
        pytest.param(lambda line: line.replace(b'"v":1', b'"v":1,"v":1'), id="duplicate key"),
        pytest.param(lambda line: line.replace(b'"v":1', b'"v":2'), id="other version"),
        pytest.param(lambda line: line.replace(b'"intent"', b'"gossip"'), id="unknown kind"),
        pytest.param(lambda line: line.replace(b"xxx", b"x\xffx"), id="not UTF-8"),
        pytest.param(lambda line: b"\xef\xbb\xbf" + line, id="byte order mark"),
        pytest.param(lambda line: b"[" + line + b"]", id="array"),
    ],
)
async def test_a_line_that_is_no_record_is_named(
    tmp_path: Path, bad: Callable[[bytes], bytes]
) -> None:
    """house: read strictly or not at all."""
    await write_log(tmp_path, 3)
    raw = raw_lines(tmp_path)
    store(tmp_path, [*raw[:4], bad(raw[4][:-1]) + b"\n", *raw[5:]])
    assert where(verify(tmp_path)) == ("record_damaged", 4, name(0), 5)


async def test_carriage_returns_do_not_pass(tmp_path: Path) -> None:
    """house: a log that went through a text tool is not the log that was written."""
    await write_log(tmp_path, 3)
    raw = raw_lines(tmp_path)
    store(tmp_path, [line[:-1] + b"\r\n" for line in raw])
    assert where(verify(tmp_path))[0] == "record_damaged"


# Step 3: seq.


async def test_a_dropped_line_is_named(tmp_path: Path) -> None:
    """house: the seq that is missing, and the line where it should be."""
    await write_log(tmp_path, 3)
    raw = raw_lines(tmp_path)
    store(tmp_path, raw[:4] + raw[5:])
    assert where(verify(tmp_path)) == ("seq_broken", 4, name(0), 5)


async def test_swapped_lines_are_named(tmp_path: Path) -> None:
    """house: the first line that is out of its place."""
    await write_log(tmp_path, 3)
    raw = raw_lines(tmp_path)
    store(tmp_path, [*raw[:4], raw[5], raw[4], *raw[6:]])
    assert where(verify(tmp_path)) == ("seq_broken", 4, name(0), 5)


async def test_a_repeated_line_is_named(tmp_path: Path) -> None:
    """house: no record counts twice."""
    await write_log(tmp_path, 3)
    raw = raw_lines(tmp_path)
    store(tmp_path, [*raw[:5], raw[4], *raw[5:]])
    assert where(verify(tmp_path)) == ("seq_broken", 5, name(0), 6)


# Step 4: prev.


async def test_a_flipped_bit_anywhere_in_a_record_names_that_record(tmp_path: Path) -> None:
    """house: each byte of a record in the middle, flipped in turn, its newline included."""
    await write_log(tmp_path, 3)
    raw = raw_lines(tmp_path)
    for place in range(len(raw[4])):
        line = bytearray(raw[4])
        line[place] ^= 1
        store(tmp_path, [*raw[:4], bytes(line), *raw[5:]])
        _, seq, segment, number = where(verify(tmp_path))
        assert (seq, segment, number) == (4, name(0), 5), f"byte {place}"


async def test_a_changed_record_at_the_end_of_a_segment_is_named_there(tmp_path: Path) -> None:
    """house: it shows in the next segment, and is named in its own."""
    await write_log(tmp_path, 20, segment_bytes=1500)
    path = segments(tmp_path)[1]
    raw = path.read_bytes().split(b"\n")
    raw[-2] = raw[-2].replace(b'"note":"x', b'"note":"y').replace(b'"done"', b'"gone"')
    path.write_bytes(b"\n".join(raw))
    code, seq, segment, line = where(verify(tmp_path))
    assert (code, segment, line) == ("record_damaged", path.name, len(raw) - 1)
    assert f'"seq":{seq},'.encode() in raw[-2]


@pytest.mark.parametrize("at_end", [False, True], ids=["inside", "last of its segment"])
async def test_a_changed_prev_names_its_own_record(tmp_path: Path, at_end: bool) -> None:
    """house: the record after it tells which of the two was changed, also across segments."""
    await write_log(tmp_path, 20, segment_bytes=1500)
    path = segments(tmp_path)[1]
    raw = path.read_bytes().split(b"\n")
    index = len(raw) - 2 if at_end else 2
    raw[index] = raw[index].replace(b"sha256:", b"sha257:", 1)
    path.write_bytes(b"\n".join(raw))
    code, seq, segment, line = where(verify(tmp_path))
    assert (code, segment, line) == ("record_damaged", path.name, index + 1)
    assert f'"seq":{seq},'.encode() in raw[index]


def test_a_first_record_that_follows_something_is_damaged(tmp_path: Path) -> None:
    """house: a log begins from nothing."""
    raw = link([segment_entry(), ("start", {})])
    store(tmp_path, [raw[0].replace(b"sha256:0", b"sha256:1"), raw[1]])
    assert where(verify(tmp_path)) == ("record_damaged", 0, name(0), 1)


async def test_a_changed_last_record_is_why_the_end_is_unproven(tmp_path: Path) -> None:
    """house: nothing follows it that could contradict it, and the report claims nothing of it."""
    await write_log(tmp_path, 1)
    raw = raw_lines(tmp_path)
    store(tmp_path, [*raw[:-1], raw[-1].replace(b"2026", b"2025")])
    assert verify(tmp_path).verdict == "valid prefix, end unproven"


# Steps 5 and 6: what records say.


def fields_of_segment(**changed: Any) -> tuple[str, dict[str, Any]]:
    """Return the entry that begins the first segment, with something changed."""
    kind, fields = segment_entry()
    return kind, {**fields, **changed}


@pytest.mark.parametrize(
    ("entries", "code", "seq"),
    [
        pytest.param([("start", {})], "segment_mismatch", 0, id="no segment record"),
        pytest.param(
            [segment_entry(), ("start", {}), segment_entry()],
            "segment_mismatch",
            2,
            id="segment record inside",
        ),
        pytest.param([fields_of_segment(format="gw-2")], "segment_mismatch", 0, id="format"),
        pytest.param([fields_of_segment(first_seq=5)], "segment_mismatch", 0, id="first seq"),
        pytest.param([fields_of_segment(previous=name(7))], "segment_mismatch", 0, id="previous"),
        pytest.param(
            [segment_entry(), ("outcome", {"call_id": "a"})],
            "outcome_without_intent",
            1,
            id="outcome without intent",
        ),
        pytest.param(
            [
                segment_entry(),
                ("intent", {"call_id": "a"}),
                ("outcome", {"call_id": "a"}),
                ("outcome", {"call_id": "a"}),
            ],
            "outcome_without_intent",
            3,
            id="second outcome",
        ),
        pytest.param(
            [segment_entry(), ("intent", {"call_id": "a"}), ("intent", {"call_id": "a"})],
            "intent_repeated",
            2,
            id="second intent",
        ),
        pytest.param([segment_entry(), ("intent", {})], "call_id_missing", 1, id="no call_id"),
        pytest.param(
            [segment_entry(), ("outcome", {"call_id": ["a"]})],
            "call_id_missing",
            1,
            id="call_id is no text",
        ),
    ],
)
def test_well_linked_records_must_also_agree(
    tmp_path: Path, entries: Entries, code: str, seq: int
) -> None:
    """house: one bad log a rule, its chain whole."""
    store(tmp_path, link(entries))
    assert where(verify(tmp_path)) == (code, seq, name(0), seq + 1)


def test_the_record_with_the_fault_is_not_counted(tmp_path: Path) -> None:
    """house: the report is of the valid prefix."""
    store(tmp_path, link([segment_entry(), ("intent", {"call_id": "a"}), ("outcome", {})]))
    report = verify(tmp_path)
    assert (report.records, report.outcomes, report.open_intents) == (2, 0, 1)
    assert report.head is not None and report.head.seq == 1
    assert (report.sound, report.verdict) == (False, "faulty")


async def test_lines_with_unicode_separators_are_one_record_each(tmp_path: Path) -> None:
    """house: U+2028, U+2029 and U+0085 stand raw in a line and end none."""
    log = open_log(tmp_path)
    await log.append("intent", {"call_id": "a", "text": "x\u2028y\u2029z\u0085\x0b\x0c"})
    await log.append("outcome", {"call_id": "a"})
    await log.close()
    assert "\u2028".encode() in (tmp_path / name(0)).read_bytes()
    report = verify(tmp_path)
    assert (report.fault, report.records) == (None, 5)


def imports_of(path: Path) -> set[str]:
    """Return the modules that a file imports."""
    nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    plain = {alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names}
    return plain | {n.module or "" for n in nodes if isinstance(n, ast.ImportFrom)}


def test_the_verifier_stands_on_core_alone() -> None:
    """house: an auditor trusts core, the standard library and four short files."""
    folder, todo, seen = Path(evidence.__file__).parent, ["verify"], {"verify"}
    while todo:
        for module in imports_of(folder / f"{todo.pop()}.py"):
            room = module.removeprefix("gateway.evidence.")
            if room != module:
                todo += {room} - seen
                seen.add(room)
            else:
                assert module.startswith("gateway.core.") or module in sys.stdlib_module_names | {
                    "collections.abc"
                }
    assert seen == {"verify", "report", "segments", "chain"}
