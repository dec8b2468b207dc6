"""A SPIFFE Workload API on a Unix socket: a real gRPC server with bundles that a test sets.

    with workload_api_server(folder) as api:
        api.socket              `unix:///…`, as settings name it
        api.jwt[name] = ...     JWK set of the trust domain `name` (`spiffe://…`)
        api.x509[name] = ...    its authorities, DER, one after another
        api.silent = True       takes calls and does not answer, until the block ends; the name of
                                a call instead: does not answer that one
        api.refuses = True      knows no caller (PERMISSION_DENIED)
        api.asked               names of the calls, in order
        api.headers             metadata of each call

It answers in threads, so a test may block on it or not. Streams send one message and stay open, as
those of an agent do. Does not issue SVIDs and does not attest who asks.
"""

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import grpc  # type: ignore[import-untyped]
from spiffe._proto import workload_pb2, workload_pb2_grpc

OPEN_SECONDS: Final = 30
"""A stream ends after this even if nobody ends it, so that no test hangs."""
_THREADS: Final = 8


class WorkloadAPIServer(workload_pb2_grpc.SpiffeWorkloadAPIServicer):
    """The server and what it saw. Owned by one test; made by `workload_api_server`."""

    def __init__(self, socket: str) -> None:
        self.socket = socket
        self.jwt: dict[str, bytes] = {}
        self.x509: dict[str, bytes] = {}
        self.silent: bool | str = False
        self.refuses = False
        self.asked: list[str] = []
        self.headers: list[Mapping[str, Any]] = []

    def FetchJWTBundles(self, request: Any, context: Any) -> Iterator[Any]:
        """Send the JWT bundles (Workload API §6.2.2)."""
        answer = workload_pb2.JWTBundlesResponse(bundles=self.jwt)
        return self._stream("FetchJWTBundles", answer, context)

    def FetchX509Bundles(self, request: Any, context: Any) -> Iterator[Any]:
        """Send the X.509 bundles (Workload API §5.2.2)."""
        answer = workload_pb2.X509BundlesResponse(bundles=self.x509)
        return self._stream("FetchX509Bundles", answer, context)

    def _stream(self, name: str, answer: Any, context: Any) -> Iterator[Any]:
        self.asked.append(name)
        self.headers.append(dict(context.invocation_metadata()))
        if self.refuses:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "no identity issued")
        gone = threading.Event()
        if not context.add_callback(gone.set):
            return
        if self.silent not in (True, name):
            yield answer
        # Until the caller goes: `stop` below cancels the streams that are still open.
        gone.wait(OPEN_SECONDS)


@contextmanager
def workload_api_server(folder: Path) -> Iterator[WorkloadAPIServer]:
    """Serve a Workload API in this folder while the block runs."""
    api = WorkloadAPIServer(f"unix://{folder / 'agent.sock'}")
    threads = ThreadPoolExecutor(_THREADS)
    server = grpc.server(threads)
    workload_pb2_grpc.add_SpiffeWorkloadAPIServicer_to_server(api, server)  # type: ignore[no-untyped-call]
    server.add_insecure_port(api.socket)
    server.start()
    try:
        yield api
    finally:
        server.stop(grace=None).wait()
        threads.shutdown()
