"""Load for a service on this machine: so many connections, each of which asks again as soon as it
is answered.

It shares the machine with the service, so it does as little as it can: plain sockets, one thread,
no parsing but of lengths. As `python -m tests.service.load` it prints what it found as JSON.
"""

import argparse
import dataclasses
import json
import re
import select
import socket
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
_RECEIVED_BYTES = 2**18
_MOST_SECONDS = 900.0
_STALLED_SECONDS = 30.0


@dataclasses.dataclass(frozen=True)
class Load:
    """What became of the requests."""

    seconds: float
    latencies: list[float]
    """Of the requests that were answered by 200, seconds."""

    failures: Counter[str]
    """All others, by what became of them."""

    said: Counter[str]
    """What `tell` said of the bodies of answers."""

    cpu_seconds: float
    """What the load itself took."""

    @property
    def rate(self) -> float:
        """Requests answered a second."""
        return len(self.latencies) / self.seconds

    @property
    def n_failed(self) -> int:
        return self.failures.total()

    def percentile(self, share: float) -> float:
        """Seconds within which so many were answered."""
        found = sorted(self.latencies)
        return found[min(len(found) - 1, int(share * len(found)))]

    def shown(self) -> dict[str, object]:
        """As plain values; milliseconds."""
        none = not self.latencies
        return {
            "requests": len(self.latencies),
            "rate": round(self.rate, 1),
            "p50_ms": None if none else round(1e3 * statistics.median(self.latencies), 3),
            "p99_ms": None if none else round(1e3 * self.percentile(0.99), 3),
            "max_ms": None if none else round(1e3 * max(self.latencies), 3),
            "failed": dict(self.failures),
            "said": dict(self.said),
            "cpu_share": round(self.cpu_seconds / self.seconds, 3),
        }


class _Connection:
    """One that asks, and asks again."""

    def __init__(self, port: int, requests: Sequence[bytes], first: int) -> None:
        self.port, self.requests, self.turn = port, requests, first
        self.open()

    def open(self) -> None:
        self.socket = socket.create_connection(("127.0.0.1", self.port), 10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)

    def ask(self) -> bool:
        """Send the next request; return whether all of it is on its way."""
        self.left = memoryview(self.requests[self.turn % len(self.requests)])
        self.turn += 1
        self.answer = b""
        self.parts: list[bytes] = []
        self.n_bytes, self.wanted = 0, -1
        self.began = time.perf_counter()
        return self.send()

    def send(self) -> bool:
        while self.left:
            try:
                self.left = self.left[self.socket.send(self.left) :]
            except BlockingIOError:
                return False
        return True

    def receive(self) -> bool:
        """Take what is there; return whether the answer is complete."""
        data = self.socket.recv(_RECEIVED_BYTES)
        if not data:
            raise ConnectionError("closed")
        self.parts.append(data)
        self.n_bytes += len(data)
        if self.wanted < 0:
            so_far = data if len(self.parts) == 1 else b"".join(self.parts)
            end = so_far.find(b"\r\n\r\n")
            if end < 0:
                return False
            found = _LENGTH.search(so_far, 0, end + 2)
            self.wanted = end + 4 + (int(found[1]) if found else 0)
            self.body_at = end + 4
        return self.n_bytes >= self.wanted

    def take(self) -> tuple[bytes, bytes]:
        """The status and the body of the answer."""
        whole = self.parts[0] if len(self.parts) == 1 else b"".join(self.parts)
        return whole[9:12], whole[self.body_at :]


def drive(
    port: int,
    requests: Sequence[bytes],
    *,
    connections: int = 8,
    seconds: float = 5.0,
    most: int = 10_000_000,
    pause: float = 0.0,
    tell: Callable[[bytes], str] | None = None,
    is_over: Callable[[], bool] = lambda: False,
) -> Load:
    """Ask a service on this machine, again and again.

    Parameters
    ----------
    port
        Where it listens.
    requests
        What to ask in turn, with headers: see `post`.
    connections
        How many ask at a time.
    seconds
        How long, 15 minutes at most.
    most
        How many requests at most.
    pause
        Seconds to leave the machine to others after each turn.
    tell
        What to count answers by.
    is_over
        Whether to end early; asked a few times a second.
    """
    if seconds > _MOST_SECONDS:
        raise ValueError(f"seconds={seconds:g} should be at most {_MOST_SECONDS:g}.")
    known: dict[int, _Connection] = {}
    latencies: list[float] = []
    failures: Counter[str] = Counter()
    said: Counter[str] = Counter()
    poll = select.epoll()
    clock, cpu = time.perf_counter(), time.process_time()
    end = clock + seconds

    def begin(one: _Connection) -> None:
        whole = one.ask()
        poll.register(one.socket, select.EPOLLIN | (0 if whole else select.EPOLLOUT))
        known[one.socket.fileno()] = one

    for number in range(connections):
        begin(_Connection(port, requests, number))
    checked = clock
    n_asked = connections
    while known:
        now = time.perf_counter()
        if now > end or n_asked >= most or (now > checked + 0.1 and is_over()):
            break
        checked = now if now > checked + 0.1 else checked
        if pause:
            time.sleep(pause)
        for number, what in poll.poll(0.2):
            one = known[number]
            try:
                if what & select.EPOLLOUT and one.send():
                    poll.modify(number, select.EPOLLIN)
                if not what & ~select.EPOLLOUT or not one.receive():
                    continue
                status, body = one.take()
                if status == b"200":
                    latencies.append(time.perf_counter() - one.began)
                    if tell is not None:
                        said[tell(body)] += 1
                else:
                    failures[f"status {status.decode()}"] += 1
                n_asked += 1
                if not one.ask():
                    poll.modify(number, select.EPOLLIN | select.EPOLLOUT)
            except OSError as error:
                failures[type(error).__name__] += 1
                poll.unregister(number)
                del known[number]
                one.socket.close()
                n_asked += 1
                try:
                    one.open()
                    begin(one)
                except OSError as refused:
                    failures[f"not connected: {type(refused).__name__}"] += 1
    taken = time.perf_counter() - clock
    late = [one for one in known.values() if time.perf_counter() - one.began > _STALLED_SECONDS]
    failures["stalled"] += len(late)
    failures = +failures
    for one in known.values():
        one.socket.close()
    poll.close()
    return Load(taken, latencies, failures, said, time.process_time() - cpu)


def post(path: str, body: bytes, kind: str = "application/json", token: str | None = None) -> bytes:
    """A request as it goes over the wire."""
    secret = "" if token is None else f"authorization: Bearer {token}\r\n"
    return (
        f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {kind}\r\n{secret}"
        f"content-length: {len(body)}\r\n\r\n"
    ).encode() + body


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("requests", help="a folder, each of whose files is a request")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--most", type=int, default=10_000_000)
    asked = parser.parse_args(arguments)
    requests = [path.read_bytes() for path in sorted(Path(asked.requests).iterdir())]
    found = drive(
        asked.port,
        requests,
        connections=asked.connections,
        seconds=asked.seconds,
        most=asked.most,
    )
    sys.stdout.write(json.dumps(found.shown()) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
