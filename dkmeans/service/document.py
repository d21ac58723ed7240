"""The OpenAPI document: exact for the model that is served now, with its columns and examples."""

from importlib.metadata import version
from typing import Any

from dkmeans.models.model import Model
from dkmeans.service.arrow_rows import STREAM
from dkmeans.service.following import Served
from dkmeans.service.limits import Limits

_JSON = "application/json"
_MOST_NAMED_COLUMNS = 200
"""A model with more is described without a property for each."""

_ERRORS = {
    400: "The body is neither JSON nor Arrow IPC, whatever its Content-Type says.",
    401: "The token is missing or wrong.",
    404: "There is no such path.",
    405: "The path takes another method; see the header Allow.",
    406: "Accept takes nothing that there is.",
    408: "The body did not arrive in time.",
    413: "The body has too many bytes, rows or values, or its answer would have.",
    415: "Content-Type or Content-Encoding is none that is taken.",
    422: "Rows do not fit the model: the message names row, column and remedy.",
    429: "Too many requests are in work; see the header Retry-After.",
    500: "The service failed.",
    503: "The service stops, or too many connections are open.",
}
_OF_ALL = (401, 405, 500)
_OF_ROWS = (400, 401, 405, 406, 408, 413, 415, 422, 429, 500, 503)


def document(served: Served, limits: Limits, *, has_tokens: bool) -> dict[str, Any]:
    """Return the document.

    Parameters
    ----------
    served
        The model that rows are described for.
    limits
        What requests may cost.
    has_tokens
        Whether requests need a token.
    """
    model = served.model
    body = _body_of_rows(model, limits)
    predicted = _ok(
        "The cluster of each row, in the order of the rows; null for rows that lack values, if the "
        "model was fitted without such rows.",
        _answer_schema({"distances": _list_of("number")}, has_names=bool(model.cluster_names)),
        f"A table of `cluster_id`, `distance` and, of models of several clusters, "
        f"`second_distance`, as {STREAM}.",
    )
    measured = _ok(
        "The distance of each row to the center of each of `cluster_ids`; null for rows that lack "
        "values, if the model was fitted without such rows.",
        _answer_schema(
            {"distances": {"type": "array", "items": {
                "type": ["array", "null"], "items": {"type": "number"}}}},
            ids={"type": "array", "items": {"type": "integer"}},
        ),
        "A table with a column of distances for each cluster, named by its id.",
    )  # fmt: skip
    paths = {
        "/predict": {"post": _posted("predict", "Say which clusters rows belong to", body,
                                     predicted)},
        "/distances": {"post": _posted("distances", "Measure rows to all centers", body,
                                       measured)},
        "/model": _got("model", "Describe the model that is served", _JSON, {"type": "object"}),
        "/metrics": _got("metrics", "Figures in the text format of Prometheus",
                         "text/plain; version=0.0.4; charset=utf-8", {"type": "string"}),
        "/healthz": _got("healthz", "Whether the process lives", _JSON, _STATUS, public=True),
        "/readyz": _got("readyz", "Whether requests should be sent here", _JSON, _STATUS,
                        public=True),
    }  # fmt: skip
    paths["/readyz"]["get"]["responses"]["503"] = {
        "description": "The service stops.",
        "content": {_JSON: {"schema": _STATUS}},
    }
    found: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "dkmeans",
            "version": version("dkmeans"),
            "description": f"Clusters of {model.n_clusters}, by a model of {model.n_features} "
            f"features: {served.name}"
            + ("." if served.version is None else f", version {served.version}."),
        },
        "paths": paths,
        "components": {"schemas": {"Error": _ERROR}},
    }
    if has_tokens:
        found["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        found["security"] = [{"token": []}]
    return found


_STATUS = {
    "type": "object",
    "properties": {"status": {"type": "string", "enum": ["ok", "ready", "stopping"]}},
    "required": ["status"],
    "additionalProperties": False,
}

_ERROR = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "type": {"type": "string", "description": "For programs, as `missing_value`."},
                "message": {"type": "string", "description": "For people, with the remedy."},
                "request_id": {"type": "string"},
                "row": {"type": "integer", "description": "Counted from 0."},
                "column": {"type": "string"},
            },
            "required": ["type", "message", "request_id"],
        }
    },
    "required": ["error"],
}


