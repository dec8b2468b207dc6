"""A log, its retention and a bucket together, as a gateway has them."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from backports import zstd

from gateway.evidence.retention.keeper import Keeper
from gateway.evidence.retention.stores import S3Store
from gateway.evidence.segments import records, segments
from tests.s3_server import BUCKET, s3_server
from tests.unit.evidence.logs import open_log
from tests.unit.evidence.shelf import LaterClock, anchor, blob_log

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    """A server for the tests of this file."""
    with s3_server() as url:
        yield url


SIGNED = "AWS4-HMAC-SHA256 Credential=k/20261124/us-east-1/s3/aws4_request, Signature=0"
"""The server asks for a signature, and does not check it."""


def fetch(url: str, name: str) -> bytes:
    """Fetch an object as anybody could, without the code under test."""
    with httpx.Client(trust_env=False) as client:
        return (
            client.get(f"{url}/{BUCKET}/worker-0/{name}", headers={"Authorization": SIGNED})
            .raise_for_status()
            .content
        )


def store_at(url: str, folder: Path) -> S3Store:
    """Return a store with credentials from a file."""
    keys = folder / "credentials"
    keys.write_text("[default]\naws_access_key_id = k\naws_secret_access_key = s\n")
    return S3Store(f"s3://{BUCKET}/worker-0", endpoint=url, credentials=keys)


async def test_what_is_deleted_here_can_be_fetched_from_the_bucket(
    s3_url: str, tmp_path: Path
) -> None:
    """house: byte for byte, the blob and the proofs with it; the log tells of it all."""
    folder = tmp_path / "log"
    (digest,) = await blob_log(folder, [b"a long body"])
    before = {path.name: path.read_bytes() for path in segments(folder)[:-1]}
    size, store = anchor(folder), store_at(s3_url, tmp_path)
    for _ in range(2):  # The record, then, once a checkpoint covers it, the deed.
        log = open_log(folder)
        keeper = Keeper(folder, log.append, LaterClock(), store=store, keep_days=0)
        await keeper.run_once(size)
        await log.close()
        assert keeper.failures == {}
    assert not any((folder / f"{name}.zst").exists() for name in before)
    for name, data in before.items():
        assert zstd.decompress(fetch(s3_url, f"{name}.zst")) == data
    assert fetch(s3_url, f"blobs/sha256/{digest[7:9]}/{digest[7:]}") == b"a long body"
    deleted = [r.fields for r in records(folder) if r.fields.get("action") == "deleted"]
    assert [fields["segment"] for fields in deleted] == list(before)
    assert {fields["store"] for fields in deleted} == {f"s3://{BUCKET}/worker-0"}


async def test_a_bucket_that_is_not_there_keeps_everything_here(
    s3_url: str, tmp_path: Path
) -> None:
    """house: the failure is known, and the log goes on."""
    folder = tmp_path / "log"
    await blob_log(folder, [b"body"])
    store_at(s3_url, tmp_path)
    store = S3Store("s3://no-such-bucket", endpoint=s3_url, credentials=tmp_path / "credentials")
    before = len(segments(folder))
    log = open_log(folder)
    keeper = Keeper(folder, log.append, LaterClock(), store=store, keep_days=0)
    await keeper.run_once(anchor(folder))
    assert any(why.startswith("store_failed") for why in keeper.failures.values())
    await log.append("intent", {"call_id": "goes on"})
    await log.close()
    assert len(segments(folder)) == before
