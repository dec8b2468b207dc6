"""A bundle as one `.tar.gz`, as `policy build` and `opa build` write it: hostile until read.

Nothing is extracted: the files go from the archive into memory, within bounds that hold while it is
unpacked. One gzip stream, one tar archive, nothing behind either; regular files only, under plain
names, each once. What is written depends on the files alone: the same files, the same bytes.
Does not verify signatures and does not judge what the files say.
"""

import io
import tarfile
import zlib
from pathlib import Path
from typing import Final

from gateway.core.errors import BundleError
from gateway.policy.files import MAX_FILES, MAX_TOTAL_BYTES, Collector, Files, refuse_hidden

MAX_ARCHIVE_BYTES: Final = MAX_TOTAL_BYTES
_MAX_TAR_BYTES: Final = MAX_TOTAL_BYTES + MAX_FILES * 3 * tarfile.BLOCKSIZE
"""Each file has a header and padding, and rarely a header more for a long name."""
_MAX_EXTENDED_BYTES: Final = 4096
"""An extended header holds one long name."""
_USTAR: Final = b"ustar\0"
_OTHER_KINDS: Final = frozenset(
    (
        tarfile.LNKTYPE,
        tarfile.SYMTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.DIRTYPE,
        tarfile.FIFOTYPE,
        tarfile.CONTTYPE,
    )
)
"""Members that are no files; a reader takes none of them for a part of the next member."""
_GZIP: Final = 16 + zlib.MAX_WBITS
_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"
"""RFC 1952 §2.3: deflate, no flags, no time, best compression, unknown system."""


def content_of(path: Path) -> bytes:
    """Return the bytes of an archive.

    Raises:
        BundleError: it cannot be read, or is larger than any bundle.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_ARCHIVE_BYTES + 1)
    except OSError as exc:
        raise BundleError(f"{path}: cannot be read ({exc.strerror})") from exc
    if len(content) > MAX_ARCHIVE_BYTES:
        raise BundleError(f"{path}: is larger than {MAX_ARCHIVE_BYTES // 1024 // 1024} MiB")
    return content


def read(path: Path, content: bytes) -> Files:
    """Return the files of an archive.

    Args:
        path: what errors call it.
        content: its bytes.

    Raises:
        BundleError: naming the file inside, or the archive.
    """
    unpacked = _gunzip(path, content)
    found = Collector()
    try:
        _check_headers(path, unpacked)
        with tarfile.open(fileobj=io.BytesIO(unpacked), mode="r:", encoding="utf-8") as tar:
            for member in tar:
                found.add(*_member(tar, member, found))
            end = tar.offset
    except (tarfile.TarError, ValueError, OverflowError, RecursionError, OSError) as exc:
        raise BundleError(f"{path}: is not a whole tar archive") from exc
    # tarfile ends in silence at the first header that it cannot read; others may read on.
    if any(unpacked[end:]):
        raise BundleError(f"{path}: something follows the end of the tar archive")
    files = found.files()
    refuse_hidden(files)
    return files


def write(files: Files) -> bytes:
    """Return the archive of these files; the same files always give the same bytes."""
    unpacked = io.BytesIO()
    with tarfile.open(fileobj=unpacked, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in sorted(files.items()):
            member = tarfile.TarInfo(name)  # owner, group and time are 0
            member.size, member.mode = len(content), 0o644
            tar.addfile(member, io.BytesIO(content))
    return _gzip(unpacked.getvalue())


def _gzip(content: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(content) + packer.flush()
    checks = (zlib.crc32(content), len(content) & 0xFFFFFFFF)
    return _HEADER + packed + b"".join(check.to_bytes(4, "little") for check in checks)


def _gunzip(path: Path, content: bytes) -> bytes:
    unpacker = zlib.decompressobj(_GZIP)
    try:
        unpacked = unpacker.decompress(content, _MAX_TAR_BYTES + 1)
    except zlib.error as exc:
        raise BundleError(f"{path}: is not a gzip file, or a damaged one") from exc
    if len(unpacked) > _MAX_TAR_BYTES:
        raise BundleError(f"{path}: unpacks to more than any bundle may hold")
    if not unpacker.eof:
        raise BundleError(f"{path}: ends in the middle")
    if unpacker.unused_data:
        raise BundleError(f"{path}: something follows the end of the gzip stream")
    return unpacked


def _check_headers(path: Path, unpacked: bytes) -> None:
    """Refuse, before tarfile reads them, headers that take it long, or that others read otherwise.

    Its search in an extended header takes time that grows with the square of the length
    (CVE-2024-6232), and it looks for the beginning of a name where older formats have none.
    """
    offset, extended = 0, False
    while any(header := unpacked[offset : offset + tarfile.BLOCKSIZE]):
        # As tarfile reads it, but for sizes beyond 8 GiB, which are no octal number.
        kind, size = header[156:157], int(header[124:136].partition(b"\0")[0].strip() or b"0", 8)
        if kind in _OTHER_KINDS:
            return  # whoever reads on refuses it, by its name, and reads nothing behind it
        plain = kind in (tarfile.REGTYPE, tarfile.AREGTYPE)
        if size < 0 or not (plain or size <= _MAX_EXTENDED_BYTES) or (extended and not plain):
            raise BundleError(f"{path}: has an extended header that no bundle needs")
        if header[257:263] != _USTAR and any(header[345:500]):
            raise BundleError(f"{path}: has a name that not every reader puts together alike")
        extended = not plain
        offset += tarfile.BLOCKSIZE + size + -size % tarfile.BLOCKSIZE


def _member(tar: tarfile.TarFile, member: tarfile.TarInfo, found: Collector) -> tuple[str, bytes]:
    # OPA's names begin with one slash; its signatures and ours leave it out.
    name = member.name.removeprefix("/")
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.sparse is not None:
        raise BundleError(f"{name!r}: is not a regular file; an archive holds nothing else")
    # Other extended headers change what a file is, and not every reader obeys the same ones.
    if not set(member.pax_headers) <= {"path"} or tar.pax_headers:
        raise BundleError(f"{name!r}: has extended headers")
    found.expect(name, member.size)
    file = tar.extractfile(member)
    return name, file.read() if file else b""
