"""The service as a process: its socket, its threads, and how it ends."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import FrameType
from typing import Any, TextIO

import uvicorn

from dkmeans.errors import ArgumentError
from dkmeans.service.app import Service
from dkmeans.service.following import FollowedModel
from dkmeans.service.listening import is_own, listening, tls_context
from dkmeans.service.live import LiveFigures
from dkmeans.service.protocol import protocol
from dkmeans.service.request_log import RequestLog
from dkmeans.service.settings import Settings
from dkmeans.service.tokens import VARIABLE, Tokens
from dkmeans.storage.filesystem import one_line
from dkmeans.storage.json_lines import JsonLines

_SWITCH_SECONDS = 0.001
"""How long a thread keeps Python's lock while others wait: a request should not wait for long."""

_IDLE_SECONDS = 75
"""A connection on which nothing is asked for so long is closed: later than load balancers do."""


def serve(
    models: FollowedModel,
    figures: LiveFigures,
    settings: Settings,
    *,
    out: TextIO | None = None,
    ready: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve until the process is told to stop by SIGTERM or Ctrl-C, then end what is in work.

    Parameters
    ----------
    models
        Knows which model is served; started and stopped here.
    figures
        Counts what is answered.
    settings
        How to run.
    out
        Where the log goes [default: standard error].
    ready
        Told the URL of the service when it answers.

    Raises
    ------
    ArgumentError
        If the address cannot be listened on, a file of tokens or of TLS cannot be used, or others
        could ask without a token.
    DkmeansError
        If the model cannot be loaded.
    """
    lines = JsonLines(sys.stderr if out is None else out)
    tokens = _tokens(settings, lines)
    context = tls_context(settings)
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(listening(settings))
        stack.enter_context(_events_of_loggers(lines))
        models.start()
        stack.callback(models.stop)
        log = RequestLog(lines, settings.log)
        service = Service(models, figures, limits=settings.limits, tokens=tokens, log=log)
        stack.callback(service.close)
        log.start()
        stack.callback(log.stop)
        stack.callback(sys.setswitchinterval, sys.getswitchinterval())
        sys.setswitchinterval(_SWITCH_SECONDS)
        host, port = sock.getsockname()[:2]
        host = f"[{host}]" if ":" in host else host
        url = f"{'http' if context is None else 'https'}://{host}:{port}"
        server = _Server(_config(service, settings, context), service, settings.drain_seconds,
                         lambda: _began(lines, ready, url, models))  # fmt: skip
        server.run([sock])
        log.stop()
        lines.event("stopped", cut_off=server.n_cut_off)


class _Server(uvicorn.Server):
    """A server that says when it stops, and ends with exit code 0."""

    def __init__(
        self,
        config: uvicorn.Config,
        service: Service,
        drain_seconds: float,
        began: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._service, self._drain_seconds, self._began = service, drain_seconds, began
        self._loop: asyncio.AbstractEventLoop | None = None
        self.n_cut_off = 0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        self._loop = loop = asyncio.get_running_loop()
        if self.config.ssl is not None:
            # uvicorn leaves it at a minute, in which whoever is silent costs 50 KB
            seconds = self._service.limits.header_seconds
            listen = partial(loop.create_server, ssl_handshake_timeout=seconds)
            loop.create_server = listen  # type: ignore[method-assign]
        await super().startup(sockets)
        self._began()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End what is in work, as far as the grace lasts."""
        self._service.is_stopping = True
        await super().shutdown(sockets)
        self.n_cut_off = len(self.server_state.tasks)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop: at once by Ctrl-C, and after a while by SIGTERM; by the second one at all events.

        Signals are not raised again when all is done, as they would be by uvicorn.
        """
        if self._service.is_stopping:
            self.should_exit = True
            self.force_exit = sig == signal.SIGINT
            return
        self._service.is_stopping = True
        if sig == signal.SIGTERM and self._drain_seconds and self._loop is not None:
            self._loop.call_soon_threadsafe(
                lambda: asyncio.get_running_loop().call_later(self._drain_seconds, self._exit)
            )
        else:
            self._exit()

    def _exit(self) -> None:
        self.should_exit = True


def _config(service: Service, settings: Settings, context: ssl.SSLContext | None) -> uvicorn.Config:
    config = uvicorn.Config(
        service,
        http=protocol(settings.limits),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=2048,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=settings.grace_seconds,  # type: ignore[arg-type]
    )
    config.load()
    config.ssl = context
    return config


def _began(lines: JsonLines, ready: Callable[[str], None], url: str, models: FollowedModel) -> None:
    served = models.served
    assert served is not None
    lines.event("serving", url=url, model=served.name, version=served.version, pid=os.getpid())
    ready(url)


def _tokens(settings: Settings, lines: JsonLines) -> Tokens | None:
    def say(text: str) -> None:
        lines.event("tokens", text=text)

    if settings.no_token:
        return None
    if settings.token_file is not None:
        return Tokens(settings.token_file, say=say)
    token = os.environ.get(VARIABLE)
    if token is not None:
        return Tokens(token=token, say=say)
    if not is_own(settings.host):
        raise ArgumentError(
            f"others could ask at {settings.host} without a token; pass --token-file or set "
            f"{VARIABLE}, or pass --no-token if something in front asks for one."
        )
    return None


class _Handler(logging.Handler):
    """Turns records of loggers into events: what the store, the model and HTTP have to tell."""

    def __init__(self, lines: JsonLines) -> None:
        super().__init__(logging.INFO)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line. A traceback stays away: it may hold values of rows."""
        fields: Mapping[str, Any] = {
            "logger": record.name,
            "level": record.levelname.lower(),
            "text": one_line(record.getMessage()),
        }
        if record.exc_info and record.exc_info[0] is not None:
            fields = {**fields, "error": record.exc_info[0].__name__}
        self._lines.event("log", **fields)


@contextlib.contextmanager
def _events_of_loggers(lines: JsonLines) -> Iterator[None]:
    handler = _Handler(lines)
    known = {name: logging.getLogger(name) for name in ("dkmeans", "uvicorn")}
    before = {name: (logger.level, logger.propagate) for name, logger in known.items()}
    for name, logger in known.items():
        logger.addHandler(handler)
        # uvicorn warns of whatever strangers send
        logger.setLevel(logging.INFO if name == "dkmeans" else logging.ERROR)
        logger.propagate = False
    try:
        yield
    finally:
        for name, logger in known.items():
            logger.removeHandler(handler)
            logger.setLevel(before[name][0])
            logger.propagate = before[name][1]
