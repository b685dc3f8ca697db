"""A small HTTP server: `http_server.py PORT FOLDER` serves files and git repositories (git http-backend) of FOLDER."""

import http.server
import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urlsplit(self.path)
        if ".git/" in url.path:
            self.git(url, b"")
            return
        file = self.server.folder / url.path.lstrip("/")
        if file.is_file():
            kind = "text/html" if file.suffix == ".html" else "text/plain"
            self.answer("200 OK", {"Content-Type": kind}, file.read_bytes())
        else:
            self.answer("404 Not Found", {}, b"no such file\n")

    def do_POST(self):
        self.git(urlsplit(self.path), self.body())

    def body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def git(self, url, body):
        env = os.environ | {
            "GIT_PROJECT_ROOT": str(self.server.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": url.path,
            "QUERY_STRING": url.query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "HTTP_GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_ADDR": self.client_address[0],
        }
        cgi = subprocess.run(["git", "http-backend"], input=body, capture_output=True, env=env, check=False)
        head, _, content = cgi.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.answer(fields.pop("Status", "200 OK"), fields, content)

    def answer(self, status, fields, content):
        code, _, reason = status.partition(" ")
        self.send_response(int(code), reason)
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class Server(http.server.ThreadingHTTPServer):
    # The threads of kept connections end with the process.
    daemon_threads = True

    def __init__(self, port, folder):
        super().__init__(("127.0.0.1", port), Handler)
        self.folder = Path(folder)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    Server(int(sys.argv[1]), sys.argv[2]).serve_forever()