def _body_of_rows(model: Model, limits: Limits) -> dict[str, Any]:
    value = {"type": ["number", "boolean", "null"]}
    as_list = {
        "type": "array",
        "items": value,
        "minItems": model.n_features,
        "maxItems": model.n_features,
        "description": "The features in the order of GET /model.",
    }
    kinds: list[dict[str, Any]] = [as_list]
    centers = model.centers[:2].astype(model.dtype)
    lists = [[round(float(value), 6) for value in center] for center in centers]
    examples: dict[str, Any] = {
        "by position": {"summary": "Lists of numbers", "value": {"rows": lists}}
    }
    if model.columns is not None:
        kinds.append(_by_name(model))
        objects = [_as_object(model, row) for row in lists]
        examples = {"by name": {"summary": "Columns by name", "value": {"rows": objects}},
                    **examples}  # fmt: skip
    schema = {
        "type": "object",
        "properties": {"rows": {"type": "array", "items": {"anyOf": kinds},
                                "maxItems": limits.rows}},
        "required": ["rows"],
        "additionalProperties": False,
    }  # fmt: skip
    return {
        "required": True,
        "description": "Rows. A value that is null, or not there, is missing: what becomes of it "
        "was decided when the model was fitted. true and false are 1 and 0. Numbers that the model "
        f"cannot measure, as {model.dtype} does not hold them or their squares, are refused. "
        "Tables of Arrow IPC have the same columns, of any number type, in plain batches without "
        "compression.",
        "content": {
            _JSON: {"schema": schema, "examples": examples},
            STREAM: {"schema": {"type": "string", "format": "binary"}},
        },
    }


def _by_name(model: Model) -> dict[str, Any]:
    columns = model.columns or ()
    found: dict[str, Any] = {"type": "object", "description": "Values by column."}
    if len(columns) > _MOST_NAMED_COLUMNS:
        return found
    value = {"type": ["number", "boolean", "null"]}
    found["properties"] = {
        column.name: value
        if column.width is None
        else {"type": ["array", "null"], "items": value, "minItems": column.width,
              "maxItems": column.width}
        for column in columns
    }  # fmt: skip
    for key in model.provenance.get("keys") or []:
        found["properties"].setdefault(str(key), {"description": "A key; not looked at."})
    return found | {"additionalProperties": False}


def _as_object(model: Model, row: list[float]) -> dict[str, Any]:
    values = iter(row)
    return {
        column.name: next(values)
        if column.width is None
        else [next(values) for _ in range(column.width)]
        for column in model.columns or ()
    }


def _list_of(kind: str) -> dict[str, Any]:
    return {"type": "array", "items": {"type": [kind, "null"]}}


def _answer_schema(
    more: dict[str, Any], *, ids: dict[str, Any] | None = None, has_names: bool = False
) -> dict[str, Any]:
    properties = {
        "cluster_ids": _list_of("integer") if ids is None else ids,
        **more,
        "model": {"type": "string"},
        "version": {"type": ["integer", "null"], "description": "In its registry, if it has one."},
    }
    required = list(properties)
    if has_names:
        properties["cluster_names"] = _list_of("string")
        required.append("cluster_names")
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


_HEADERS = {
    "X-Request-Id": {"schema": {"type": "string"}, "description": "The request's own, or a new "
                     "one; logs have it."},
    "X-Dkmeans-Model": {"schema": {"type": "string"}},
    "X-Dkmeans-Version": {"schema": {"type": "string"}, "description": "If it has one."},
}  # fmt: skip


def _ok(description: str, schema: dict[str, Any], of_arrow: str) -> dict[str, Any]:
    return {
        "description": description,
        "headers": _HEADERS,
        "content": {
            _JSON: {"schema": schema},
            STREAM: {"schema": {"type": "string", "format": "binary", "description": of_arrow}},
        },
    }


def _errors(statuses: tuple[int, ...]) -> dict[str, Any]:
    content = {_JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {str(one): {"description": _ERRORS[one], "content": content} for one in statuses}


def _posted(
    name: str, summary: str, body: dict[str, Any], answer: dict[str, Any]
) -> dict[str, Any]:
    extra = {
        "name": "extra",
        "in": "query",
        "description": "What becomes of columns that the model does not know.",
        "schema": {"type": "string", "enum": ["refuse", "ignore"], "default": "refuse"},
    }
    return {
        "operationId": name,
        "summary": summary,
        "parameters": [extra],
        "requestBody": body,
        "responses": {"200": answer, **_errors(_OF_ROWS)},
    }


def _got(
    name: str, summary: str, kind: str, schema: dict[str, Any], *, public: bool = False
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "responses": {
            "200": {"description": summary, "content": {kind: {"schema": schema}}},
            **_errors(tuple(one for one in _OF_ALL if not (public and one == 401))),
        },
    }
    if public:
        found["security"] = []
    return {"get": found}
