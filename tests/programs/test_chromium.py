"""chromium without a window: many processes that pass descriptors, and pages that a policy keeps from each other."""

import os
import socket
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from .compared import MODES, compared, staged
from .needs import program

HTTP_SERVER = Path(__file__).with_name("sources") / "http_server.py"
PAGE = """\
<html><body><p id="own"></p><p id="other"></p><script>
async function show(id, url) {{
  let text;
  try {{ text = await (await fetch(url, {{mode: "no-cors"}})).text(); }} catch (error) {{ text = String(error); }}
  document.getElementById(id).textContent = text;
}}
show("own", "/data");
show("other", "http://127.0.0.1:{other}/");
</script></body></html>
"""
POLICY = """\
[policy.test]
default = "deny"
keep_dumpable = true
connect.allow = ["tcp:127.0.0.1:{port}", "unix:*"]
bind.allow = ["unix:*"]
"""


@contextmanager
def site(stage, other):
    """A page that fetches from its own server and from another port; the page's address, and its port."""
    port = stage.port("page")
    stage.file("www/page.html", PAGE.format(other=other))
    stage.file("www/data", "own data")
    with stage.server(sys.executable, HTTP_SERVER, port, stage.folder / "www", tcp=(port,)) as server:
        yield f"http://127.0.0.1:{port}/page.html", port, server


def dump(stage, url):
    """The page after its scripts ran. What chromium says of missing services on stderr is not the same twice."""
    sandbox = ["--no-sandbox"] if os.getuid() == 0 else []
    options = ["--headless", *sandbox, "--disable-gpu", "--no-first-run", f"--user-data-dir={stage.folder}/profile"]
    options += ["--virtual-time-budget=3000", "--timeout=15000", "--no-proxy-server", "--disable-dev-shm-usage"]
    outcome = stage.client(program("chromium"), *options, "--dump-dom", url, timeout=40)
    return outcome.status, outcome.out, outcome.err if outcome.status else ""


@compared("client", "server")
def test_chromium(stage):
    with site(stage, stage.port("closed")) as (url, _, server):
        status, page, error = dump(stage, url)
    assert '<p id="own">own data</p>' in page, (status, page, error)
    return status, page, error, server.status


@pytest.mark.parametrize("mode", MODES)
def test_chromium_reaches_its_page_and_no_other_origin(mode):
    with staged(mode, "client") as stage, socket.socket() as listener:
        other = stage.port("other")
        listener.bind(("127.0.0.1", other))
        listener.listen()
        listener.setblocking(False)
        with site(stage, other) as (url, port, _):
            stage.policy = f"{stage.file('policy.toml', POLICY.format(port=port))}:test"
            status, page, error = dump(stage, url)
        assert status == 0, error
        assert '<p id="own">own data</p><p id="other">TypeError: Failed to fetch</p>' in page, page
        with pytest.raises(BlockingIOError):
            listener.accept()
        assert f"127.0.0.1:{other}" in stage.log.read_text()
