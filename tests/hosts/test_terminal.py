"""On a terminal: keys, job control, window size."""

import shlex
import signal

import pytest

from .harness import PATIENCE, command, each_mode, gone, lines, python, send, state, until
from .terminal import CTRL_BACKSLASH, CTRL_C, CTRL_D, CTRL_Z, PROMPT, shell, terminal


def line(*argv: str) -> str:
    return f"{shlex.join(argv)}\n"


@pytest.mark.parametrize(("key", "number"), [(CTRL_C, signal.SIGINT), (CTRL_BACKSLASH, signal.SIGQUIT)])
@each_mode
def test_keys_that_end_a_program(key, number, mode, tmp_path):
    with terminal(*command("sh", "-c", "echo up; exec sleep 77", mode=mode), cwd=tmp_path) as session:
        session.expect("up")
        session.type(key)
        assert session.process.wait(PATIENCE) == -number


def test_a_key_is_one_signal(tmp_path):
    """The program gets the terminal's own signal, and the front passes on no second one."""
    log = tmp_path / "log"
    with terminal(*command(*python("noting.py", log))) as session:
        until(lambda: lines(log), "the program")
        for count in range(1, 6):
            session.type(CTRL_C)
            until(lambda count=count: len(lines(log)) > count, "SIGINT")
        session.type(CTRL_BACKSLASH)
        until(lambda: "SIGQUIT" in lines(log), "SIGQUIT")
        session.process.send_signal(signal.SIGUSR2)
        assert session.process.wait(PATIENCE) == 7
    assert lines(log)[1:] == ["SIGINT"] * 5 + ["SIGQUIT", "SIGUSR2"]


def test_reads_from_the_terminal_in_the_foreground():
    with terminal(*command("sh", "-c", "read x; echo got=$x; cat")) as session:
        session.type("one\n")
        session.expect("got=one")
        session.type("two\n")
        session.expect("two\r\ntwo")
        session.type(CTRL_D)
        assert session.process.wait(PATIENCE) == 0


def test_window_size_changes_reach_the_program():
    with terminal(*command(*python("sizing.py"))) as session:
        session.expect(r"size \d+x\d+")
        for columns, rows in ((101, 31), (102, 32)):
            session.resize(columns, rows)
            session.expect(f"size {columns}x{rows}")
        session.type(CTRL_C)
        session.expect("")
        session.process.wait(PATIENCE)


def test_hanging_up_ends_everything():
    with terminal(*command("sh", "-c", "echo up $$; exec sleep 77")) as session:
        program = int(session.expect(r"up (\d+)\r")[1])
        session.hang_up()
        assert session.process.wait(PATIENCE) == -signal.SIGHUP
        until(lambda: gone(program), "the program to end")


def test_stop_and_foreground(tmp_path):
    """Ctrl-Z stops both, once, and fg continues both; again and again."""
    pids = tmp_path / "pids"
    with shell() as session:
        session.type(line(*command("sh", "-c", f"echo $$ >>{pids}; echo up; exec sleep 77")))
        session.expect("up\r")
        program = int(lines(pids)[0])
        for _ in range(6):
            session.type(CTRL_Z)
            session.expect("Stopped")
            session.expect(PROMPT)
            assert state(program) == "T"
            session.type("jobs -p\n")
            front = int(session.expect(r"(\d+)\r")[1])
            session.expect(PROMPT)
            assert state(front) == "T"
            session.type("fg\n")
            session.expect("supervise.*\r\n")
            until(lambda: state(program) == "S", "the program goes on")
            until(lambda front=front: state(front) in "ST", "the front has settled")
            assert state(front) == "S", "one Ctrl-Z was two stops"
        session.type(CTRL_C)
        session.expect(PROMPT)
        session.type("echo status=$?\n")
        assert session.expect(r"status=(\d+)")[1] == "130"


def test_stop_and_background():
    with shell() as session:
        session.type(line(*command("sh", "-c", "echo up $$; exec sleep 77")))
        program = int(session.expect(r"up (\d+)\r")[1])
        session.type(CTRL_Z)
        session.expect("Stopped")
        session.expect(PROMPT)
        session.type("bg\n")
        session.expect(PROMPT)
        until(lambda: state(program) == "S", "the program goes on")
        session.type("jobs\n")
        session.expect("Running")
        session.type("kill %1; wait %1; echo status=$?\n")
        assert session.expect(r"status=(\d+)")[1] == "143"


