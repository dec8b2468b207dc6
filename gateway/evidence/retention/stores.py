"""Where sealed segments go: another folder, or an S3-compatible bucket.

A store never replaces bytes by other bytes, and `digest` hashes what it reads back, so "shipped"
means that somebody could fetch it. Nothing here deletes. S3 writes are conditional
(`If-None-Match: *`) and carry SHA-256 checksums, which buckets with Object Lock ask for:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html. Does not decide what
is shipped (`shipping.py`).
"""

import configparser
import errno
import hashlib
import logging
import os
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Protocol

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError
from obstore.store import S3Store as Bucket

from gateway.core.errors import EvidenceError, SettingsError
from gateway.evidence.disk import private, sync_folder

_PIECE: Final = 1024 * 1024
_LOG = logging.getLogger(__name__)
_NO_LINKS: Final = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
"""What a file system says that has no hard links."""


class StoreError(EvidenceError):
    """A store did not do its part; nothing is deleted then.

    Codes: `store_failed`; `store_conflict`, other bytes are there under that name;
    `store_mismatch`, the bytes to be stored are not those that were announced.
    """

    code = "store_failed"


class Store(Protocol):
    """A second place for evidence. Called in threads; each call may take long."""

    @property
    def name(self) -> str:
        """What records call it; says where it is, and holds no secret."""
        ...

    def put(self, name: str, path: Path, digest: str) -> None:
        """Store a file under a name, durable when this returns; the same bytes again are fine.

        Args:
            name: relative, with `/` between its parts.
            path: the file.
            digest: `sha256:<hex>` of its bytes, checked against what is read.

        Raises:
            StoreError: it is not stored; what was there under that name is unchanged.
        """
        ...

    def digest(self, name: str) -> str | None:
        """Read back what lies under a name and return its digest, None if nothing does.

        Raises:
            StoreError: it cannot be known.
        """
        ...


