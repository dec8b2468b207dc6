"""Verify a log offline, from its files alone and from what an auditor knows from elsewhere.

1. Segments follow one another: the first is that of seq 0, each is named by the seq that comes
   next, every one but the last is sealed. Older ones may be missing only if the log says that it
   deleted them, in records that checkpoints cover, and if checkpoints prove the frontier that the
   first one left goes on from.
2. Every line ends with a newline and reads strictly as one record.
3. seq runs from 0 without gap.
4. `prev` of each record is the leaf hash of the record before it (RFC 6962 §2.1,
   https://www.rfc-editor.org/rfc/rfc6962#section-2.1).
5. The first record of each segment, and no other, is of kind `segment` and agrees with place,
   origin, root, frontier, open calls and key.
6. A seal is the last line of its segment and names the root of everything before it.
7. Intents and outcomes pair up by `call_id`: no outcome without an open intent, and no intent while
   one with its `call_id` is open.
8. Keys: one epoch follows another only with the signature of the key before it.
9. Checkpoints, wherever they are kept, read as such and are of this log; those of the log's own
   file never go back in size.
10. Each checkpoint is signed by the key in force at its size, names the root that the log has
    there, and no witness that is known signed it badly; none is larger than the log, and the one
    remembered from the last time is among those that could be checked.
11. Blobs that records name are there and have their digest.
12. Compressed segments have the digest that the log tells of.
13. A key that the auditor pinned signed at least one of the checkpoints.
14. A log begins with a `start`, and nothing else follows a `stop`.
15. What a crash tore off is what its `gap` says, if it is still there.

Of several faults the one with the smallest seq is reported, and what is before it is a valid
prefix. Steps 2 to 8, 10 and 11 are taken segment by segment (`audit/`), several at a time
if there are several cores: each goes on from what its first record claims, and here every claim is
compared with what the segment before came to. An auditor must be able to trust this module by
itself: it imports core and its own readers only. A log may be verified while it is written: what
came after the checkpoints were read is not held against it. Does not repair, and does not judge
what records say.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import islice, pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from gateway.core.errors import VerificationError
from gateway.evidence.audit.fault import Faulty, faulty
from gateway.evidence.audit.files import check_archive
from gateway.evidence.audit.index import REMEMBERED, Claim, Index, Trust, index
from gateway.evidence.audit.live import is_written
from gateway.evidence.audit.segment import PROGRESS_EVERY, Job, Part, check
from gateway.evidence.audit.sum import Sum
from gateway.evidence.chain import read
from gateway.evidence.report import Fault, Notice, Report
from gateway.evidence.segments import COMPRESSED, first_seq, lines, name, segments

__all__ = ["PROGRESS_EVERY", "Trust", "verify"]

_WORTH_PROCESSES: Final = 32 * 1024 * 1024
"""Bytes of a log from which other processes pay for their start."""
_TRIES: Final = 3
"""How often the segments of a log are listed that retention works on."""
_GONE: Final = ("segment_missing", "blob_missing")


def verify(
    folder: Path,
    progress: Callable[[int], None] | None = None,
    *,
    trust: Trust | None = None,
    workers: int | None = None,
) -> Report:
    """Check the log in `folder` and report what it holds, in memory that does not grow with it.

    Args:
        folder: the log's folder; nothing in it is changed.
        progress: called with the number of records checked, now and then.
        trust: what the auditor knows from elsewhere; nothing, if not given.
        workers: processes that check segments side by side; as many as there are cores if not
            given, and none but this one for a small log.

    Raises:
        OSError: the files cannot be read.
        VerificationError: the remembered checkpoint is none.
    """
    known = trust or Trust()
    for left in reversed(range(_TRIES)):
        try:
            report = _verify(folder, progress, known, workers)
        except FileNotFoundError:
            # A segment was compressed or deleted since it was listed.
            if not left:
                raise
            continue
        # Or deleted by a record that was signed only since the checkpoints were read.
        gone = report.fault is not None and report.fault.code in _GONE
        if not (left and gone and is_written(folder)):
            return report
    raise AssertionError("a try returns or raises")


def _verify(
    folder: Path, progress: Callable[[int], None] | None, trust: Trust, workers: int | None
) -> Report:
    live = is_written(folder)
    # 9. Checkpoints read as such. Before the segments are listed: what they cover was there then.
    heads = index(folder, trust, _origin(segments(folder)))
    paths = segments(folder)
    total = Sum(heads.notices)
    if paths and (earlier := heads.count_up_to(first_seq(paths[0]) - 1)):
        sentence = f"checkpoints of sizes that can no longer be checked here: {earlier}"
        total.notices.append(Notice("checkpoints_unchecked", 0, sentence))
    fault: Fault | None = None
    try:
        _check_segments(folder, paths, heads, trust, total, progress, workers, live=live)
        _check_end(folder, paths, heads, trust, total)
    except Faulty as exc:
        fault = exc.fault
    missing = total.missing(total.deleted(trust))
    faults = [found for found in (fault, heads.fault, *missing) if found]
    return total.report(min(faults, key=lambda found: found.seq, default=None), trust)


def _untorn(fault: Fault, heads: Index) -> Fault:
    """Return a torn end that a checkpoint covers as what it is: no crash tears what was synced."""
    if fault.code != "torn_tail" or not heads.between(fault.seq, None):
        return fault
    sentence = f"record {fault.seq} cannot be read, and a checkpoint covers it"
    return replace(fault, code="record_damaged", sentence=sentence)


def _origin(paths: list[Path]) -> str | None:
    """Return the log's name as its first record says; the check will tell if that is wrong."""
    try:
        raw = next(lines(paths[0]), b"") if paths else b""
        return str(read(raw).fields.get("origin"))
    except (VerificationError, OSError):
        return None


