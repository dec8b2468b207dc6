"""An S3-compatible server on loopback, in a process of its own: the server of moto.

It keeps objects in memory, honours `If-None-Match` and refuses who does not sign, but checks no
signature and no checksum that a client sends; what a test claims about bytes must come from reading
them back.
"""

import json
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

import httpx
import pytest

from tests.e2e.processes import running

BUCKET = "evidence"


@contextmanager
def s3_server() -> Iterator[str]:
    """Run the server while the block lasts; yield its URL, with one empty bucket there."""
    if find_spec("moto") is None or find_spec("flask") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("moto is not installed")
        pytest.skip("moto is not installed")
    with running([sys.executable, "-m", "tests.s3_server"]) as ready:
        with httpx.Client(trust_env=False) as client:
            client.put(f"{ready['url']}/{BUCKET}").raise_for_status()
        yield ready["url"]


def main() -> None:
    """Serve until terminated."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    sys.stdout.write(json.dumps({"url": f"http://{host}:{port}"}) + "\n")
    sys.stdout.flush()
    signal.pause()


if __name__ == "__main__":
    main()
