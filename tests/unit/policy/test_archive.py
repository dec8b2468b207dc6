import gzip
import io
import tarfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.core.errors import BundleError
from gateway.policy.archive import read, write
from gateway.policy.files import MAX_FILE_BYTES, Files

PATH = Path("bundle.tar.gz")
FILES = {".manifest": b"{}", "bailiwick/a.rego": b"package bailiwick\n", "data.json": b"{}"}


def packed(*members: tuple[tarfile.TarInfo, bytes], kind: int = tarfile.PAX_FORMAT) -> bytes:
    """Return the archive of these members, whatever they are."""
    unpacked = io.BytesIO()
    with tarfile.open(fileobj=unpacked, mode="w", format=kind) as tar:
        for member, content in members:
            if member.isreg():
                member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return gzip.compress(unpacked.getvalue(), mtime=0)


def entry(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> tarfile.TarInfo:
    """Return a member of this name and type."""
    member = tarfile.TarInfo(name)
    member.type = kind
    for field, value in fields.items():
        setattr(member, field, value)
    return member


def refusal(content: bytes) -> str:
    """Return what the reader says."""
    with pytest.raises(BundleError) as refused:
        read(PATH, content)
    return refused.value.message


def test_what_is_written_is_read_back_in_order_of_name() -> None:
    """House: an encoder has a round trip."""
    files = {**FILES, "bailiwick/" + "long/" * 8 + "n" * 150 + ".rego": b"x", "a": b""}
    assert list(read(PATH, write(files)).items()) == sorted(files.items())


def test_the_same_files_give_the_same_bytes_in_whatever_order() -> None:
    """House: two people can build one archive and compare its digest."""
    backwards = dict(reversed(FILES.items()))
    assert write(FILES) == write(backwards)


def test_nothing_of_the_machine_is_in_the_archive() -> None:
    """House: no time, no owner, no name of a user."""
    with tarfile.open(fileobj=io.BytesIO(write(FILES)), mode="r:gz") as tar:
        said = {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in tar}
    assert said == {(0, 0, 0, "", "", 0o644)}
    assert write(FILES)[4:8] == bytes(4)


def test_names_may_begin_with_one_slash_as_opa_writes_them() -> None:
    """Policy §6: member names carry a leading slash, signatures do not."""
    files = read(PATH, packed((entry("/.manifest"), b"{}"), (entry("/bailiwick/a.rego"), b"x")))
    assert files == {".manifest": b"{}", "bailiwick/a.rego": b"x"}


KINDS = {
    "symbolic link": tarfile.SYMTYPE,
    "hard link": tarfile.LNKTYPE,
    "character device": tarfile.CHRTYPE,
    "block device": tarfile.BLKTYPE,
    "pipe": tarfile.FIFOTYPE,
    "folder": tarfile.DIRTYPE,
    "contiguous": tarfile.CONTTYPE,
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_only_regular_files_are_taken(kind: bytes) -> None:
    """House: a link leads elsewhere, and a device is no content."""
    says = refusal(packed((entry("systems/x.yaml", kind, linkname="/etc/passwd"), b"")))
    assert says.startswith("'systems/x.yaml': is not a regular file")


def test_an_archive_of_folders_says_what_is_wrong_with_it() -> None:
    """House: what `tar` makes of a folder begins with folders, and is the likeliest mistake."""
    folders = [(entry(name, tarfile.DIRTYPE), b"") for name in ("policy", "policy/charters")]
    assert refusal(packed(*folders)).startswith("'policy': is not a regular file")


@pytest.mark.parametrize(
    "name",
    [
        "../x.rego", "a/../../x.rego", "//etc/x.rego", "a//x.rego", "./x.rego", "a/./x.rego",
        "a\\x.rego", "C:\\x.rego", "a\nb.rego", "a\u202eb.rego", "a/" * 16 + "x", "n" * 256,
        "bad\udcff.rego",
    ],
    ids=[
        "up", "up from below", "two slashes", "empty part", "dot", "dot inside", "backslash",
        "drive", "newline", "direction mark", "too deep", "too long", "not UTF-8",
    ],
)  # fmt: skip
def test_a_name_that_is_no_plain_relative_path_is_refused(name: str) -> None:
    """House: never extracted, and still one name must be one file everywhere."""
    content = packed((entry(name), b"x"), kind=tarfile.GNU_FORMAT)
    assert refusal(content).startswith(repr(name.removeprefix("/")))


@pytest.mark.parametrize(
    ("one", "other"),
    [("a.rego", "a.rego"), ("a.rego", "/a.rego"), ("a.rego", "A.rego"), ("é.rego", "e\u0301.rego")],
    ids=["twice", "with a slash", "case", "normal form"],
)
def test_two_names_that_somebody_takes_for_one_are_refused(one: str, other: str) -> None:
    """House: readers differ on which of them counts."""
    says = refusal(packed((entry(one), b"x"), (entry(other), b"y")))
    assert "twice" in says or "cannot be told from" in says


@pytest.mark.parametrize("name", [".x.rego", "a/.b/x.rego", ".git/data.json"])
def test_a_hidden_file_is_refused(name: str) -> None:
    """House: OPA would read it, and our loader would not."""
    assert refusal(packed((entry(name), b""))) == (
        f"{name}: hidden files have no place in an archive"
    )


def test_a_file_that_is_too_large_is_refused_by_its_header() -> None:
    """House: 16 MiB a file; what the header says is enough."""
    member = entry("big.json", size=MAX_FILE_BYTES + 1)
    content = gzip.compress(member.tobuf() + bytes(1024))
    assert refusal(content).startswith("big.json: is larger than 16 MiB")


def test_a_file_that_ends_before_its_size_is_refused() -> None:
    """House: half a rule is another rule."""
    content = gzip.compress(entry("a.rego", size=4000).tobuf() + b"x" * 512)
    assert "end" in refusal(content) or "whole" in refusal(content)


def test_too_many_files_are_refused() -> None:
    """House: at most 65,536."""
    headers = b"".join(entry(f"{number}").tobuf() for number in range(65_537))
    assert "65536 files" in refusal(gzip.compress(headers + bytes(1024), 1))


def test_what_unpacks_to_more_than_any_bundle_is_not_unpacked() -> None:
    """House: 64 MiB together; 1 GiB of zeros fits into 1 MiB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(bytes(1 << 24)) for _ in range(64)) + packer.flush()
    assert refusal(bomb) == f"{PATH}: unpacks to more than any bundle may hold"


def test_files_that_are_too_much_together_are_refused() -> None:
    """House: 64 MiB, each of them within its own bound."""
    members = [(entry(f"{n}.json"), bytes(MAX_FILE_BYTES)) for n in range(4)]
    assert "the bundle is larger" in refusal(packed(*members, (entry("x"), b"x")))


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "not gzip": lambda whole: b"PK" + whole,
    "empty": lambda whole: b"",
    "cut": lambda whole: whole[:-9],
    "without its end": lambda whole: whole[:-1],
    "a byte behind": lambda whole: whole + b"\x00",
    "a second stream": lambda whole: whole + gzip.compress(b""),
    "another checksum": lambda whole: whole[:-8] + bytes(4) + whole[-4:],
    "a second archive": lambda whole: gzip.compress(2 * gzip.decompress(whole)),
    "text behind the end": lambda whole: gzip.compress(gzip.decompress(whole) + b"x"),
    "a broken second header": lambda whole: gzip.compress(
        gzip.decompress(whole)[:1024] + b"x" * 512 + bytes(1024)
    ),
    "no tar": lambda whole: gzip.compress(b"x" * 1024),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_one_gzip_stream_holds_one_archive_and_nothing_follows(
    damage: Callable[[bytes], bytes],
) -> None:
    """House: what one reader skips, another reads."""
    assert refusal(damage(write({"a": b"1"}))).startswith(f"{PATH}: ")


@pytest.mark.parametrize(
    "headers", [{"size": "3"}, {"GNU.sparse.major": "1"}, {"comment": "x"}], ids=lambda h: min(h)
)
def test_extended_headers_that_change_a_file_are_refused(headers: dict[str, str]) -> None:
    """House: not every reader obeys the same ones."""
    member = entry("a.rego")
    member.pax_headers = headers
    assert refusal(packed((member, b"abc"))).startswith(("'a.rego'", f"{PATH}"))


def test_headers_for_all_files_are_refused() -> None:
    """POSIX pax: a global header could rename every file."""
    unpacked = io.BytesIO()
    with tarfile.open(
        fileobj=unpacked, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"path": "b.rego"}
    ) as tar:
        tar.addfile(entry("a.rego"), io.BytesIO())
    assert "extended headers" in refusal(gzip.compress(unpacked.getvalue()))


def test_a_chain_of_headers_without_end_is_refused() -> None:
    """House: tarfile follows them one inside the other."""
    header = entry("x", tarfile.XHDTYPE).tobuf()
    assert refusal(gzip.compress(header * 5000)).startswith(str(PATH))


def test_every_flipped_bit_of_an_archive_is_noticed_or_changes_nothing() -> None:
    """House: damage is an error with a sentence, never another one."""
    whole, files = write(FILES), dict(FILES)
    for at in range(len(whole)):
        damaged = whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :]
        found: Files = files
        try:
            found = read(PATH, damaged)
        except BundleError:
            continue
        assert found == files, at


def raw(name: bytes, content: bytes, kind: bytes, magic: bytes, prefix: bytes) -> bytes:
    """Return one entry of a tar archive, as no writer of ours makes it."""
    header = bytearray(tarfile.BLOCKSIZE)
    fields = {0: name, 124: b"%011o\0" % len(content), 148: b" " * 8, 156: kind, 257: magic}
    for at, field in {**fields, 345: prefix}.items():
        header[at : at + len(field)] = field
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + content + bytes(-len(content) % tarfile.BLOCKSIZE)


@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K"])
def test_a_large_extended_header_is_refused_before_it_is_searched(kind: bytes) -> None:
    """CVE-2024-6232: the search takes time that grows with the square of the length."""
    entries = raw(b"p", b"1" * 5_000_000, kind, b"ustar\x0000", b"")
    before = time.process_time()
    assert "extended header" in refusal(gzip.compress(entries + bytes(1024)))
    assert time.process_time() - before < 2


@pytest.mark.parametrize("magic", [b"", b"ustar  \0"], ids=["version 7", "GNU"])
def test_a_beginning_of_a_name_where_its_format_has_none_is_refused(magic: bytes) -> None:
    """POSIX.1 ustar: only this format has a prefix; OPA's reader takes it nowhere else."""
    entries = raw(b"a.rego", b"x", b"0", magic, b"bailiwick")
    assert "not every reader" in refusal(gzip.compress(entries + bytes(1024)))


def test_one_name_is_said_once() -> None:
    """House: of two extended headers for one file, readers take different ones."""
    long = raw(b"L", b"a.rego\0", b"L", b"ustar  \0", b"")
    entries = long + long + raw(b"b.rego", b"x", b"0", b"ustar  \0", b"")
    assert "extended header" in refusal(gzip.compress(entries + bytes(1024)))
