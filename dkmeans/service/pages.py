"""What is asked without rows: health, figures, the model, the document that describes it all."""

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.responses import Response

from dkmeans.models.described import describe
from dkmeans.service.document import document
from dkmeans.service.following import FollowedModel, Served
from dkmeans.service.limits import Limits
from dkmeans.service.live import LiveFigures
from dkmeans.storage.filesystem import redact
from dkmeans.storage.secrets import scrub, scrubbed

METHODS = {
    "/predict": "POST",
    "/distances": "POST",
    "/model": "GET",
    "/metrics": "GET",
    "/healthz": "GET",
    "/readyz": "GET",
    "/openapi.json": "GET",
}
"""What there is to ask, and how."""

_encode = msgspec.json.Encoder().encode


def pages(
    models: FollowedModel,
    figures: LiveFigures,
    limits: Limits,
    is_ready: Callable[[], bool],
    *,
    has_tokens: bool,
) -> FastAPI:
    """Return the application that answers GET."""
    app = FastAPI(
        title="dkmeans",
        version=version("dkmeans"),
        # their pages load programs from other people's servers
        docs_url=None,
        redoc_url=None,
    )

    def served() -> Served:
        # nothing is listened to before the first one is loaded
        assert models.served is not None
        return models.served

    # coroutines, so that no thread is asked for what takes microseconds
    async def healthz() -> Response:
        return _json({"status": "ok"})

    async def readyz() -> Response:
        if is_ready():
            return _json({"status": "ready"})
        return _json({"status": "stopping"}, 503)

    def metrics() -> Response:
        return Response(figures.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    def model() -> Response:
        return _json(model_page(served(), models.problem))

    for endpoint in (healthz, readyz, metrics, model):
        app.get(f"/{endpoint.__name__}")(endpoint)

    def openapi() -> dict[str, Any]:
        return document(served(), limits, has_tokens=has_tokens)

    app.openapi = openapi  # type: ignore[method-assign]
    return app


def model_page(served: Served, problem: str | None) -> dict[str, Any]:
    """Return what GET /model answers."""
    told = describe(served.model)
    # a record of each pass, which is long, and of no use to those who ask for clusters
    told["provenance"].pop("history", None)
    columns = served.model.columns
    page: dict[str, Any] = scrubbed(told)
    return {
        "model": served.name,
        "version": served.version,
        "registry": None if served.registry is None else redact(served.registry),
        "loaded_at": served.loaded_at,
        "problem": None if problem is None else scrub(problem),
        "columns": None
        if columns is None
        else [{"name": column.name, "width": column.width} for column in columns],
        **page,
    }


def _json(value: Any, status: int = 200) -> Response:
    return Response(_encode(value), status, media_type="application/json")
