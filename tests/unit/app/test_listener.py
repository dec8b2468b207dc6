import socket
import stat
from pathlib import Path

import pytest

from gateway.app.listener import listeners, mutual_tls
from gateway.core.errors import SettingsError
from gateway.settings import Server, Settings
from tests.e2e.gateways import free_port
from tests.unit.app.settings import LOOPBACK, Authority, edge, settings


def on(path: Path, **more: str) -> Settings:
    """Return settings with a terminator on this socket."""
    return settings(server=Server(port=free_port()), terminators=(edge(socket=path, **more),))


def connects(path: Path) -> bool:
    """Say whether somebody listens on a Unix socket."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except ConnectionRefusedError:
            return False
    return True


def test_a_terminators_socket_is_the_gateways_alone_and_goes_with_it(tmp_path: Path) -> None:
    """House: identity §3: the trust is the socket's permissions."""
    path = tmp_path / "edge.sock"
    with listeners(on(path)) as (own, taken):
        assert (own.terminator, taken.terminator) == (None, "edge")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        # Between bind and listen nobody gets in.
        assert not connects(path)
        taken.bound.listen()
        assert connects(path)
    assert not path.exists()


def test_a_group_may_open_the_socket_if_settings_say_so(tmp_path: Path) -> None:
    """House: a terminator runs as somebody else."""
    path = tmp_path / "edge.sock"
    with listeners(on(path, socket_group=tmp_path.group())):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert path.group() == tmp_path.group()


def test_a_socket_that_a_dead_gateway_left_is_replaced(tmp_path: Path) -> None:
    """House: a crash does not keep the next start out."""
    path = tmp_path / "edge.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    left = path.stat().st_ino, path.stat().st_ctime_ns
    with listeners(on(path)) as (_, taken):
        assert (path.stat().st_ino, path.stat().st_ctime_ns) != left
        taken.bound.listen()
        assert connects(path)


def test_a_socket_that_somebody_listens_on_is_left_alone(tmp_path: Path) -> None:
    """House: whoever it is, the terminator talks to it."""
    path = tmp_path / "edge.sock"
    with socket.socket(socket.AF_UNIX) as living:
        living.bind(str(path))
        living.listen()
        with (
            pytest.raises(SettingsError, match=r"unix:.*somebody listens there"),
            listeners(on(path)),
        ):
            pass
        assert connects(path)


def test_of_two_gateways_that_start_at_once_one_has_the_socket(tmp_path: Path) -> None:
    """House: between bind and listen a living socket looks like a dead one's."""
    path = tmp_path / "edge.sock"
    with listeners(on(path)) as (_, first):
        with pytest.raises(SettingsError, match="another gateway has it"), listeners(on(path)):
            pass
        first.bound.listen()
        assert connects(path)


def test_what_is_no_socket_is_never_removed(tmp_path: Path) -> None:
    """House: a slip in settings costs no file."""
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(SettingsError, match="no socket is there"), listeners(on(path)):
        pass
    assert path.read_text() == "data"
    link = tmp_path / "link"
    link.symlink_to(path)
    with pytest.raises(SettingsError, match="no socket is there"), listeners(on(link)):
        pass


def test_a_folder_that_anybody_may_write_to_holds_no_socket(tmp_path: Path) -> None:
    """House: there anybody could put a socket of their own in its place."""
    tmp_path.chmod(0o777)
    path = tmp_path / "edge.sock"
    with pytest.raises(SettingsError, match="anybody may write"), listeners(on(path)):
        pass
    tmp_path.chmod(0o1777)
    with listeners(on(path)):
        assert path.is_socket()


@pytest.mark.parametrize(
    ("name", "group", "reason"),
    [
        ("missing/edge.sock", None, "no such file"),
        ("a" * 200, None, "too long"),
        ("edge.sock", "no-such-group-here", "no such group"),
    ],
    ids=["folder", "length", "group"],
)
def test_a_socket_that_cannot_be_made_is_one_failure_and_leaves_nothing(
    tmp_path: Path, name: str, group: str | None, reason: str
) -> None:
    """House: all listeners are had or none is."""
    more = {} if group is None else {"socket_group": group}
    wanted = on(tmp_path / name, **more)
    with pytest.raises(SettingsError, match=reason), listeners(wanted):
        pass
    assert not (tmp_path / name).exists()
    with socket.socket() as free:
        free.bind((LOOPBACK, wanted.server.port))


def test_a_peer_needs_no_listener_of_its_own() -> None:
    """House: it connects to the data plane."""
    wanted = settings(server=Server(port=free_port()), terminators=(edge(peer=LOOPBACK),))
    with listeners(wanted) as taken:
        assert [listener.terminator for listener in taken] == [None]


def test_a_terminators_own_tls_listener_is_bound_with_its_files(tmp_path: Path) -> None:
    """House."""
    authority = Authority(tmp_path, "authority")
    certificate, key = authority.issue("gateway")
    address = f"{LOOPBACK}:{free_port()}"
    terminator = edge(listen=address, certificate=certificate, key=key, client_ca=authority.path)
    with listeners(settings(server=Server(port=free_port()), terminators=(terminator,))) as taken:
        assert taken[1].address == address
        assert taken[1].tls == mutual_tls(terminator)


@pytest.mark.parametrize("broken", ["certificate", "key", "client_ca", "no authority"])
def test_tls_files_that_do_not_hold_what_they_should_are_seen_at_start(
    tmp_path: Path, broken: str
) -> None:
    """House: without an authority the server would let in everybody, or crash."""
    authority = Authority(tmp_path, "authority")
    certificate, key = authority.issue("gateway")
    files = {"certificate": certificate, "key": key, "client_ca": authority.path}
    junk = tmp_path / "junk"
    junk.write_text("junk")
    files |= {"client_ca": certificate} if broken == "no authority" else {broken: junk}
    with pytest.raises(SettingsError, match="terminators: edge"):
        mutual_tls(edge(listen=f"{LOOPBACK}:1", **files))
