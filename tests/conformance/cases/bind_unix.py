"""bind(2) on unix sockets: paths and what is left in the file system, abstract names, autobind."""

import os
import stat

from tests.conformance.address import un
from tests.conformance.case import case
from tests.conformance.kinds import (
    ABSTRACT,
    PATH,
    UNIX,
)
from tests.conformance.raw import libc, must, syscall

LENGTHS = (0, 1, 2, 3, 4, 8, 15, 16, 17, 28, 64, 107, 108, 109, 110, 111, 127, 128, 129, 200)


@case(kinds=UNIX)
def name_in_use(c):
    """The same unix name twice; after close a path stays, an abstract name goes."""
    first = c.bound()
    second = c.new()
    c.bind(second, first.address, label="second")
    c.close(first.fd)
    c.bind(second, first.address, label="after close")


@case(kinds=PATH)
def lengths_path(c):
    """A relative path of every length; what name comes out and which file is there."""
    os.chdir(c.directory())
    for length in LENGTHS:
        fd = c.new()
        c.bind(fd, un("p" * 256), length, label=f"length {length}")
        c.getsockname(fd)
    found = sorted(path.name for path in c.directory().iterdir() if set(path.name) == {"p"})
    c.note("files", [len(name) for name in found])


@case(kinds=ABSTRACT)
def lengths_abstract(c):
    """An abstract name cut at every length that keeps it ours."""
    name = un(c.names.abstract("n")) + b"a" * 256
    for length in LENGTHS[LENGTHS.index(15) :]:
        fd = c.new()
        c.bind(fd, name, length, label=f"length {length}")
        c.getsockname(fd)


@case(kinds=UNIX)
def late_name(c):
    """The peer of a unix socket that got its name after the connection sees it."""
    if not c.kind.connects:
        fd, peer = c.pair()
    else:
        server = c.server()
        fd = c.new()
        c.connect(fd, server.address)
        peer = c.accept(server.fd, None).value
    c.getpeername(peer)
    c.bind(fd, c.name("late"))
    c.getpeername(peer)


@case(kinds=UNIX)
def autobind(c):
    """Only the family: five hex digits are chosen."""
    fd = c.new()
    c.bind(fd, un(b""))
    name = c.local(fd)
    digits = name[3:].decode()
    c.note("name", [len(name), name[2], set(digits) <= set("0123456789abcdef")])
    c.bind(fd, un(b""), label="again")
    c.note("kept", c.local(fd) == name)


@case(kinds=PATH)
def path_errors(c):
    """ENOENT, ENOTDIR, ELOOP, EADDRINUSE by what is in the way."""
    base = c.directory()
    (base / "regular").write_text("")
    (base / "folder").mkdir()
    (base / "loop").symlink_to("loop")
    (base / "dangling").symlink_to("nowhere")
    for name in ("missing/s", "regular", "regular/s", "folder", "folder/", "loop", "loop/s", "dangling", "new/"):
        c.bind(c.new(), un(c.names.path(name) + "\0"), label=name)
    c.bind(c.new(), un("/proc/none\0"), label="/proc")
    c.bind(c.new(), un("/\0"), label="root")
    c.bind(c.new(), un(".\0"), label="dot")


@case(kinds=PATH)
def file_made(c):
    """Mode and owner of the file, under several umasks."""
    for mask in (0o022, 0o077, 0o000, 0o777):
        os.umask(mask)
        name = f"u{mask:o}"
        c.bind(c.new(), c.name(name), label=f"umask {mask:o}")
        info = (c.directory() / name).stat()
        c.note("file", [stat.filemode(info.st_mode), info.st_uid, info.st_gid, info.st_nlink])


@case(kinds=PATH)
def socket_mode(c):
    """fchmod on the socket before bind takes bits from the file."""
    os.umask(0)
    fd = c.new()
    os.fchmod(fd, 0o640)
    c.bind(fd, c.name())
    c.note("file", stat.filemode((c.directory() / "s").stat().st_mode))


