import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from gateway.core.errors import SettingsError
from gateway.evidence.retention.stores import FolderStore, S3Store, Store, StoreError
from tests.fakes_store import FakeStore
from tests.s3_server import BUCKET, s3_server


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    """A server for every test of this file; each uses a prefix of its own."""
    with s3_server() as url:
        yield url


@dataclass
class Subject:
    """A store, one that cannot work, and a folder for sources."""

    store: Store
    broken: Store
    sources: Path

    def file(self, data: bytes) -> tuple[Path, str]:
        """Make a source; return it and its digest."""
        path = self.sources / hashlib.sha256(data).hexdigest()[:12]
        path.write_bytes(data)
        return path, f"sha256:{hashlib.sha256(data).hexdigest()}"


@pytest.fixture(params=["FolderStore", "S3Store", "FakeStore"])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Subject:
    """Each store in turn."""
    if request.param == "FakeStore":
        broken = FakeStore()
        broken.down = True
        return Subject(FakeStore(), broken, tmp_path)
    if request.param == "FolderStore":
        (tmp_path / "file").touch()
        return Subject(FolderStore(tmp_path / "b"), FolderStore(tmp_path / "file" / "b"), tmp_path)
    keys = tmp_path / "credentials"
    keys.write_text("[default]\naws_access_key_id = k\naws_secret_access_key = s\n")
    url = request.getfixturevalue("s3_url")
    prefix = hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]
    return Subject(
        S3Store(f"s3://{BUCKET}/{prefix}", endpoint=url, credentials=keys),
        S3Store("s3://no-such-bucket/p", endpoint=url, credentials=keys),
        tmp_path,
    )


def test_what_was_put_reads_back_as_it_was(subject: Subject) -> None:
    """house: the digest is that of the bytes in the store."""
    path, digest = subject.file(bytes(range(256)) * 10_000)
    subject.store.put("seg-1.zst", path, digest)
    assert subject.store.digest("seg-1.zst") == digest


def test_an_empty_file_is_stored_too(subject: Subject) -> None:
    """House."""
    path, digest = subject.file(b"")
    subject.store.put("empty", path, digest)
    assert subject.store.digest("empty") == digest


def test_a_name_may_have_parts(subject: Subject) -> None:
    """house: blobs lie in folders."""
    path, digest = subject.file(b"blob")
    subject.store.put("blobs/sha256/ab/abc", path, digest)
    assert subject.store.digest("blobs/sha256/ab/abc") == digest
    assert subject.store.digest("abc") is None


def test_nothing_under_a_name_has_no_digest(subject: Subject) -> None:
    """House."""
    assert subject.store.digest("nothing") is None


def test_the_same_bytes_may_be_put_again(subject: Subject) -> None:
    """house: a crash between putting and recording repeats the put."""
    path, digest = subject.file(b"same")
    subject.store.put("n", path, digest)
    subject.store.put("n", path, digest)
    assert subject.store.digest("n") == digest


def test_other_bytes_never_replace_what_is_there(subject: Subject) -> None:
    """house: WORM in spirit, whatever the store could do."""
    path, digest = subject.file(b"first")
    other, other_digest = subject.file(b"other")
    subject.store.put("n", path, digest)
    with pytest.raises(StoreError) as caught:
        subject.store.put("n", other, other_digest)
    assert caught.value.reason_code == "store_conflict"
    assert subject.store.digest("n") == digest


def test_bytes_that_are_not_the_announced_ones_are_not_stored(subject: Subject) -> None:
    """house: a file that was damaged here must not be shipped as if it were whole."""
    path, _ = subject.file(b"damaged")
    with pytest.raises(StoreError) as caught:
        subject.store.put("n", path, "sha256:" + "0" * 64)
    assert caught.value.reason_code == "store_mismatch"
    assert subject.store.digest("n") is None


def test_a_store_that_does_not_work_says_so(subject: Subject) -> None:
    """house: a foreign exception never leaves the adapter."""
    path, digest = subject.file(b"x")
    with pytest.raises(StoreError) as caught:
        subject.broken.put("n", path, digest)
    assert caught.value.reason_code == "store_failed"


def test_a_folder_store_leaves_no_parts_behind(tmp_path: Path) -> None:
    """house: what lies in a store is whole."""
    source = tmp_path / "s"
    source.write_bytes(b"x")
    store = FolderStore(tmp_path / "store")
    store.put("n", source, f"sha256:{hashlib.sha256(b'x').hexdigest()}")
    with pytest.raises(StoreError):
        store.put("m", source, "sha256:" + "0" * 64)
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["n"]


def test_a_folder_store_does_not_make_what_it_lies_in(tmp_path: Path) -> None:
    """house: a volume that is not mounted must not look like an empty one."""
    source = tmp_path / "s"
    source.write_bytes(b"x")
    store = FolderStore(tmp_path / "volume" / "0")
    with pytest.raises(StoreError) as put:
        store.put("n", source, f"sha256:{hashlib.sha256(b'x').hexdigest()}")
    with pytest.raises(StoreError) as asked:
        store.digest("n")
    assert {put.value.reason_code, asked.value.reason_code} == {"store_failed"}
    assert not (tmp_path / "volume").exists()


def test_a_folder_store_on_the_volume_of_its_source_is_told_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """house: an empty mount point looks like this; and one volume is no second place."""
    source = tmp_path / "s"
    source.write_bytes(b"x")
    store = FolderStore(tmp_path / "0")
    for name in "nm":
        store.put(name, source, f"sha256:{hashlib.sha256(b'x').hexdigest()}")
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_folder_store_on_another_volume_is_not_told_of(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """house: that is how it should be."""
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second volume")
    source = tmp_path / "s"
    source.write_bytes(b"x")
    with TemporaryDirectory(dir=shared) as volume:
        digest = f"sha256:{hashlib.sha256(b'x').hexdigest()}"
        FolderStore(Path(volume) / "0").put("n", source, digest)
    assert caplog.records == []


def test_a_part_of_a_crash_does_not_stand_in_the_way(tmp_path: Path) -> None:
    """house: a crash while copying leaves a `.part`."""
    source = tmp_path / "s"
    source.write_bytes(b"x")
    digest = f"sha256:{hashlib.sha256(b'x').hexdigest()}"
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "n.part").write_bytes(b"a longer half of something")
    store = FolderStore(tmp_path / "store")
    store.put("n", source, digest)
    assert store.digest("n") == digest


@pytest.mark.parametrize("url", ["", "evidence", "s3://", "https://bucket/x", "s3:///x"])
def test_a_bucket_is_named_by_an_s3_url(url: str) -> None:
    """house: settings that name nothing stop the start."""
    with pytest.raises(SettingsError):
        S3Store(url)


@pytest.mark.parametrize("text", ["", "no ini", "[default]\n", "[other]\naws_access_key_id = k\n"])
def test_a_credentials_file_without_credentials_is_refused(tmp_path: Path, text: str) -> None:
    """house: without it, the environment would speak instead, as somebody else."""
    path = tmp_path / "credentials"
    path.write_text(text)
    with pytest.raises(SettingsError):
        S3Store("s3://bucket", credentials=path)
