"""Which suites are run, with what, and what is left out of them by name. Data only."""

from pathlib import Path

from tests.cpython.modules import Module

from .environment import Environment

NAMES = ("trio", "anyio", "uvloop", "gevent")

_PYTEST = Path(__file__).with_name("record_pytest.py")
_NO_PLUGINS = (("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1"),)

# Files, and test ids (any part of them), that are not run at all, natively or supervised.
LEFT_OUT = {
    "trio": {
        "_tests/tools/": "trio's generators of source code",
        "test_exports.py::test_static_tool_": "runs mypy, jedi and pylint on the installed package",
        "test_exports.py::test_pyright_": "runs pyright on the installed package",
        "_tests/type_tests/": "is for type checkers",
    },
    "anyio": {},
    "uvloop": {
        "test_sourcecode": "flake8 and mypy on uvloop's source code",
    },
    "gevent": {
        "test__all__": "compares lists of names",
        "test__doctests": "documentation",
        "test__execmodules": "imports each module",
        "test__memleak": "reference counts, no call",
        "test__resolver_dnspython": "dnspython is not installed",
        **dict.fromkeys(
            (
                "test__example_echoserver",
                "test__example_portforwarder",
                "test__example_udp_client",
                "test__example_udp_server",
                "test__example_webproxy",
                "test__example_wsgiserver",
                "test__example_wsgiserver_ssl",
                "test__examples",
            ),
            "runs gevent's examples, which the wheel does not have",
        ),
        "test__nondefaultloop": "a script without test cases",
        **dict.fromkeys(
            ("test__monkey_ssl_warning", "test__monkey_ssl_warning2", "test__monkey_ssl_warning3"),
            "needs a process in which nothing was imported before, and the recorder was",
        ),
        "test___monkey_patching": "runs CPython's own tests, which the wheel does not have; see tests/cpython",
    },
}

# Of gevent's tests: sockets, ssl, servers, select, and what is monkey patched of them. The other files are about
# greenlets, the hub, queues, locks, threads, files and child processes, and are printed as left out.
GEVENT = [
    "test__api",
    "test__ares_timeout",
    "test__backdoor",
    "test__close_backend_fd",
    "test__core",
    "test__core_fork",
    "test__core_watcher",
    "test__greenio",
    "test__greenness",
    "test__hub",
    "test__issue230",
    "test__issue467",
    "test__issue600",
    "test__iwait",
    "test__makefile_ref",
    "test__monkey",
    "test__monkey_select",
    "test__monkey_selectors",
    "test__os",
    "test__pywsgi",
    "test__refcount",
    "test__refcount_core",
    "test__select",
    "test__selectors",
    "test__server",
    "test__server_pywsgi",
    "test__signal",
    "test__socket",
    "test__socket_close",
    "test__socket_dns",
    "test__socket_dns6",
    "test__socket_errors",
    "test__socket_ex",
    "test__socket_send_memoryview",
    "test__socket_ssl",
    "test__socket_timeout",
    "test__socketpair",
    "test__ssl",
    "test__subprocess",
]
_OTHER = "not about sockets by its name, nor chosen for another reason"


def modules(name: str, environment: Environment) -> list[Module]:
    """The processes of a suite."""
    left_out = LEFT_OUT[name]
    match name:
        case "trio":
            return [
                Module(
                    name,
                    name,
                    (
                        "-p",
                        "trio._tests.pytest_plugin",
                        "--run-slow",
                        "--skip-optional-imports",
                        "-c",
                        "/dev/null",
                        "--rootdir",
                        "/",
                        "--pyargs",
                        "trio",
                    ),
                    600,
                    _PYTEST,
                    _NO_PLUGINS,
                    left_out,
                )
            ]
        case "anyio":
            folder = environment.sources[name]
            return [
                Module(
                    name,
                    name,
                    ("-c", f"{folder}/pyproject.toml", "--rootdir", folder, f"{folder}/tests"),
                    600,
                    _PYTEST,
                    _NO_PLUGINS,
                    left_out,
                )
            ]
        case "uvloop":
            folder = environment.sources[name]
            found = sorted(path.stem for path in Path(folder, "tests").glob("test_*.py"))
            return [
                Module(f"{name} {file}", name, (f"tests.{file}", "--path", folder), 300, left_out=left_out)
                for file in found
                if file not in left_out
            ]
        case "gevent":
            found = sorted(path.stem for path in Path(environment.tests).glob("test_*.py"))
            left_out = {f"gevent.tests.{file}.": left_out.get(file, _OTHER) for file in found if file not in GEVENT}
            return [
                Module(
                    f"{name} {file}",
                    name,
                    (f"gevent.tests.{file}",),
                    200,
                    env=(("GEVENTTEST_USE_RESOURCES", "all,-network"),),
                    left_out=left_out,
                )
                for file in GEVENT
            ]
    raise ValueError(name)
