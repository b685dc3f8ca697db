"""Look-ups on behalf of a program: from its root and working directory, with its rights."""

import errno
import os
import socket
import stat
import struct
import threading
from contextlib import nullcontext
from functools import partial

import pytest

from supervisor.errors import CannotServe, SyscallError, TraceeGone
from supervisor.kernel import libc
from supervisor.kernel.hostfd import HostFd
from supervisor.kernel.identity import Credentials, acting_as, own_credentials
from supervisor.kernel.paths import ProgramPaths, name_of
from tests.unit.kernel.puppet import NOBODY, Puppet, needs_root

UNIX = struct.pack("=H", socket.AF_UNIX)
NOBODY_AT_ALL = Credentials(NOBODY, NOBODY, (), 0)
CLONE_NEWNS = 0x20000


@pytest.fixture
def program():
    with Puppet() as puppet:
        yield puppet


@pytest.fixture
def home(tmp_path, program):
    """The program's working directory: data/file, "link" to it, and "absolute", a link by its full name."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_text("ours")
    (tmp_path / "link").symlink_to("data/file")
    (tmp_path / "absolute").symlink_to(tmp_path / "data" / "file")
    program.do(os.chdir, tmp_path)
    return tmp_path


def paths_of(program, acting=nullcontext):
    return ProgramPaths(program.pid, acting)


def found(paths, path, **options):
    with paths.open(os.fsencode(path), **options) as fd:
        return os.fsdecode(name_of(fd))


def refusal(call, *arguments):
    with pytest.raises(SyscallError) as caught:
        call(*arguments)
    return caught.value.errno


# The same root.


@pytest.mark.parametrize("path", ["data/file", "./data//file", "data/../link", "link", "absolute"])
def test_from_the_programs_working_directory(program, home, path):
    assert found(paths_of(program), path) == f"{home}/data/file"


def test_an_absolute_path(program, home):
    assert found(paths_of(program), home / "link") == f"{home}/data/file"
    assert found(paths_of(program), "/") == "/"


def test_the_descriptor_opens_nothing(program, home):
    with paths_of(program).open(b"link") as fd:
        assert not os.get_inheritable(fd.fileno())
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.read(fd.fileno(), 1)


def test_flags_are_passed_on(program, home):
    assert found(paths_of(program), "link", flags=os.O_NOFOLLOW) == f"{home}/link"
    assert refusal(paths_of(program).open, b"data/file", os.O_DIRECTORY) == errno.ENOTDIR


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (b"nothing", errno.ENOENT), (b"", errno.ENOENT), (b"data/file/x", errno.ENOTDIR), (b"loop", errno.ELOOP),
        (b"x" * 256, errno.ENAMETOOLONG), (b"x/" * 2100, errno.ENAMETOOLONG),
    ],
)
def test_the_look_ups_errors_are_the_programs(program, home, path, code):
    (home / "loop").symlink_to("loop")
    assert refusal(paths_of(program).open, path) == code


def test_a_directory_that_was_removed(program, tmp_path):
    (tmp_path / "gone").mkdir()
    program.do(os.chdir, tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert refusal(paths_of(program).open, b"file") == errno.ENOENT


def test_proc_self_is_the_program(program, home):
    assert found(paths_of(program), "/proc/self/cwd") == str(home)
    assert found(paths_of(program), "/proc/thread-self/cwd/data") == f"{home}/data"


@pytest.mark.parametrize("path", ["/proc//self/cwd", "/proc/./self/cwd", "//proc/self/cwd"])
def test_proc_self_in_other_words_is_the_program(program, home, path):
    assert found(paths_of(program), path) == str(home)


def test_proc_self_behind_a_link_is_refused(program, home):
    (home / "self").symlink_to("/proc/self")
    with pytest.raises(CannotServe):
        found(paths_of(program), "self/cwd")


def test_a_program_that_is_gone(program, home):
    paths = paths_of(program)
    program.kill()
    with pytest.raises(TraceeGone):
        paths.open(b"data/file")


@needs_root
def test_a_program_that_we_may_not_look_into(program, home):
    with Puppet() as stranger:
        stranger.do(os.setresuid, NOBODY, NOBODY, NOBODY)
        assert stranger.do(look, program.pid, b"link") == "CannotServe"


def look(pid, path):
    try:
        ProgramPaths(pid, nullcontext).open(path)
    except Exception as error:
        return type(error).__name__
    return ""


# Another root.


def change_root(root):
    os.chroot(root)
    os.chdir("/")


@pytest.fixture
def jail(tmp_path, program):
    """A root directory of its own, with links that would leave it: sock, in, out, up."""
    jail = tmp_path / "jail"
    (jail / "run").mkdir(parents=True)
    (jail / "run" / "sock").touch()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "sock").touch()
    (jail / "in").symlink_to("/run/sock")
    (jail / "out").symlink_to(tmp_path / "run" / "sock")
    (jail / "up").symlink_to("../run/sock")
    program.do(change_root, jail)
    return jail


@needs_root
@pytest.mark.parametrize("path", ["/run/sock", "/in", "/up", "/../run/sock", "run/sock", "in", "up", "../../run/sock"])
def test_everything_stays_below_the_programs_root(program, jail, path):
    assert found(paths_of(program), path) == f"{jail}/run/sock"


@needs_root
def test_what_is_not_below_its_root_is_not_there(program, jail):
    assert refusal(paths_of(program).open, b"/out") == errno.ENOENT
    assert refusal(paths_of(program).open, os.fsencode(jail / "run" / "sock")) == errno.ENOENT


@needs_root
def test_a_working_directory_in_another_root(program, jail):
    program.do(os.chdir, "run")
    assert found(paths_of(program), "sock") == f"{jail}/run/sock"
    assert found(paths_of(program), "../in") == f"{jail}/run/sock"


def leave_mounts():
    assert libc.unshare(CLONE_NEWNS) == 0


@needs_root
def test_another_mount_namespace(program, home):
    program.do(leave_mounts)
    assert found(paths_of(program), "absolute") == f"{home}/data/file"


# Somebody else.


def as_nobody():
    return acting_as(NOBODY_AT_ALL, own_credentials())


@pytest.fixture
def nobodys(program):
    return paths_of(program, as_nobody)


@pytest.fixture
def open_home(home):
    """The directories that lead there are for everybody."""
    for directory in (home, *home.parents):
        if directory.stat().st_uid == os.geteuid() and directory.name:
            directory.chmod(directory.stat().st_mode | 0o11)
        if directory.name.startswith("pytest-of-"):
            return home
    return home


@needs_root
def test_a_directory_that_the_program_may_not_enter(program, nobodys, open_home):
    assert found(nobodys, "link") == f"{open_home}/data/file"
    (open_home / "data").chmod(0o700)
    assert refusal(nobodys.open, b"link") == errno.EACCES
    assert found(paths_of(program), "link") == f"{open_home}/data/file"
    assert os.geteuid() == 0


@needs_root
def test_what_the_program_may_not_write(program, nobodys, open_home):
    file = open_home / "data" / "file"
    file.chmod(0o644)
    assert found(nobodys, "link") == str(file)
    assert refusal(nobodys.open_writable, b"link") == errno.EACCES
    paths_of(program).open_writable(b"link").close()
    file.chmod(0o666)
    nobodys.open_writable(b"link").close()


def never():
    raise PermissionError(errno.EPERM, "not me")


class Never:
    """An identity that we may not take."""

    def __enter__(self):
        never()

    def __exit__(self, *_):
        raise AssertionError("it was never entered")


def test_an_identity_that_we_may_not_take_is_no_errno_of_the_program(program, home):
    with pytest.raises(CannotServe, match="not me"):
        paths_of(program, Never).open(b"link")


# Binding.


def on_a_worker(function, *arguments):
    """Run on a thread of its own, as look-ups are: its file system context is not ours afterwards."""
    results, failures = [], []

    def run():
        try:
            results.append(function(*arguments))
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]


@pytest.fixture
def sock():
    with HostFd(socket.socket(socket.AF_UNIX).detach()) as fd:
        yield fd


def bind(paths, fd, name, umask=0o022):
    with paths.open(name.rpartition(b"/")[0] or b".") as directory:
        on_a_worker(partial(paths.bind, fd, UNIX + name, umask, directory))


def name_of_socket(fd):
    with socket.socket(fileno=os.dup(fd.fileno())) as sock:
        return os.fsencode(sock.getsockname())


def umask_of_this_process():
    with open("/proc/self/status", encoding="utf-8", errors="replace") as file:
        return next(line for line in file if line.startswith("Umask:"))


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o755), (0, 0o777), (0o177, 0o600)])
def test_binding_in_the_programs_directory_with_its_umask(program, home, sock, umask, mode):
    before = os.getcwd(), umask_of_this_process()
    bind(paths_of(program), sock, b"data/sock", umask)
    status = (home / "data" / "sock").stat()
    assert stat.S_ISSOCK(status.st_mode)
    assert stat.S_IMODE(status.st_mode) == mode
    assert name_of_socket(sock) == b"data/sock"
    assert (os.getcwd(), umask_of_this_process()) == before


@pytest.mark.parametrize(("name", "code"), [(b"link", errno.EADDRINUSE), (b"no/sock", errno.ENOENT)])
def test_bindings_errors_are_the_programs(program, home, sock, name, code):
    assert refusal(bind, paths_of(program), sock, name) == code


@needs_root
def test_binding_as_somebody_else(nobodys, open_home, sock):
    assert refusal(bind, nobodys, sock, b"data/sock") == errno.EACCES
    (open_home / "data").chmod(0o777)
    bind(nobodys, sock, b"data/sock")
    assert (open_home / "data" / "sock").stat().st_uid == NOBODY


@needs_root
def test_binding_in_another_root_is_refused(program, jail, sock):
    with pytest.raises(CannotServe, match="another root"):
        bind(paths_of(program), sock, b"/run/new")


def test_binding_for_a_program_that_is_gone(program, sock):
    paths = paths_of(program)
    program.kill()
    with pytest.raises(TraceeGone):
        bind(paths, sock, b"sock")


def test_binding_below_proc_self_is_binding_below_the_programs(program, home, sock, tmp_path_factory, monkeypatch):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "data").mkdir()
    monkeypatch.chdir(elsewhere)
    try:
        bind(paths_of(program), sock, b"/proc/self/cwd/data/sock")
    except (CannotServe, SyscallError):
        assert not (elsewhere / "data" / "sock").exists()
    else:
        assert (home / "data" / "sock").exists()
