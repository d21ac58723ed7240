"""A proxy in front of an S3 server that fails on purpose: by rule, by chance, for a while."""

import asyncio
import contextlib
import random
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Self
from urllib.parse import urlsplit

ERRORS = {
    "slow_down": (503, "SlowDown", "Please reduce your request rate."),
    "internal_error": (500, "InternalError", "We encountered an internal error. Please try again."),
    "expired_token": (400, "ExpiredToken", "The provided token has expired."),
    "access_denied": (403, "AccessDenied", "Access Denied"),
    "not_found": (404, "NoSuchKey", "The specified key does not exist."),
    "conflict": (409, "ConditionalRequestConflict", "A conflicting operation is under way."),
    "not_implemented": (501, "NotImplemented", "A header you provided is not implemented."),
}
"""Replies of S3 in place of the true one: status, code and message."""

BEFORE_THE_REPLY = {*ERRORS, "reset", "hang", "delay", "drop_reply"}
IN_THE_BODY = {"reset_body", "hang_body", "truncate", "short", "flip"}
WITHOUT_SECONDS = (BEFORE_THE_REPLY | IN_THE_BODY) - {"delay"}

# half of a body is on its way to the client before the connection is reset
ON_ITS_WAY = 0.05

WITHOUT_BODY = {204, 304}


@dataclass
class Rule:
    """One fault, and the requests that it strikes.

    Parameters
    ----------
    fault
        Errors of S3: "slow_down", "internal_error", "expired_token", "access_denied", "not_found",
        "conflict", "not_implemented".
        "reset": the connection is reset before a reply. "hang": no reply, ever. "delay": the reply
        comes `seconds` later. "drop_reply": the server does what it is asked, the connection is
        closed without its reply. The others strike replies that succeed and have a body.
        "reset_body": a reset after half of the body. "hang_body": silence after half of it.
        "truncate": closed after half of the announced length. "short": half of the body, and
        announced as such. "flip": the whole body, one bit of it wrong.
    method
        The one method to strike.
    path
        A regular expression that is searched in path and query.
    share
        The probability that a request is struck.
    times
        How many requests are struck at most.
    after
        How many matching requests are spared first.
    seconds
        How long "delay" takes.
    """

    fault: str
    method: str | None = None
    path: str | None = None
    share: float = 1.0
    times: int | None = None
    after: int = 0
    seconds: float = 0.0
    matched: int = field(default=0, init=False)
    hits: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        check(self.fault, BEFORE_THE_REPLY | IN_THE_BODY)

    def strikes(self, request: "Request", chance: random.Random) -> bool:
        """Whether this request is struck; counts it if so."""
        if self.method not in (None, request.method):
            return False
        if self.path is not None and not re.search(self.path, request.path):
            return False
        self.matched += 1
        if self.matched <= self.after or self.hits == self.times:
            return False
        if self.share < 1.0 and chance.random() >= self.share:
            return False
        self.hits += 1
        return True


class Seen(NamedTuple):
    """A request that came, and what became of it: a status, or the fault's name."""

    method: str
    path: str
    range: str | None
    outcome: int | str
    time: float


class Request(NamedTuple):
    """A request as it came; the body still has the framing of its transfer encoding."""

    method: str
    path: str
    headers: dict[str, str]
    lines: list[bytes]
    body: bytes
    time: float


class Reply(NamedTuple):
    """The server's reply: its first line and headers, but those of connection and length."""

    status: int
    lines: list[bytes]
    length: str | None
    body: bytes


