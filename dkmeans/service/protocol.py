"""HTTP/1.1 of uvicorn's, with limits on what comes before and after a request that we see.

uvicorn waits for headers for ever, takes any number of them, and keeps an answer in memory until
somebody takes it.
"""

import asyncio
import os
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from dkmeans.service.exchange import ABORT
from dkmeans.service.limits import Limits
from dkmeans.service.refusals import Refusal

_MOST_HEADER_BYTES = 64 * 1024
_LINGER_SECONDS = 5.0
"""How long the rest of a body is thrown away whose request was refused: a connection that is closed
at once would take the answer with it."""


def protocol(limits: Limits) -> type[HttpToolsProtocol]:
    """Return the protocol with some limits."""
    return type("LimitedProtocol", (Protocol,), {"limits": limits})


class Protocol(HttpToolsProtocol):
    """A connection."""

    limits: Limits

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._timer: asyncio.TimerHandle | None = None
        self._in_header, self._in_body = True, False
        self._header_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; wait for headers only so long."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            self._close_with(Refusal(503, "too_many_connections", "too many connections are open."))
            return
        self._arm(self.limits.header_seconds, self._no_header)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse; watch how long headers are, and how long they take.

        Trailers of a body, and words beside the lengths of its pieces, count as headers.
        """
        self._header_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._header_bytes > _MOST_HEADER_BYTES:
            self._close_with(
                Refusal(431, "headers_too_large",
                        f"the headers have more than {_MOST_HEADER_BYTES} bytes.")
            )  # fmt: skip
        elif self._in_header and self._header_bytes and self._timer is None:
            self._arm(self.limits.header_seconds, self._no_header)

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self.scope[ABORT] = self.transport.abort  # type: ignore[literal-required]

    def on_headers_complete(self) -> None:
        """Hand the request over."""
        self._in_header, self._in_body, self._header_bytes = False, True, 0
        self._disarm()
        super().on_headers_complete()
        self.cycle.transport = _Lingering(self, self.cycle)  # type: ignore[assignment]

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._header_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Expect the next request, unless the answer to this one was the last."""
        self._in_header, self._in_body, self._header_bytes = True, False, 0
        self._disarm()
        super().on_message_complete()
        if self.cycle.response_complete and not self.cycle.keep_alive:
            self.transport.close()

    def on_response_complete(self) -> None:
        """Wait only so long for the rest of a body, or for somebody to take the answer."""
        super().on_response_complete()
        if self.is_left(self.cycle):
            self._arm(_LINGER_SECONDS, self.transport.abort)
        elif self.transport.get_write_buffer_size():
            self._arm(self.limits.seconds, self._not_taken)

    def is_left(self, cycle: RequestResponseCycle) -> bool:
        """Whether a request was answered before all of its body came."""
        return self._in_body and cycle is self.cycle and cycle.response_complete

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, even if its last answer was not taken."""
        super().timeout_keep_alive_handler()
        if self._timer is None and self.transport.get_write_buffer_size():
            self._arm(self.limits.seconds, self._not_taken)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        self._close_with(Refusal(400, "invalid_http", "the request is not HTTP/1.1."))

    def _no_header(self) -> None:
        self._timer = None
        if self.cycle is not None and not self.cycle.response_complete:
            # the next request has begun, and this one takes longer
            self._arm(self.limits.header_seconds, self._no_header)
            return
        self._close_with(
            Refusal(408, "too_slow", "the headers did not arrive within "
                    f"{self.limits.header_seconds:g} seconds.")
        )  # fmt: skip

    def _not_taken(self) -> None:
        self._timer = None
        if self.transport.get_write_buffer_size():
            self.transport.abort()

    def _close_with(self, refusal: Refusal) -> None:
        """Answer, where no request is in work but the one that is wrong, and close."""
        if self.transport.is_closing():
            return
        cycle = self.cycle
        if self._in_body:
            is_free = not cycle.response_started and not self.pipeline
        else:
            is_free = cycle is None or cycle.response_complete
        if is_free:
            body = msgspec.json.encode(refusal.body(os.urandom(8).hex()))
            self.transport.write(
                STATUS_LINE[refusal.status] + b"content-type: application/json\r\n"
                b"content-length: %d\r\nconnection: close\r\n\r\n%b" % (len(body), body)
            )
        self.transport.close()

    def _arm(self, seconds: float, then: Any) -> None:
        self._disarm()
        self._timer = self.loop.call_later(seconds, then)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Lingering:
    """A connection as a request sees it: once closed, the rest of a body may still come."""

    def __init__(self, protocol: Protocol, cycle: RequestResponseCycle) -> None:
        self._protocol, self._cycle = protocol, cycle
        self._transport = protocol.transport
        self.is_closing = self._transport.is_closing

    def write(self, data: bytes) -> None:
        if not self.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        if not self._protocol.is_left(self._cycle):
            self._transport.close()
        elif self._transport.can_write_eof():
            self._transport.write_eof()
