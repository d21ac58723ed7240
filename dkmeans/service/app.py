"""The application: who may ask, what there is to ask, and how each request ends.

Requests with rows are answered here, as directly as can be; the others by FastAPI.
"""

import asyncio
import os
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dkmeans.errors import InputRefused
from dkmeans.service.arrow_rows import STREAM
from dkmeans.service.exchange import Exchange, Gone, Message, Receive, Send
from dkmeans.service.following import FollowedModel
from dkmeans.service.limits import Limits, Room
from dkmeans.service.live import LiveFigures
from dkmeans.service.pages import METHODS, pages
from dkmeans.service.predictor import Answer, Predictor
from dkmeans.service.refusals import Refusal, unfit
from dkmeans.service.request_log import RequestLog
from dkmeans.service.tokens import Tokens

_PUBLIC = frozenset({"/healthz", "/readyz"})
_GONE = 499
_AT_ONCE_BYTES = 32 * 1024
_AT_ONCE_VALUES = 2**20
_AT_ONCE_WORK = 2**24
"""Longer bodies, those that may hold more values, and more multiplications are left to threads: the
others take about 1 ms."""

_MOST_THREADS = 4
"""Each may need 250 MB for a body of JSON; and such bodies are read one at a time anyway."""


class Service:
    """An ASGI application that serves a model.

    Parameters
    ----------
    models
        Knows which model is served.
    figures
        Counts what is answered.
    limits
        What requests may cost.
    tokens
        Who may ask; None for everybody.
    log
        Is told of each request; None for nobody.
    """

    def __init__(
        self,
        models: FollowedModel,
        figures: LiveFigures,
        *,
        limits: Limits | None = None,
        tokens: Tokens | None = None,
        log: RequestLog | None = None,
    ) -> None:
        self.limits = Limits() if limits is None else limits
        self.is_stopping = False
        self._models, self._figures, self._tokens, self._log = models, figures, tokens, log
        self._room = Room(self.limits)
        self._pool = ThreadPoolExecutor(min(os.cpu_count() or 1, _MOST_THREADS), "dkmeans-rows")
        self._predictor: Predictor | None = None
        self._pages = pages(models, figures, self.limits, lambda: not self.is_stopping,
                            has_tokens=tokens is not None)  # fmt: skip

    def predictor(self) -> Predictor:
        """Return what answers for the model that is served now."""
        served, known = self._models.served, self._predictor
        if served is None:
            raise Refusal(503, "not_ready", "no model is loaded yet; try again.")
        if known is None or known.served is not served:
            known = self._predictor = Predictor(served, self.limits, self._figures)
        return known

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            raise RuntimeError(f"the service does not speak {scope['type']}.")
        exchange = Exchange(scope, receive, send)
        self._figures.begun()
        try:
            await self._answer(exchange)
        except Refusal as refusal:
            await exchange.refuse(refusal)
        except InputRefused as error:
            await exchange.refuse(unfit("refused", str(error)))
        except Gone:
            exchange.status = exchange.status or _GONE
        except asyncio.CancelledError:
            # by the server, when the grace is over: there is no more to this task than its answer
            if not exchange.status:
                await exchange.refuse(Refusal(503, "stopping", "the service stops; ask another."))
            exchange.refusal = "cut_off"
        except Exception as error:
            # what it says may hold values of rows
            is_cut_off = bool(exchange.status)
            if not is_cut_off:
                await exchange.refuse(
                    Refusal(500, "internal_error", "the service failed; its log has more, under "
                            "the request's id.")
                )  # fmt: skip
            exchange.refusal = f"{type(error).__name__} at {_place(error)}"
            if is_cut_off:
                raise RuntimeError("an answer was cut off.") from None
        finally:
            self._tell(exchange)

    async def _answer(self, exchange: Exchange) -> None:
        path = exchange.path
        if path not in _PUBLIC and self._tokens is not None:
            self._tokens.check(exchange.headers.get(b"authorization"))
        method = METHODS.get(path)
        if method is None:
            raise Refusal(404, "not_found", f"there is no such path; there are "
                          f"{', '.join(METHODS)}.")  # fmt: skip
        if exchange.method != method:
            raise Refusal(405, "method_not_allowed", f"{path} takes {method}.",
                          headers=[(b"allow", method.encode())])  # fmt: skip
        if method == "POST":
            await self._answer_rows(exchange)
        else:
            await exchange.pass_on(self._pages)

    async def _answer_rows(self, exchange: Exchange) -> None:
        limits, room = self.limits, self._room
        wanted = exchange.wanted()
        most = limits.body_bytes if wanted.is_arrow else min(limits.body_bytes, limits.json_bytes)
        room.enter()
        n_held: int | None = None
        try:
            body = await exchange.read(limits, room, most)
            predictor = self.predictor()
            exchange.version = predictor.served.version
            act = predictor.predict if exchange.path == "/predict" else predictor.distances
            run = asyncio.get_running_loop().run_in_executor
            answer: Answer
            # a row may be as short as {} and a comma
            n_values = len(body) // 3 * predictor.served.model.n_features
            if len(body) > _AT_ONCE_BYTES or n_values > _AT_ONCE_VALUES:
                answer = await run(self._pool, lambda: act(predictor.read(body, wanted), wanted))
            else:
                X = predictor.read(body, wanted)
                if predictor.work(len(X)) > _AT_ONCE_WORK:
                    answer = await run(self._pool, act, X, wanted)
                else:
                    answer = act(X, wanted)
            # the body is let go, and the answer held as long as it is taken
            body = b""
            room.free(exchange.n_bytes)
            n_held, n_bytes = 0, memoryview(answer.body).nbytes
            room.hold(n_bytes)
            n_held, exchange.n_rows = n_bytes, answer.n_rows
            kind = STREAM.encode() if wanted.wants_arrow else b"application/json"
            await exchange.answer(200, answer.body, kind, predictor.headers, limits.seconds)
        finally:
            room.free(exchange.n_bytes if n_held is None else n_held)
            room.leave()

    def _tell(self, exchange: Exchange) -> None:
        seconds = exchange.seconds
        path, figures = exchange.path if exchange.path in METHODS else "other", self._figures
        figures.ended()
        figures.answered(path, exchange.status, seconds)
        if exchange.status == 429:
            figures.refuse(exchange.refusal or "busy")
        elif exchange.refusal is not None:
            figures.failed(exchange.refusal.partition(" ")[0])
        if self._log is not None:
            self._log.answered(
                exchange.status,
                request_id=exchange.id,
                method=exchange.method[:20],
                path=path,
                seconds=round(seconds, 6),
                rows=exchange.n_rows,
                bytes=exchange.n_bytes or None,
                version=exchange.version,
                error=exchange.refusal,
            )

    def close(self) -> None:
        """Let threads go."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _place(error: BaseException) -> str:
    """Where an error was raised, without what it says."""
    frames: Any = traceback.extract_tb(error.__traceback__)
    return f"{os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else "?"