@case(kinds=PATH)
def setgid_directory(c):
    """The file's group is the setgid directory's."""
    folder = c.directory() / "g"
    folder.mkdir()
    if os.geteuid() == 0:
        os.chown(folder, -1, 12345)
    folder.chmod(0o2777)
    c.bind(c.new(), un(c.names.path("g/s") + "\0"))
    c.note("same group", (folder / "s").stat().st_gid == folder.stat().st_gid)


@case(kinds=PATH)
def relative(c):
    """A relative name is made in the working directory and reported as given."""
    (c.directory() / "sub").mkdir()
    os.chdir(c.directory() / "sub")
    for name in ("plain", "./dot", "../up"):
        fd = c.new()
        c.bind(fd, un(name + "\0"), label=name)
        c.getsockname(fd)
    c.note("files", [(c.directory() / name).exists() for name in ("sub/plain", "sub/dot", "up")])


@case(kinds=PATH)
def gone_directory(c):
    """A relative name where the working directory was removed."""
    (c.directory() / "sub").mkdir()
    os.chdir(c.directory() / "sub")
    (c.directory() / "sub").rmdir()
    c.bind(c.new(), un("name\0"))


@case(kinds=PATH)
def long_paths(c):
    """107 and 108 bytes, with and without NUL."""
    os.chdir(c.directory())
    for size in (106, 107, 108):
        for tail in ("", "\0"):
            letter = "a" if tail else "b"
            fd = c.new()
            c.bind(fd, un(letter * size + tail), label=f"{size} + {len(tail)}")
            c.getsockname(fd)


@case(kinds=PATH)
def terminators(c):
    """What comes after the first NUL is no part of the name."""
    os.chdir(c.directory())
    for label, path in {"none": "one", "nul": "two\0", "nuls": "three\0\0\0", "rubbish": "four\0rubbish"}.items():
        fd = c.new()
        c.bind(fd, un(path), label=label)
        c.getsockname(fd)


@case(kinds=PATH)
def forbidden_for_users(c):
    """As nobody: in a directory without write permission, and below a closed one."""
    for name, mode in (("readonly", 0o755), ("closed", 0o700), ("open", 0o777)):
        (c.directory() / name).mkdir()
        (c.directory() / name).chmod(mode)
    c.become_nobody()
    for name in ("readonly/s", "closed/s", "open/s"):
        c.bind(c.new(), un(c.names.path(name) + "\0"), label=name)
    info = (c.directory() / "open/s").stat()
    c.note("owner", [info.st_uid == os.geteuid(), info.st_gid == os.getegid()])


@case(kinds=PATH, root=True)
def file_system_identity(c):
    """The file belongs to the fsuid of the thread (setfsuid needs root)."""
    libc.setfsuid(65534)
    c.bind(c.new(), c.name())
    libc.setfsuid(0)
    c.note("owner", (c.directory() / "s").stat().st_uid)


@case(kinds=PATH, root=True)
def root_directory(c):
    """After chroot an absolute path starts at the new root (chroot needs root)."""
    (c.directory() / "tmp").mkdir()
    (c.directory() / "absolute").symlink_to("/tmp")

    def inside():
        os.chroot(c.directory())
        os.chdir("/")
        c.bind(c.new(), un("/tmp/inside\0"))
        c.bind(c.new(), un("/absolute/through\0"), label="through a link")

    c.note("child", c.in_child(inside))
    c.note("files", [(c.directory() / "tmp" / name).exists() for name in ("inside", "through")])


@case(kinds=PATH)
def working_directory_of_a_thread(c):
    """A thread with its own fs context has its own working directory and umask."""
    (c.directory() / "sub").mkdir()
    os.chdir(c.directory())
    fd = c.new()

    def elsewhere():
        must("unshare", 0x200)
        os.chdir("sub")
        os.umask(0o077)
        return str(syscall("bind", fd, un("s\0"), 4))

    os.umask(0o000)
    c.note("thread", c.in_thread(elsewhere))
    c.bind(c.new(), un("s\0"), label="main")
    for name in ("sub/s", "s"):
        c.note(name, stat.filemode((c.directory() / name).stat().st_mode))
