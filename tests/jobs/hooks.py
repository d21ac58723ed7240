"""A web server on this machine that takes webhooks, or fails to in many ways."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Hooks:
    """What the server has been sent, and how it answers, by path."""

    port: int
    seen: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)
    """Method, path, headers and body of every request."""

    failures_left: int = 0
    """How many more requests to `/flaky` are answered by 503."""

    @property
    def paths(self) -> list[str]:
        """The paths that were asked for, in order."""
        return [path for _, path, _, _ in self.seen]

    def url(self, path: str, user: str = "") -> str:
        """The address of a path."""
        return f"http://{user}127.0.0.1:{self.port}{path}"


@contextmanager
def hooks() -> Iterator[Hooks]:
    """Run the server while the context lasts."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            found.seen.append(
                (self.command, self.path, dict(self.headers), json.loads(body) if body else None)
            )
            path = self.path.partition("?")[0]
            if path == "/slow":
                over.wait(30)
                return
            if path == "/drip":
                self.drip()
                return
            if path == "/garbage":
                self.wfile.write(b"\0\1\2 no HTTP at all canary-of-the-server\r\n\r\n")
                return
            if path == "/endless":
                self.send_response(200)
                self.end_headers()
                self.flood()
                return
            if path == "/flaky" and found.failures_left:
                found.failures_left -= 1
                self.answer(503)
                return
            if path.startswith("/redirect"):
                self.answer(int(path.removeprefix("/redirect")), Location="/elsewhere")
                return
            self.answer({"/broken": 500, "/forbidden": 403, "/gone": 404}.get(path, 200))

        do_POST = do_GET = handle_any

        def answer(self, code: int, **headers: str) -> None:
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def drip(self) -> None:
            """Send a byte of a header now and then, so that no operation of a socket is late."""
            try:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
                while not over.wait(0.05):
                    self.wfile.write(b"x")
                    self.wfile.flush()
            except OSError:
                return

        def flood(self) -> None:
            """Send a body without end."""
            try:
                while not over.is_set():
                    self.wfile.write(b"x" * 65536)
            except OSError:
                return

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """Print nothing: clients that have given up are what is tested."""

    with Server(("127.0.0.1", 0), Handler) as server:
        found = Hooks(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield found
        finally:
            over.set()
            server.shutdown()
            thread.join()
            # clients that were left alone have to hear of the end
            time.sleep(0.05)
