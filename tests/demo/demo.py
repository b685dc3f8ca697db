"""The demonstration of `make run`: a real client under a policy, two servers it may reach and one it may not.

Two local servers are named by the policy `demo` of config.example.toml, one on TCP and one on a unix socket; a third
is not. Exits with 0 when the first two answered and the third was refused.
"""

import os
import socketserver
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SUPERVISE = str(ROOT / ".venv/bin/supervise")
POLICY = f"{ROOT}/config.example.toml:demo"
ALLOWED_PORT, UNNAMED_PORT, PATH = 18080, 18081, "/tmp/supervise-demo.sock"


class Greeting(BaseHTTPRequestHandler):
    """Says which server it is."""

    def do_GET(self):
        body = f"hello from {self.server.title}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

    def address_string(self):
        return "client"


class UnixServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


def start(server, title):
    server.title = title
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def supervised_curl(arguments):
    command = [SUPERVISE, "exec", "--policy", POLICY, "--summary", "--", "curl", "-sS", "--max-time", "10", *arguments]
    print("$ supervise exec --policy config.example.toml:demo --summary -- curl -sS " + " ".join(arguments), flush=True)
    status = subprocess.run(command, check=False).returncode
    print(f"(exit status {status})\n", flush=True)
    return status


def main():
    if os.path.exists(PATH):
        os.unlink(PATH)
    servers = [
        start(ThreadingHTTPServer(("127.0.0.1", ALLOWED_PORT), Greeting), "the TCP server that the policy names"),
        start(UnixServer(PATH, Greeting), "the unix socket that the policy names"),
        start(ThreadingHTTPServer(("127.0.0.1", UNNAMED_PORT), Greeting), "a server that the policy does not name"),
    ]
    try:
        statuses = [
            supervised_curl([f"http://127.0.0.1:{ALLOWED_PORT}/"]),
            supervised_curl(["--unix-socket", PATH, "http://localhost/"]),
            supervised_curl([f"http://127.0.0.1:{UNNAMED_PORT}/"]),
        ]
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()
        os.unlink(PATH)
    as_promised = statuses[0] == 0 and statuses[1] == 0 and statuses[2] != 0
    print("two reached, one refused" if as_promised else f"NOT as promised: exit statuses {statuses}")
    return 0 if as_promised else 1


if __name__ == "__main__":
    sys.exit(main())