class FolderStore:
    """A folder in another one, best on another volume.

    It is made if missing; the one that it lies in is not, since a volume that is not mounted must
    not look like an empty one. If it lies on the volume that files come from, that is said once.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.name = str(folder)
        self._volume_judged = False

    def put(self, name: str, path: Path, digest: str) -> None:
        """See `Store.put`."""
        target = self._folder / name
        self._require_root()
        try:
            _make(target.parent)
            self._judge_volume(path)
            if not target.exists():
                self._place(target, path, digest)
        except OSError as exc:
            raise StoreError(f"{target}: cannot be stored ({exc.strerror})") from exc
        _refuse_other_bytes(self, name, digest)

    def digest(self, name: str) -> str | None:
        """See `Store.digest`."""
        self._require_root()
        path = self._folder / name
        try:
            with path.open("rb") as file:
                # Ask the disk, not the memory of what was just written.
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise StoreError(f"{path}: cannot be read back ({exc.strerror})") from exc

    def _require_root(self) -> None:
        root = self._folder.parent
        try:
            present = root.is_dir()
        except OSError as exc:
            raise StoreError(f"{root}: cannot be looked at ({exc.strerror})") from exc
        if not present:
            raise StoreError(f"{root}: the folder is missing; is its volume mounted?")

    def _judge_volume(self, source: Path) -> None:
        if not self._volume_judged and source.stat().st_dev == self._folder.stat().st_dev:
            _LOG.warning(
                "%s lies on the volume of the evidence itself: whoever loses one loses both, and "
                "if another volume should be mounted there, it is not",
                self._folder,
            )
        self._volume_judged = True

    def _place(self, target: Path, source: Path, digest: str) -> None:
        part = target.with_name(target.name + ".part")
        _copy(source, part, digest)
        # A crash here leaves a `.part` file, which the next try overwrites.
        try:
            os.link(part, target)
        except FileExistsError:
            pass  # Somebody was faster; whether with the same bytes is looked at next.
        except OSError as exc:
            if exc.errno not in _NO_LINKS:
                raise
            part.rename(target)
        part.unlink(missing_ok=True)
        sync_folder(target.parent)


class S3Store:
    """A bucket, or a prefix in one, of AWS or of a server that speaks like it.

    An upload holds one file in memory: a conditional write is one request.
    """

    def __init__(
        self,
        url: str,
        *,
        region: str = "us-east-1",
        endpoint: str | None = None,
        credentials: Path | None = None,
    ) -> None:
        """Prepare a store; nothing is asked of it yet.

        Args:
            url: `s3://BUCKET/PREFIX`.
            region: of the bucket.
            endpoint: URL of a server that is not AWS.
            credentials: file in the format of AWS' shared credentials, whose profile `default`
                counts; without it, the environment or the instance says who we are.

        Raises:
            SettingsError: the URL or the credentials file is none.
        """
        config: Any = {"region": region, "checksum_algorithm": "SHA256"}
        if endpoint:
            # Both, since the environment may hold the second, which would win over the first.
            config |= {"endpoint": endpoint, "aws_endpoint_url_s3": endpoint}
        if credentials:
            config |= _credentials(credentials)
        self.name = url.rstrip("/")
        scheme, _, place = self.name.partition("://")
        bucket, _, prefix = place.partition("/")
        if scheme != "s3" or not bucket:
            raise SettingsError(f"{url} is not like s3://BUCKET/PREFIX")
        self._bucket = Bucket(
            bucket,
            prefix=prefix or None,
            config=config,
            client_options={
                "allow_http": bool(endpoint and endpoint.startswith("http://")),
                "connect_timeout": timedelta(seconds=5),
                "timeout": timedelta(minutes=10),
            },
            retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=30)},
        )

    def put(self, name: str, path: Path, digest: str) -> None:
        """See `Store.put`."""
        try:
            data = path.read_bytes()
        except OSError as exc:
            raise StoreError(f"{path}: cannot be read ({exc.strerror})") from exc
        _check_source(path, f"sha256:{hashlib.sha256(data).hexdigest()}", digest)
        try:
            obstore.put(self._bucket, name, data, mode="create")
        except (AlreadyExistsError, FileExistsError):
            _refuse_other_bytes(self, name, digest)
        except (BaseError, OSError, ValueError) as exc:
            raise self._failed(name, exc) from exc

    def digest(self, name: str) -> str | None:
        """See `Store.digest`."""
        hashed = hashlib.sha256()
        try:
            for piece in obstore.get(self._bucket, name).stream(min_chunk_size=_PIECE):
                hashed.update(piece)
        except (NotFoundError, FileNotFoundError):
            return None
        except (BaseError, OSError, ValueError) as exc:
            raise self._failed(name, exc) from exc
        return f"sha256:{hashed.hexdigest()}"

    def _failed(self, name: str, exc: Exception) -> StoreError:
        # Only the kind of failure: the client's own text may quote what the server said.
        return StoreError(f"{self.name}/{name}: the store failed ({type(exc).__name__})")


def _refuse_other_bytes(store: Store, name: str, digest: str) -> None:
    if store.digest(name) != digest:
        raise StoreError(
            f"{store.name}/{name}: other bytes are there under that name", code="store_conflict"
        )


def _check_source(path: Path, found: str, announced: str) -> None:
    if found != announced:
        raise StoreError(f"{path.name}: its bytes are not {announced}", code="store_mismatch")


def _copy(source: Path, part: Path, digest: str) -> None:
    hashed = hashlib.sha256()
    with source.open("rb") as read, open(part, "wb", opener=private) as written:
        while piece := read.read(_PIECE):
            hashed.update(piece)
            written.write(piece)
        written.flush()
        os.fsync(written.fileno())
    if f"sha256:{hashed.hexdigest()}" != digest:
        part.unlink()
        _check_source(source, f"sha256:{hashed.hexdigest()}", digest)


def _make(folder: Path) -> None:
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for made in reversed(missing):
        made.mkdir(mode=0o700, exist_ok=True)
        sync_folder(made.parent)


def _credentials(path: Path) -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text("utf-8"))
        section = parser["default"]
        found = {
            "access_key_id": section["aws_access_key_id"],
            "secret_access_key": section["aws_secret_access_key"],
        }
    except (OSError, ValueError, KeyError, configparser.Error) as exc:
        # Never the parser's own text, which quotes the line.
        raise SettingsError(f"{path}: no credentials can be read from it") from exc
    token = section.get("aws_session_token")
    return found | ({"session_token": token} if token else {})
