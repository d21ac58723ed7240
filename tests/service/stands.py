"""Stand-ins for the parts of a service that these tests are not about, and models to serve."""

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dkmeans.models.columns import FeatureColumn
from dkmeans.models.filling import Filling
from dkmeans.models.model import Model
from dkmeans.models.scaling import Scaling
from dkmeans.service.app import Service


@dataclass(frozen=True, eq=False)
class OneServed:
    model: Model
    name: str = "models/customers@champion"
    version: int | None = 7
    registry: str | None = "models/customers"
    loaded_at: float = 1.75e9


@dataclass
class OneModel:
    """Always the same model."""

    served: Any
    problem: str | None = None
    n_starts: int = 0

    def start(self) -> None:
        self.n_starts += 1

    def stop(self) -> None:
        self.n_starts -= 1


@dataclass
class Counted:
    """What figures were told."""

    answers: list[tuple[str, int]] = field(default_factory=list)
    n_rows: int = 0
    in_flight: int = 0
    errors: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def begun(self) -> None:
        self.in_flight += 1

    def ended(self) -> None:
        self.in_flight -= 1

    def failed(self, kind: str) -> None:
        self.errors.append(kind)

    def refuse(self, reason: str) -> None:
        self.refused.append(reason)

    def answered(self, path: str, status: int, seconds: float) -> None:
        assert seconds > 0
        self.answers.append((path, status))

    def predicted(self, served: Any, X: Any, assignment: Any) -> None:
        self.n_rows += len(assignment.labels)

    def exposition(self) -> bytes:
        return b"# HELP rows Rows.\n# TYPE rows counter\nrows_total %d\n" % self.n_rows


def a_model(
    k: int = 3,
    d: int = 2,
    *,
    dtype: str = "float32",
    columns: tuple[FeatureColumn, ...] | None = None,
    named: bool = True,
    missing: str = "raise",
    seed: int = 0,
    **more: Any,
) -> Model:
    """A model with random centers, columns `f0`, `f1`, ..., and ids from 10 on."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(k, d))
    if columns is None and named:
        columns = tuple(FeatureColumn(f"f{i}") for i in range(d))
    return Model(
        centers,
        Scaling("standard", rng.normal(size=d) * 10, rng.uniform(0.5, 20, d)),
        columns,
        dtype,
        np.arange(10, 10 + k),
        np.arange(1.0, k + 1),
        np.ones(k),
        centers,
        filling=Filling(rng.normal(size=d)) if missing == "mean" else None,
        provenance={"missing": missing, "keys": ["customer"]},
        **more,
    )


def a_service(model: Model | None = None, figures: Counted | None = None, **more: Any) -> Service:
    models = OneModel(OneServed(a_model() if model is None else model))
    return Service(models, Counted() if figures is None else figures, **more)


@dataclass(frozen=True)
class Answered:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        assert self.headers["content-type"] == "application/json"
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """What is wrong: a sentence for people, and the id of the request."""
        found = self.json["error"]
        assert self.status >= 400
        assert found["request_id"] == self.headers["x-request-id"]
        assert found["message"].endswith(".")
        return found


async def asked(
    service: Any,
    path: str,
    chunks: Iterable[bytes] = (b"",),
    *,
    method: str = "POST",
    kind: str | None = "application/json",
    headers: Mapping[str, str] | None = None,
    pause: float = 0.0,
    leaves: bool = False,
    takes: asyncio.Event | None = None,
) -> Answered:
    """Ask in this process: one message for each chunk, as a server passes them on.

    The answer is not taken before `takes`.
    """
    path, _, query = path.partition("?")
    named = {"content-type": kind, **(headers or {})}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(k.lower().encode(), v.encode()) for k, v in named.items() if v is not None],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "state": {},
    }
    left, sent = list(chunks), []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(pause)
        if not left and leaves:
            return {"type": "http.disconnect"}
        body = left.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(left) or leaves}

    async def send(message: Any) -> None:
        if takes is not None:
            await takes.wait()
        sent.append(message)

    await service(scope, receive, send)
    if not sent:
        return Answered(0, {}, b"")
    told = {k.decode().lower(): v.decode() for k, v in sent[0]["headers"]}
    body = b"".join(bytes(message.get("body", b"")) for message in sent[1:])
    assert len(body) == int(told["content-length"])
    return Answered(sent[0]["status"], told, body)


def ask(service: Any, path: str, body: Any = b"", **more: Any) -> Answered:
    """Ask once. What is not bytes is sent as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return asyncio.run(asked(service, path, [data], **more))
