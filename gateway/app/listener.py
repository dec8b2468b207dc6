"""Listeners: the sockets that calls come in by, taken before anything else is started.

All that settings name are had, or none is. Sockets are bound without SO_REUSEPORT, so two gateways
never share one unseen. A terminator's Unix socket is ours alone from its first moment: its mode is
the trust. Nobody can connect to any of them before `serve`. Does not serve.
"""

import fcntl
import os
import shutil
import socket
import ssl
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.core.errors import SettingsError
from gateway.settings import Server, Settings, Terminator
from gateway.settings.agreement import listen_address

_OWNER_ONLY: Final = 0o600
_WITH_GROUP: Final = 0o660


@dataclass(frozen=True, slots=True)
class MutualTLS:
    """TLS that lets in only clients with a certificate of one authority; all files are PEM."""

    certificate: Path
    key: Path
    client_ca: Path


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket that is ours, and what is believed of those who come in by it."""

    address: str
    """As people read it: `HOST:PORT`, or `unix:PATH`."""
    bound: socket.socket
    terminator: str | None = None
    """The TLS terminator that alone can come in here."""
    tls: MutualTLS | None = None


@contextmanager
def listeners(settings: Settings) -> Iterator[tuple[Listener, ...]]:
    """Take every address that settings name, the data plane's first; give them back in the end.

    Raises:
        SettingsError: one of them cannot be had; then none is.
    """
    with ExitStack() as stack:
        own = stack.enter_context(bind(settings.server))
        taken = [Listener(settings.server.address, own)]
        for terminator in settings.terminators:
            if terminator.socket is not None:
                bound = stack.enter_context(_unix(terminator.socket, terminator.socket_group))
                taken.append(Listener(f"unix:{terminator.socket}", bound, terminator.name))
            elif terminator.listen is not None:
                host, port = listen_address(terminator)
                tls = mutual_tls(terminator)
                bound = stack.enter_context(_tcp(host, port, terminator.listen))
                taken.append(Listener(terminator.listen, bound, terminator.name, tls))
        yield tuple(taken)


def bind(listener: Server) -> socket.socket:
    """Take the data plane's address, or say who cannot have it.

    Raises:
        SettingsError: the address cannot be had.
    """
    return _tcp(listener.host, listener.port, listener.address)


def _tcp(host: str, port: int, address: str) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, name = found[0]
        bound = socket.socket(family, kind, protocol)
    except (OSError, ValueError) as exc:
        raise cannot_listen(address, exc) from exc
    try:
        # A restart is not kept out by connections that linger; a living listener still keeps out.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        bound.bind(name)
    except OSError as exc:
        bound.close()
        raise cannot_listen(address, exc) from exc
    return bound


@contextmanager
def _unix(path: Path, group: str | None) -> Iterator[socket.socket]:
    """Make a Unix socket that only our user, and a group if given, can open; remove it at the end.

    Raises:
        SettingsError: it cannot be made, or somebody lives there.
    """
    address = f"unix:{path}"
    with ExitStack() as stack:
        try:
            _check_folder(path.parent)
            stack.callback(os.close, _locked(path.with_name(f"{path.name}.lock")))
            _clear(path)
            bound = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            # From its first moment on: a mode that is set afterwards leaves a gap.
            previous = os.umask(0o777 & ~_OWNER_ONLY)
            try:
                bound.bind(str(path))
            finally:
                os.umask(previous)
            stack.callback(_unlink, path)
            if group is not None:
                shutil.chown(path, group=group)
                path.chmod(_WITH_GROUP)
        except (OSError, LookupError) as exc:
            raise cannot_listen(address, exc) from exc
        yield bound


def _check_folder(folder: Path) -> None:
    mode = folder.stat().st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        # Anybody could put a socket of their own in its place, and be told every token.
        raise OSError("anybody may write to its folder")


def _locked(path: Path) -> int:
    """Take the lock of a socket, which a living gateway holds as long as it has the socket.

    Between bind and listen a socket looks dead; without the lock, two that start at once would
    each take it from the other.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        os.close(fd)
        raise OSError("another gateway has it") from exc
    return fd


def _clear(path: Path) -> None:
    """Remove what a gateway that died left; never a file, nor what somebody listens on."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError("something that is no socket is there")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:
            pass
    raise OSError("somebody listens there")


def _unlink(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


def mutual_tls(terminator: Terminator) -> MutualTLS:
    """Return a terminator's TLS, once its files are seen to be what they should be.

    Raises:
        SettingsError: one of them is not; the server would notice too late, or by a crash.
    """
    certificate, key, client_ca = terminator.certificate, terminator.key, terminator.client_ca
    if certificate is None or key is None or client_ca is None:
        raise SettingsError(f"terminators: {terminator.name}.listen: needs mutual TLS")
    where = f"terminators: {terminator.name}"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # An empty password, so that nobody is asked for one at a terminal.
        context.load_cert_chain(certificate, key, password="")
    except OSError as exc:
        raise SettingsError(f"{where}: certificate and key do not make a pair ({exc})") from exc
    try:
        context.load_verify_locations(client_ca)
    except OSError as exc:
        raise SettingsError(f"{where}.client_ca: holds no certificate ({exc})") from exc
    if not context.cert_store_stats()["x509_ca"]:
        raise SettingsError(f"{where}.client_ca: holds no certificate of an authority")
    return MutualTLS(certificate, key, client_ca)


def cannot_listen(address: str, exc: Exception) -> SettingsError:
    """Return the failure to take an address, in the system's words."""
    reason = (exc.strerror if isinstance(exc, OSError) else None) or str(exc)
    reason = reason[:1].lower() + reason[1:]
    return SettingsError(f"{address}: cannot listen ({reason})")
