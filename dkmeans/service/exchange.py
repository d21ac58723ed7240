"""One request and its answer: who asks for what, the body that is read, the body that is sent."""

import asyncio
import os
import re
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from dkmeans.service.arrow_rows import STREAM
from dkmeans.service.limits import Limits, Room
from dkmeans.service.predictor import Wanted
from dkmeans.service.refusals import Refusal, did_you_mean, shown, unfit

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

ABORT = "dkmeans.abort"
"""What a scope calls the function that drops the connection."""

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_JSON, _ARROW = b"application/json", STREAM.encode()
_SENT_BYTES = 256 * 1024
"""Longer bodies are sent in pieces, so that whoever takes them slowly keeps a place in the room."""

_encode = msgspec.json.Encoder().encode


class Gone(Exception):
    """The client went away; there is nobody to answer."""


class Exchange:
    """A request, and what became of it."""

    def __init__(self, scope: Message, receive: Receive, send: Send) -> None:
        self.began = time.perf_counter()
        self.scope, self._receive, self._send = scope, receive, send
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        given = self.headers.get(b"x-request-id", b"")
        self.id = given.decode() if _REQUEST_ID.fullmatch(given) else os.urandom(8).hex()
        self.status = 0
        self.n_rows: int | None = None
        self.version: int | None = None
        self.refusal: str | None = None
        self.n_bytes = 0
        """Of the body, as far as it was read."""

        self._is_read = False

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.perf_counter() - self.began

    def wanted(self) -> Wanted:
        """Return what a body is and how it is to be answered.

        Raises
        ------
        Refusal
            If it is of another kind than JSON or Arrow, or encoded, or answers cannot be as asked.
        """
        headers = self.headers
        kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if kind not in (_JSON, _ARROW):
            what = f"is {shown(kind.decode('latin-1'))}" if kind else "is missing"
            raise Refusal(
                415,
                "unsupported_media_type",
                f"Content-Type {what}; send {_JSON.decode()} or {STREAM}.",
            )
        encoding = headers.get(b"content-encoding", b"identity").strip().lower()
        if encoding != b"identity":
            raise Refusal(
                415,
                "unsupported_encoding",
                f"Content-Encoding is {shown(encoding.decode('latin-1'))}; send the body as it is.",
            )
        is_arrow = kind == _ARROW
        return Wanted(is_arrow, self._wants_arrow(is_arrow), self._ignores_extra())

    def _wants_arrow(self, is_arrow: bool) -> bool:
        accept = self.headers.get(b"accept")
        if accept is None or accept == b"*/*":
            return is_arrow
        kinds = {part.partition(b";")[0].strip().lower() for part in accept.split(b",")}
        # a client that names Arrow means it, whatever else it takes
        if _ARROW in kinds:
            return True
        if _JSON in kinds:
            return False
        if b"*/*" in kinds or b"application/*" in kinds:
            return is_arrow
        raise Refusal(
            406,
            "not_acceptable",
            f"Accept takes neither {_JSON.decode()} nor {STREAM}, which are what there is.",
        )

    def _ignores_extra(self) -> bool:
        query = self.scope["query_string"]
        if not query:
            return False
        value = "refuse"
        for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
            if name != "extra":
                raise unfit("unknown_parameter", f"the query has {shown(name)}"
                            f"{did_you_mean(name, ['extra'])}; only extra=ignore and "
                            "extra=refuse are known.")  # fmt: skip
            if value not in ("ignore", "refuse"):
                raise unfit("unknown_parameter", f"extra={shown(value)} should be ignore or "
                            "refuse.")  # fmt: skip
        return value == "ignore"

    async def read(self, limits: Limits, room: Room, most: int) -> bytes:
        """Return the body, of at most so many bytes.

        Raises
        ------
        Refusal
            If it is longer, takes too long to arrive, or there is no memory for it now.
        Gone
            If the client is.
        """
        told = self.headers.get(b"content-length")
        if told is not None and int(told) > most:
            raise self._too_large(most)
        try:
            async with asyncio.timeout(limits.seconds):
                return await self._read(room, most)
        except TimeoutError:
            raise Refusal(
                408,
                "too_slow",
                f"the body did not arrive within {limits.seconds:g} seconds; send less at a time.",
                headers=[(b"connection", b"close")],
            ) from None

    async def _read(self, room: Room, most: int) -> bytes:
        chunks: list[bytes] = []
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Gone
            chunk: bytes = message.get("body", b"")
            if self.n_bytes + len(chunk) > most:
                raise self._too_large(most)
            room.hold(len(chunk))
            self.n_bytes += len(chunk)
            chunks.append(chunk)
            if not message.get("more_body", False):
                self._is_read = True
                return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _too_large(self, most: int) -> Refusal:
        is_arrow = self.headers.get(b"content-type", b"").lower().startswith(_ARROW)
        other = "" if is_arrow else f", or {STREAM}, which may be larger"
        return Refusal(
            413,
            "too_large",
            f"the body has more than {most} bytes, the most that is taken; send fewer rows at a "
            f"time{other}.",
        )

    async def refuse(self, refusal: Refusal) -> None:
        """Answer with an error."""
        self.refusal = refusal.kind
        await self.answer(refusal.status, _encode(refusal.body(self.id)), _JSON, refusal.headers)

    async def answer(
        self,
        status: int,
        body: Any,
        kind: bytes,
        headers: Iterable[tuple[bytes, bytes]] = (),
        seconds: float = 30.0,
    ) -> None:
        """Send an answer; drop a client that does not take it within so many seconds."""
        self.status = status
        data = body if isinstance(body, bytes) else memoryview(body).cast("B")
        told = [
            (b"content-type", kind),
            (b"content-length", b"%d" % len(data)),
            (b"x-request-id", self.id.encode()),
            *headers,
        ]
        # whoever waits for a word before sending the body may, or may not, send it after all
        if not self._is_read and b"expect" in self.headers:
            told.append((b"connection", b"close"))
        await self._send({"type": "http.response.start", "status": status, "headers": told})
        if len(data) <= _SENT_BYTES:
            await self._send({"type": "http.response.body", "body": data})
            return
        try:
            async with asyncio.timeout(seconds):
                for start in range(0, len(data), _SENT_BYTES):
                    piece, end = data[start : start + _SENT_BYTES], start + _SENT_BYTES
                    await self._send(
                        {"type": "http.response.body", "body": piece, "more_body": end < len(data)}
                    )
        except TimeoutError:
            self.refusal = "taken_too_slowly"
            self.scope.get(ABORT, lambda: None)()
            raise Gone from None

    async def pass_on(self, app: Callable[[Message, Receive, Send], Awaitable[None]]) -> None:
        """Let another application answer."""

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", self.id.encode())]
            await self._send(message)

        await app(self.scope, self._receive, send)
