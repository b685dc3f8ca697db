"""ssh, scp and ssh-agent with an sshd of our own: own keys, own configuration, own port."""

import getpass
import hashlib
import os
from contextlib import contextmanager
from pathlib import Path

from .compared import compared
from .needs import program

BIG = bytes(range(256)) * 4000


@contextmanager
def sshd(stage):
    """A server for our own user, and the options with which a client gets in."""
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where it chroots to; the package makes it at boot
    port = stage.port("ssh")
    keygen = program("ssh-keygen")
    for key in ("host", "user"):
        with stage.natively():
            made = stage.client(keygen, "-q", "-t", "ed25519", "-N", "", "-C", key, "-f", stage.folder / key)
        assert made.status == 0, made
    stage.file("authorized_keys", (stage.folder / "user.pub").read_bytes())
    stage.file("known_hosts", f"[127.0.0.1]:{port} " + (stage.folder / "host.pub").read_text())
    config = f"""
        Port {port}
        ListenAddress 127.0.0.1
        HostKey {stage.folder}/host
        PidFile none
        AuthorizedKeysFile {stage.folder}/authorized_keys
        StrictModes no
        UsePAM no
        PasswordAuthentication no
        PermitRootLogin yes
        Subsystem sftp internal-sftp
    """
    stage.file("sshd_config", config)
    options = ["-F", "/dev/null", "-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={stage.folder}/known_hosts"]
    options += ["-o", f"User={getpass.getuser()}", "-o", "ConnectTimeout=20"]
    command = (program("sshd"), "-D", "-e", "-f", stage.folder / "sshd_config")
    with stage.server(*command, tcp=(port,)) as server:
        yield port, options, server


def identity(stage, key):
    return ["-o", "IdentitiesOnly=yes", "-i", stage.folder / key]


@compared("client", "server")
def test_ssh_and_scp(stage):
    with sshd(stage) as (port, options, server):
        key = identity(stage, "user")
        ssh = [program("ssh"), *options, *key, "-p", port, "127.0.0.1"]
        scp = [program("scp"), "-q", *options, *key, "-P", port]
        stage.file("big", BIG)
        big = hashlib.sha256(BIG).hexdigest()
        seen = [
            stage.client(*ssh, "echo out; echo err >&2; exit 7"),
            stage.client(*ssh, "sha256sum", stdin=BIG),
            hashlib.sha256(stage.client(*ssh, f"cat {stage.folder}/big").out.encode()).hexdigest(),
            stage.client(*ssh, "kill -TERM $$"),
            stage.client(*scp, stage.folder / "big", f"127.0.0.1:{stage.folder}/there"),
            stage.client(*scp, f"127.0.0.1:{stage.folder}/there", stage.folder / "back"),
            hashlib.sha256((stage.folder / "back").read_bytes()).hexdigest() == big,
            stage.client(*scp, "-O", f"127.0.0.1:{stage.folder}/there", stage.folder / "old-protocol"),
            stage.client(program("ssh"), *options, *identity(stage, "host"), "-p", port, "127.0.0.1", "true"),
        ]
    assert seen[0] == (7, "out\n", "err\n")
    return [*seen, server.status]


@compared()
def test_ssh_shared_connection(stage):
    """The second ssh hands its stdin, stdout and stderr to the first one, over a unix socket."""
    with sshd(stage) as (port, options, server):
        control = stage.folder / "control"
        ssh = [program("ssh"), *options, *identity(stage, "user"), "-p", port]
        with stage.server(*ssh, "-M", "-S", control, "-N", "127.0.0.1", files=(control,), as_side="client") as master:
            seen = [
                stage.client(*ssh, "-S", control, "-o", "ProxyCommand=false", "127.0.0.1", "wc -c; exit 3", stdin=BIG),
                stage.client(*ssh, "-S", control, "-O", "check", "127.0.0.1").status,
            ]
    assert seen[0].status == 3
    return [*seen, master.status, server.status]


@compared()
def test_ssh_agent(stage):
    """The agent makes itself undumpable, so a supervisor has a harder time with it."""
    with sshd(stage) as (port, options, server):
        agent_socket = stage.folder / "agent"
        agent = (program("ssh-agent"), "-D", "-a", agent_socket)
        with stage.server(*agent, unix=(agent_socket,), as_side="client") as running:
            env = {"SSH_AUTH_SOCK": str(agent_socket)}
            seen = [
                stage.client(program("ssh-add"), "-q", stage.folder / "user", env=env),
                stage.client(program("ssh-add"), "-L", env=env).status,
                stage.client(program("ssh"), *options, "-p", port, "127.0.0.1", "echo by agent", env=env),
            ]
    assert seen[2].out == "by agent\n"
    return [*seen, running.status, server.status]


@compared()
def test_ssh_agent_forwarding(stage):
    """From the far side another ssh gets in by the agent of the near side; and streams through the connection."""
    with sshd(stage) as (port, options, server):
        agent_socket, closed = stage.folder / "agent", stage.port("closed")
        agent = (program("ssh-agent"), "-D", "-a", agent_socket)
        with stage.server(*agent, unix=(agent_socket,), as_side="client") as running:
            env = {"SSH_AUTH_SOCK": str(agent_socket)}
            ssh = [program("ssh"), *options, "-p", port]
            further = " ".join(map(str, [*ssh, "127.0.0.1", "'echo further; exit 5'"]))
            jump = " ".join(map(str, [*ssh, "-W", "%h:%p", "127.0.0.1"]))
            seen = [
                stage.client(program("ssh-add"), "-q", stage.folder / "user", env=env),
                stage.client(*ssh, "-A", "127.0.0.1", f"ssh-add -l | wc -l; {further}", env=env),
                stage.client(*ssh, "-a", "127.0.0.1", further, env=env).status,
                stage.client(*ssh, "-o", f"ProxyCommand={jump}", "127.0.0.1", "echo jumped", env=env),
                stage.client(*ssh, "-W", f"127.0.0.1:{closed}", "127.0.0.1", env=env),
            ]
    assert seen[1] == (5, "1\nfurther\n", ""), seen
    assert seen[3].out == "jumped\n", seen
    return [*seen, running.status, server.status]