class FaultProxy:
    """Forwards requests to a server, and fails those that its rules name.

    It runs in a thread of its own for as long as the context lasts. Everything may be read and set
    at any time, from any thread.

    Parameters
    ----------
    upstream
        The URL of the server.
    seed
        Of the chance by which rules with a share strike.

    Attributes
    ----------
    url
        Where clients find the proxy.
    rules
        The rules, the first of which that strikes a request decides on it.
    wanted
        A function of method, path and headers (lower-case names) that gives a fault, of any kind
        but "delay", or None. It is asked before the rules, in the proxy's thread.
    requests
        What came, in the order in which it was decided on.
    most_in_flight
        How many requests were in flight together at most.
    bytes_sent
        Bytes of bodies that were sent to clients.
    """

    def __init__(self, upstream: str, seed: int = 0):
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname, parts.port or 80)
        self._chance = random.Random(seed)
        self._lock = threading.Lock()
        self._outage: tuple[str, float] | None = None
        self._in_flight = 0
        self._errors: list[Exception] = []
        self.rules: list[Rule] = []
        self.wanted: Callable[[str, str, Mapping[str, str]], str | None] | None = None
        self.forget()

    def __enter__(self) -> Self:
        # bound here: a port that cannot be had is an error of the caller's, not of the thread's
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        started = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(started)), name="fault proxy", daemon=True
        )
        self._thread.start()
        assert started.wait(30), "the proxy's loop does not start"
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()
        if self._errors and kind is None:
            raise self._errors[0]

    def fail(self, fault: str, **rule: object) -> Rule:
        """Add a rule, with the parameters of `Rule`."""
        added = Rule(fault, **rule)
        with self._lock:
            self.rules = [*self.rules, added]
        return added

    def outage(self, seconds: float, fault: str = "slow_down") -> None:
        """Fail every request from now on for some seconds."""
        check(fault, BEFORE_THE_REPLY & WITHOUT_SECONDS)
        self._outage = (fault, time.monotonic() + seconds)

    def clear(self) -> None:
        """Fail no more requests. Those that hang stay so."""
        with self._lock:
            self.rules = []
        self.wanted = self._outage = None

    def forget(self) -> None:
        """Start counting anew."""
        self.requests: list[Seen] = []
        self.most_in_flight = self._in_flight
        self.bytes_sent = 0

    def count(
        self,
        method: str | None = None,
        path: str | None = None,
        outcome: int | str | None = None,
    ) -> int:
        """How many requests came: of one method, of paths with a pattern, with one outcome."""
        return sum(
            method in (None, seen.method)
            and (path is None or re.search(path, seen.path) is not None)
            and outcome in (None, seen.outcome)
            for seen in list(self.requests)
        )

    def options(self, storage_options: dict) -> dict:
        """Storage options of the server, made to go through the proxy."""
        client = dict(storage_options.get("client_kwargs", {}))
        client.pop("endpoint_url", None)
        return {**storage_options, "endpoint_url": self.url, "client_kwargs": client}

    async def _serve(self, started: threading.Event) -> None:
        self._loop, self._closing = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connection, sock=self._socket, limit=2**20)
        started.set()
        await self._closing.wait()
        server.close()
        connections = asyncio.all_tasks() - {asyncio.current_task()}
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await server.wait_closed()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # writes wait until the system has taken everything, so that what is in flight is known
        writer.transport.set_write_buffer_limits(0)
        try:
            while await self._exchange(reader, writer):
                pass
        except asyncio.CancelledError:
            writer.transport.abort()  # the proxy closes; what a client does not take may stay
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone
        except Exception as error:
            self._errors.append(error)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Take one request and do with it as the rules say. False: the connection is over."""
        request = await read_request(reader, writer)
        self._in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self._in_flight)
        try:
            again = await self._answer(request, reader, writer)
        finally:
            self._in_flight -= 1
        return again and request.headers.get("connection", "").lower() != "close"

    async def _answer(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        fault, seconds = self._fault_before(request)
        if fault in ERRORS:
            self._saw(request, fault)
            await self._send(writer, request, error_reply(fault))
            return True
        if fault == "reset":
            self._saw(request, fault)
            reset(writer)
            return False
        if fault == "hang":
            self._saw(request, fault)
            await reader.read(1)
            return False
        if fault == "delay":
            await asyncio.sleep(seconds)
        try:
            reply = await self._forward(request)
        except (OSError, asyncio.IncompleteReadError):
            reply = Reply(502, [b"HTTP/1.1 502 Bad Gateway"], None, b"the server does not answer")
        if fault == "drop_reply":
            self._saw(request, fault)
            return False
        if request.method != "HEAD" and reply.body and 200 <= reply.status < 300:
            struck = fault if fault in IN_THE_BODY else self._rule(request, IN_THE_BODY)[0]
        else:
            struck = None
        if struck is not None:
            self._saw(request, struck)
            return await self._send_faulty(reader, writer, request, reply, struck)
        self._saw(request, fault if fault == "delay" else reply.status)
        await self._send(writer, request, reply)
        return True

    def _fault_before(self, request: Request) -> tuple[str | None, float]:
        """What is known to happen before the server is asked, and how long it takes."""
        outage, wanted = self._outage, self.wanted
        if outage is not None and request.time < outage[1]:
            return outage[0], 0.0
        fault = wanted(request.method, request.path, request.headers) if wanted else None
        if fault is not None:
            check(fault, WITHOUT_SECONDS)
            return fault, 0.0
        return self._rule(request, BEFORE_THE_REPLY)

    def _rule(self, request: Request, faults: set[str]) -> tuple[str | None, float]:
        for rule in self.rules:
            if rule.fault in faults and rule.strikes(request, self._chance):
                return rule.fault, rule.seconds
        return None, 0.0

    def _saw(self, request: Request, outcome: int | str) -> None:
        asked = request.headers.get("range")
        self.requests.append(Seen(request.method, request.path, asked, outcome, request.time))

    async def _forward(self, request: Request) -> Reply:
        reader, writer = await asyncio.open_connection(*self._upstream, limit=2**20)
        try:
            head = [*request.lines, b"Connection: close", b"", b""]
            writer.write(b"\r\n".join(head) + request.body)
            await writer.drain()
            return await read_reply(reader, request.method)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _send(
        self,
        writer: asyncio.StreamWriter,
        request: Request,
        reply: Reply,
        body: bytes | None = None,
    ) -> None:
        """Send a reply; or its head, and another body than the one that the head announces."""
        length = reply.length if request.method == "HEAD" else str(len(reply.body))
        lines = list(reply.lines)
        if length is not None and reply.status not in WITHOUT_BODY:
            lines.append(f"Content-Length: {length}".encode())
        if request.headers.get("connection", "").lower() == "close":
            lines.append(b"Connection: close")
        body = reply.body if body is None else body
        if request.method == "HEAD":
            body = b""
        self.bytes_sent += len(body)
        writer.write(b"\r\n".join([*lines, b"", b""]) + body)
        await writer.drain()

    async def _send_faulty(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        request: Request,
        reply: Reply,
        fault: str,
    ) -> bool:
        middle = len(reply.body) // 2
        half = reply.body[:middle]
        if fault == "short":
            await self._send(writer, request, reply._replace(body=half))
            return True
        if fault == "flip":
            body = bytearray(reply.body)
            body[middle] ^= 1
            await self._send(writer, request, reply._replace(body=bytes(body)))
            return True
        await self._send(writer, request, reply, half)
        if fault == "hang_body":
            await reader.read(1)
        elif fault == "reset_body":
            await asyncio.sleep(ON_ITS_WAY)
            reset(writer)
        return False


def check(fault: str, known: set[str]) -> None:
    """Refuse a fault that there is not."""
    if fault not in known:
        raise ValueError(f"no fault {fault!r}, but {', '.join(sorted(known))}")


def reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection by RST, not by FIN."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def error_reply(fault: str) -> Reply:
    """An error as S3 writes it."""
    status, code, message = ERRORS[fault]
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{message}</Message>"
        "<RequestId>fault</RequestId></Error>"
    ).encode()
    lines = [f"HTTP/1.1 {status} {code}".encode(), b"Content-Type: application/xml"]
    return Reply(status, lines, str(len(body)), body)


async def read_head(reader: asyncio.StreamReader) -> tuple[list[bytes], dict[str, str]]:
    """The lines of a head, and its headers by lower-case names."""
    lines = (await reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
    headers = {}
    for line in lines[1:]:
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    return lines, headers


def without(lines: list[bytes], *names: str) -> list[bytes]:
    """A head without some of its headers."""
    return [line for line in lines if line.split(b":")[0].decode("latin-1").lower() not in names]


async def read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request:
    """A request with all of its body."""
    lines, headers = await read_head(reader)
    began = time.monotonic()
    method, path, _ = lines[0].decode("latin-1").split(" ", 2)
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await writer.drain()
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body, _ = await read_chunks(reader)
    else:
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    # signatures cover no header that is left out here
    lines = without(lines, "connection", "expect", "keep-alive")
    return Request(method, path, headers, lines, body, began)


async def read_reply(reader: asyncio.StreamReader, method: str) -> Reply:
    """The final reply to a request, with all of its body, without the framing."""
    status = 100
    while status < 200:
        lines, headers = await read_head(reader)
        status = int(lines[0].split()[1])
    length = headers.get("content-length")
    if method == "HEAD" or status in WITHOUT_BODY:
        body = b""
    elif headers.get("transfer-encoding", "").lower() == "chunked":
        _, body = await read_chunks(reader)
    elif length is not None:
        body = await reader.readexactly(int(length))
    else:
        body = await reader.read()
    # a server of HTTP/1.0 is spoken for by one of HTTP/1.1
    lines[0] = b"HTTP/1.1 " + lines[0].split(b" ", 1)[1]
    lines = without(lines, "connection", "content-length", "keep-alive", "transfer-encoding")
    return Reply(status, lines, length, body)


async def read_chunks(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """A chunked body as it was sent, and what it holds."""
    sent, held = bytearray(), bytearray()
    size = -1
    while size != 0:
        line = await reader.readuntil(b"\r\n")
        size = int(line.split(b";")[0], 16)
        chunk = await reader.readexactly(size + 2) if size else b""
        sent += line + chunk
        held += chunk[:-2]
    while True:  # trailers, up to an empty line
        line = await reader.readuntil(b"\r\n")
        sent += line
        if line == b"\r\n":
            return bytes(sent), bytes(held)