def test_reading_in_the_background_stops():
    """SIGTTIN, as natively; in the foreground it goes on."""
    with shell() as session:
        session.type(f"{line(*command('sh', '-c', 'read x; echo got=$x')).rstrip()} &\n")
        session.expect(PROMPT)

        def stopped() -> bool:
            session.type("jobs\n")
            return "Stopped" in session.expect(rf"(?s)jobs\r\n(.*?){PROMPT}")[1]

        until(stopped, "SIGTTIN")
        session.type("fg\n")
        session.expect("supervise.*\r\n")
        session.type("hello\n")
        session.expect("got=hello")
        session.expect(PROMPT)


def test_a_program_that_stops_itself_stops_the_job():
    with shell() as session:
        session.type(line(*command("sh", "-c", "echo up; kill -STOP $$; echo went on; exit 6")))
        session.expect("up\r")
        session.expect("Stopped")
        session.expect(PROMPT)
        session.type("fg\n")
        session.expect("went on\r")
        session.expect(PROMPT)
        session.type("echo status=$?\n")
        assert session.expect(r"status=(\d+)")[1] == "6"


def test_status_in_a_shell():
    with shell() as session:
        session.type(line(*command("sh", "-c", "kill -TERM $$")))
        session.expect(PROMPT)
        session.type("echo status=$?\n")
        assert session.expect(r"status=(\d+)")[1] == "143"


@each_mode
def test_an_interactive_shell_inside(mode):
    """Job control works inside: the inner shell has groups of its own, and its stops are not ours."""
    inner = command("bash", "--norc", "--noprofile", "--noediting", "-i", mode=mode)
    with shell() as session:
        session.type(f"PS1='inner>' {line(*inner)}")
        session.expect("inner>$")
        session.type("sh -c 'echo up $$; exec sleep 77'\n")
        program = int(session.expect(r"up (\d+)\r")[1])
        session.type(CTRL_Z)
        session.expect("Stopped")
        session.expect("inner>")
        assert state(program) == "T"
        session.type("jobs\n")
        session.expect("Stopped")
        session.expect("inner>")
        session.type("fg\n")
        until(lambda: state(program) == "S", "it goes on")
        session.type(CTRL_C)
        session.expect("inner>")
        session.type("cat\n")
        session.type("typed\n")
        session.expect("typed\r\ntyped")
        session.type(CTRL_D)
        session.expect("inner>")
        session.type("suspend_is_not_used=1; exit 7\n")
        session.expect(PROMPT)
        session.type("echo status=$?\n")
        assert session.expect(r"status=(\d+)")[1] == "7"


def test_the_foreground_group_is_given_back():
    """Also when the program is killed while a group of its own has the terminal."""
    with shell() as session:
        session.type(line(*command("bash", "--norc", "--noprofile", "--noediting", "-i")))
        session.expect(PROMPT)
        session.type("echo pid=$$\n")
        inner = int(session.expect(r"pid=(\d+)\r")[1])
        session.expect(PROMPT)
        session.type("sleep 78\n")
        until(lambda: session.foreground() != inner, "sleep has the terminal")
        send(inner, signal.SIGKILL)
        session.expect("Killed")
        session.expect(PROMPT)
        send(session.foreground(), 0)
        session.type("echo alive\n")
        session.expect("alive\r\n.*ready>")


SUMMARY = ("call", "socket", "address", "answer", "errno", "times", "rule")


def test_a_summary_on_a_terminal_is_a_table():
    program = "import socket\nfor _ in range(3):\n s = socket.socket()\n s.connect_ex(('127.0.0.1', 9))"
    inner = command("python3", "-S", "-c", program, options=("--summary",))
    with terminal(*inner) as session:
        session.resize(200, 50)
        shown = session.rest()
    assert "flows" in shown
    assert "─" in shown
    assert all(heading in shown for heading in SUMMARY)
    assert "127.0.0.1:9" in shown
    assert "\x1b[" in shown
