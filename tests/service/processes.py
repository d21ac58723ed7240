"""`dkmeans serve` as a process of its own, and a client that sends whatever bytes it likes."""

import json
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.cli.command import PROGRAM


@dataclass
class Running:
    """A service that runs."""

    process: subprocess.Popen
    url: str
    log: Path

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def rss(self) -> int:
        return psutil.Process(self.process.pid).memory_info().rss

    def events(self) -> list[dict[str, Any]]:
        """What the log holds: standard error is nothing else."""
        # the last line may be half there
        whole = self.log.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    def stop(self, number: int, seconds: float = 30) -> int:
        self.process.send_signal(number)
        return self.process.wait(seconds)


@contextmanager
def serving(
    model: Any, folder: Path, *arguments: object, env: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """Serve a model, or what a URL names, at a free port."""
    url = str(model)
    if not isinstance(model, (str, Path)):
        url = str(folder / "model")
        model.save(url, overwrite=True)
    log = folder / "log.jsonl"
    command = [*PROGRAM, "serve", url, "--port", "0", *map(str, arguments)]
    clean = {k: v for k, v in os.environ.items() if k != "DKMEANS_TOKEN"}
    with open(log, "w") as out:
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=out, env={**clean, **(env or {})}
        )
    try:
        end = time.monotonic() + 60
        while True:
            at = [json.loads(line)["url"] for line in log.read_text().splitlines()
                  if '"event": "serving"' in line and line.endswith("}")]  # fmt: skip
            if at:
                break
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        yield Running(process, at[0], log)
    finally:
        process.kill()
        process.wait()


@dataclass
class Line:
    """A connection."""

    port: int
    context: ssl.SSLContext | None = None
    sock: Any = field(init=False)
    left: bytes = b""
    """What came after the last answer."""

    def __post_init__(self) -> None:
        self.sock = socket.create_connection(("127.0.0.1", self.port), 20)
        if self.context is not None:
            self.sock = self.context.wrap_socket(self.sock, server_hostname="localhost")

    def __enter__(self) -> "Line":
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the next answer; 0 if the connection was closed."""
        data, self.left = self.left, b""
        while b"\r\n\r\n" not in data:
            piece = self._piece()
            if not piece:
                return 0, {}, data
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        n_bytes = int(headers["content-length"])
        while len(body) < n_bytes:
            body += self.sock.recv(1 << 20)
        self.left = body[n_bytes:]
        return int(first.split()[1]), headers, body[:n_bytes]

    def is_closed(self, seconds: float = 20) -> bool:
        """Whether nothing more comes, and the connection ends."""
        self.sock.settimeout(seconds)
        return not self._piece()

    def _piece(self) -> bytes:
        try:
            return self.sock.recv(65536)
        except ConnectionResetError:
            return b""


def head(path: str, *headers: str, method: str = "POST") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


JSON = "Content-Type: application/json"


def post(path: str, body: Any, *headers: str) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return head(path, JSON, f"Content-Length: {len(data)}", *headers) + data