def _check_segments(
    folder: Path,
    paths: list[Path],
    heads: Index,
    trust: Trust,
    total: Sum,
    progress: Callable[[int], None] | None,
    workers: int | None,
    *,
    live: bool,
) -> None:
    """Steps 1 to 8, 10, 11, 14 and 15."""
    if not paths:
        raise _missing(0)
    if workers is None:
        size = sum(path.stat().st_size for path in paths)
        workers = (os.cpu_count() or 1) if size > _WORTH_PROCESSES else 1
    jobs = _jobs(folder, paths, heads, trust)
    for part in _parts(jobs, min(workers, len(paths)), total, progress):
        try:
            total.add(part)
        except Faulty as exc:
            fault = _untorn(exc.fault, heads)
            if not live or fault.code != "torn_tail":
                raise Faulty(fault) from exc
            sentence = f"record {fault.seq} is still being written and was not read"
            total.notices.append(Notice("still_written", fault.seq, sentence))
        if progress is not None and workers > 1:
            progress(total.records)


def _jobs(folder: Path, paths: list[Path], heads: Index, trust: Trust) -> Iterator[Job]:
    sources = tuple(heads.sources)
    for path, following in pairwise([*paths, None]):
        if path is None:
            continue
        # The last segment is given the checkpoints beyond its end, too; `_check_end` finds them.
        after = first_seq(path) if path is not paths[0] else first_seq(path) - 1
        last = first_seq(following) if following else None
        claims: list[Claim] = heads.between(after, last)
        yield Job(folder, path, following, claims, sources, trust.witness_keys)


def _parts(
    jobs: Iterator[Job], workers: int, total: Sum, progress: Callable[[int], None] | None
) -> Iterator[Part]:
    """Yield what each segment holds, in the order of the log."""
    if workers <= 1:
        for job in jobs:
            told = partial(_told, progress, total.records) if progress else None
            yield check(job, told)
        return
    # Spawned, since a fork would copy whatever threads the caller has.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        try:
            # As many ahead as keep the processes busy, so that a fault ends the work early.
            waiting = deque(pool.submit(check, job) for job in islice(jobs, 2 * workers))
            while waiting:
                yield waiting.popleft().result()
                waiting.extend(pool.submit(check, job) for job in islice(jobs, 1))
        finally:
            pool.shutdown(cancel_futures=True)


def _told(progress: Callable[[int], None], before: int, count: int) -> None:
    progress(before + count)


def _missing(seq: int) -> Faulty:
    segment = name(seq)
    return faulty("segment_missing", seq, segment, 0, f"segment {segment} is missing")


def _check_end(folder: Path, paths: list[Path], heads: Index, trust: Trust, total: Sum) -> None:
    """What can be said only when the whole log was read."""
    _check_beyond(heads, total)
    for seq, digest in total.archives.items():  # 12. Compressed segments.
        check_archive(folder / (name(seq) + COMPRESSED), digest, seq)
    _check_deleted(paths, trust, total)
    if trust.remembered and not total.remembered:
        sentence = "what the last verification saw was deleted since: nothing here continues it"
        raise faulty("remembered_unchecked", total.first, "the remembered checkpoint", 0, sentence)
    # 13. A pinned key signed.
    if trust.keys and not total.signers & set(map(str, trust.keys)):
        sentence = "no checkpoint of this log is signed by a key that is trusted"
        raise faulty("key_unknown", total.first, "checkpoints.jsonl", 0, sentence)


def _check_beyond(heads: Index, total: Sum) -> None:
    """10. No checkpoint is larger than the log."""
    beyond = heads.between(total.seq, None)
    if not beyond:
        return
    size, number = beyond[-1][:2]
    kinds = {heads.sources[claim[1]].kind for claim in beyond}
    code = "rolled_back" if REMEMBERED in kinds else "records_missing"
    where = heads.sources[number].name
    sentence = f"record {total.seq} is missing: {where} has a checkpoint of {size} records"
    raise faulty(code, total.seq, where, 0, sentence)


def _check_deleted(paths: list[Path], trust: Trust, total: Sum) -> None:
    """1. Segments are missing at the beginning only if the log proves that it deleted them."""
    first = first_seq(paths[0])
    if not first:
        return
    if not total.checkpoints:
        sentence = f"no checkpoint proves what was before record {first}"
        raise faulty("frontier_unproven", first, paths[0], 1, sentence)
    if missing := total.spoken() - total.deleted(trust):
        raise _missing(min(missing))
