"""What a served model answers: rows of a body in, a body out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol
from urllib.parse import quote

import msgspec
import numpy as np

from dkmeans.kernels.block import Array
from dkmeans.kernels.nearest import distances
from dkmeans.models.model import Model
from dkmeans.service.arrow_rows import ArrowRows, to_stream
from dkmeans.service.following import Served
from dkmeans.service.json_rows import JsonRows, out_of_range
from dkmeans.service.limits import Limits
from dkmeans.service.live import LiveFigures
from dkmeans.service.refusals import Refusal, unfit

_PIECE_VALUES = 8192
"""Longer lists are encoded in pieces, so that other threads run in between."""

_INT32 = np.iinfo(np.int32).max
_encode = msgspec.json.Encoder().encode


class _Reader(Protocol):
    def read(self, body: bytes) -> Array:
        """Return the rows of a body."""
        ...


@dataclass(frozen=True)
class Wanted:
    """What a request asks for."""

    is_arrow: bool
    """Whether the body is Arrow IPC."""

    wants_arrow: bool
    """Whether the answer should be."""

    ignores_extra: bool = False
    """Whether columns that the model does not know are ignored."""


@dataclass(frozen=True)
class Answer:
    """A body, and what is said of it."""

    body: Any
    """Bytes, or a buffer of them."""

    n_rows: int
    """That were asked for."""


class Predictor:
    """Answers requests by one model. Thread-safe.

    Parameters
    ----------
    served
        The model.
    limits
        What a request may cost.
    figures
        Who is told of what is predicted.
    """

    def __init__(self, served: Served, limits: Limits, figures: LiveFigures) -> None:
        self.served, self._limits, self._figures = served, limits, figures
        self._model: Model = served.model
        self._drops = self._model.filling is None and (
            self._model.provenance.get("missing") == "drop"
        )
        self._readers: dict[tuple[bool, bool], _Reader] = {}
        self._said = b',"model":%b,"version":%b}' % (
            _encode(served.name), _encode(served.version)
        )  # fmt: skip
        self._names: dict[int, str] = dict(self._model.cluster_names)
        self.headers = (
            (b"x-dkmeans-model", quote(served.name, safe="/:@?=&+,;~ ").encode()),
            *(() if served.version is None else ((b"x-dkmeans-version", b"%d" % served.version),)),
        )

    def work(self, n_rows: int) -> int:
        """Return about how many multiplications so many rows take."""
        return (n_rows + 8) * self._model.n_clusters * self._model.n_features

    def read(self, body: bytes, wanted: Wanted) -> Array:
        """Return the rows of a body, `(n_rows, n_features)`, NaN where they lack values."""
        key = wanted.is_arrow, wanted.ignores_extra
        reader = self._readers.get(key)
        if reader is None:
            kind: Callable[..., _Reader] = ArrowRows if wanted.is_arrow else JsonRows
            reader = self._readers[key] = kind(self._model, self._limits, wanted.ignores_extra)
        return reader.read(body)

    def predict(self, X: Array, wanted: Wanted) -> Answer:
        """Answer which clusters rows belong to.

        Raises
        ------
        Refusal
            If a row lacks a value that the model cannot do without, or one is too large.
        """
        n_rows = len(X)
        X, kept = self._ready(X)
        with np.errstate(over="ignore", invalid="ignore"):
            assignment = self._model.assign_scaled(
                self._model.scale(X), by_row=True, second=wanted.wants_arrow
            )
        _check_measured(assignment.distances, kept)
        self._figures.predicted(self.served, X, assignment)
        ids = assignment.cluster_ids
        if wanted.wants_arrow:
            columns = {
                "cluster_id": ids.astype(np.int32) if self._has_small_ids else ids,
                "distance": assignment.distances,
            }
            if assignment.second_distances is not None:
                columns["second_distance"] = assignment.second_distances
            return Answer(to_stream(columns, kept, self._told), n_rows)
        found = ids.tolist()
        parts = [
            b'{"cluster_ids":', _listed(_spread(found, kept)),
            b',"distances":', _listed(_spread(assignment.distances.tolist(), kept)),
        ]  # fmt: skip
        if self._names:
            names = [self._names.get(one) for one in found]
            parts += [b',"cluster_names":', _listed(_spread(names, kept))]
        return Answer(b"".join([*parts, self._said]), n_rows)

    def distances(self, X: Array, wanted: Wanted) -> Answer:
        """Answer how far rows are from all centers; errors as `predict`."""
        n_rows, k = len(X), self._model.n_clusters
        if n_rows * k > self._limits.values:
            raise Refusal(
                413,
                "too_many_values",
                f"{n_rows} rows and {k} clusters have {n_rows * k} distances; at most "
                f"{self._limits.values} are sent at a time, of {self._limits.values // k} rows.",
            )
        X, kept = self._ready(X)
        with np.errstate(over="ignore", invalid="ignore"):
            found = distances(self._model.scale(X), self._model.scaled_centers, by_row=True)
        _check_measured(found, kept)
        ids = self._model.cluster_ids.tolist()
        if wanted.wants_arrow:
            columns = {str(one): found[:, j] for j, one in enumerate(ids)}
            return Answer(to_stream(columns, kept, self._told), n_rows)
        parts = [b'{"cluster_ids":', _encode(ids), b',"distances":',
                 _listed(_spread(found.tolist(), kept), k)]  # fmt: skip
        return Answer(b"".join([*parts, self._said]), n_rows)

    @cached_property
    def _has_small_ids(self) -> bool:
        return bool(self._model.cluster_ids.max() <= _INT32)

    @cached_property
    def _told(self) -> Mapping[str, str]:
        version = self.served.version
        told = {"dkmeans.model": self.served.name}
        if version is not None:
            told["dkmeans.version"] = str(version)
        if self._names:
            names = {str(key): name for key, name in self._names.items()}
            told["dkmeans.cluster_names"] = _encode(names).decode()
        return told

    def _ready(self, X: Array) -> tuple[Array, Array | None]:
        """Rows in the model's dtype, and which were kept where those that lack values go."""
        with np.errstate(over="ignore", invalid="ignore"):
            narrow = X.astype(self._model.dtype, copy=False)
        if np.isfinite(narrow).all():
            return narrow, None
        found = np.argwhere(np.isinf(narrow))
        if len(found):
            row, name = int(found[0, 0]), self._feature(found[0, 1])
            value = float(X[tuple(found[0])])
            what = f"{value:g}" if np.isfinite(value) else "an infinite number"
            raise out_of_range(f"row {row}, column {name!r}", what, row, name)
        if self._model.filling is not None:
            return narrow, None
        lacks = np.isnan(narrow)
        if self._drops:
            kept = ~lacks.any(axis=1)
            return narrow[kept], kept
        row, j = (int(i) for i in np.argwhere(lacks)[0])
        name = self._feature(j)
        raise unfit(
            "missing_value",
            f"row {row} has no value for column {name!r}, and the model was fitted without missing "
            "values; send a number.",
            row=row,
            column=name,
        )

    def _feature(self, j: int) -> str:
        names = self._model.feature_names
        return str(j) if names is None else names[j]


def _check_measured(found: Array, kept: Array | None) -> None:
    """Refuse rows whose distances are infinite."""
    is_measured = np.isfinite(found)
    if is_measured.all():
        return
    row = int(np.argwhere(~is_measured)[0, 0])
    row = row if kept is None else int(np.flatnonzero(kept)[row])
    raise unfit(
        "out_of_range",
        f"row {row} is too far from the centers to be measured; send smaller numbers.",
        row=row,
    )


def _spread(values: list[Any], kept: Array | None) -> list[Any]:
    """Values of the kept rows among None for the others."""
    if kept is None:
        return values
    left = iter(values)
    return [next(left) if one else None for one in kept.tolist()]


def _listed(values: list[Any], width: int = 1) -> bytes:
    """A list as JSON."""
    step = max(1, _PIECE_VALUES // width)
    if len(values) <= step:
        return _encode(values)
    pieces = [_encode(values[i : i + step])[1:-1] for i in range(0, len(values), step)]
    return b"[" + b",".join(pieces) + b"]"
