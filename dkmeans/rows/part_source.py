"""Blocks from parts that Dask computes, or that lie in the memory of the client."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dkmeans.errors import BadValues, FeaturesMismatch, SchemaMismatch
from dkmeans.kernels.block import Array, Block, Labels
from dkmeans.models.columns import FeatureColumn, fill_from_frame, named_by_text
from dkmeans.rows.labels import encoded, name_of_label
from dkmeans.rows.leaf import ReadCost
from dkmeans.rows.values import LARGEST, MissingName, within_bounds, without_missing


@dataclass(frozen=True)
class PartSource:
    """One part: rows of an array, or of a DataFrame."""

    what: str
    """How errors name the part."""

    n_features: int
    dtype: str
    names: tuple[str, ...] | None = None
    """Names of the features, for errors."""

    columns: tuple[FeatureColumn, ...] | None = None
    """Feature columns of a DataFrame; None for an array."""

    weight: str | None = None
    """Weight column of a DataFrame."""

    most_block_rows: int = 0
    """Rows of the part; 0 if they are not counted yet."""

    missing: MissingName = "raise"
    labels: tuple[str | None, ...] = ()
    """For each of the labels, its column in a DataFrame; None for one that comes with the part."""

    @property
    def first_blocks(self) -> tuple[int, ...]:
        """The part's one block, whatever its number."""
        return ()

    @property
    def first_bytes(self) -> int:
        """Nothing is read from a store."""
        return 0

    def block_rows(self, number: int) -> int:
        """Return the rows of the part; 0 if they are not counted yet."""
        return self.most_block_rows

    def describe(self, number: int) -> str:
        """Say what the part is."""
        return f"{self.what} ({self.most_block_rows:,} rows of {self.n_features} features)"

    def open(self, part: Any, wanted: Sequence[int]) -> "PartReader | None":
        """Return a reader of `part`: an array or a DataFrame, or these, weights and labels.

        An array of None stands for rows without features.
        """
        return None if part is None else PartReader(self, part)


class PartReader:
    """Turns one part into one block."""

    def __init__(self, source: PartSource, part: Any) -> None:
        self._source = source
        self._part, self._weight, self._labels = (
            part if isinstance(part, tuple) else (part, None, ())
        )

    def close(self) -> None:
        """Nothing is open."""

    def read(self, number: int) -> tuple[Block, ReadCost]:
        """Return the block; its rows are numbered from zero. Nothing is read from a store.

        Raises
        ------
        BadValues
            If a value is null, NaN, infinite or too large, a weight is not a number from zero on,
            or a row has no label.
        """
        source, part = self._source, self._part
        weight = None if self._weight is None else np.array(self._weight, np.float64)
        if source.columns is not None:
            X = np.empty((len(part), source.n_features), source.dtype, order="F")
            try:
                fill_from_frame(X, part, source.columns)
            except FeaturesMismatch as error:
                raise SchemaMismatch(f"{source.what}: {error}") from None
            if source.weight is not None:
                weights = named_by_text(part)[source.weight]
                weight = weights.to_numpy(dtype=np.float64, na_value=np.nan)
        elif part is None:
            first = self._labels[0]
            n_rows = len(first.codes if isinstance(first, Labels) else first)
            X = np.empty((n_rows, 0), source.dtype)
        else:
            X = np.asarray(part)
            if X.ndim != 2 or X.shape[1] != source.n_features:
                raise SchemaMismatch(
                    f"{source.what} has shape {X.shape}; {source.n_features} columns are expected."
                )
            X = np.asarray(X, source.dtype, order="F")
        if weight is not None:
            check_weight(weight, len(X), source.what)
        block = Block(X, ((0, len(X)),), weight, labels=self._encoded(len(X)))
        del X, weight
        if source.missing == "drop":
            block = without_missing(block)
        _check_values(block.X, source)
        return block, ReadCost()

    def _encoded(self, n_rows: int) -> tuple[Labels, ...]:
        """The labels, those of the columns and those that came with the part."""
        beside = iter(self._labels)
        frame: Any = named_by_text(self._part) if any(self._source.labels) else None
        return tuple(
            encoded(
                next(beside) if name is None else frame[name],
                name_of_label(name, number, self._source.what),
                n_rows,
            )
            for number, name in enumerate(self._source.labels)
        )


def _check_values(X: Array, source: PartSource) -> None:
    """Raise `BadValues` if a value cannot be clustered."""
    if len(X) == 0:
        return
    largest = LARGEST[source.dtype]
    within = within_bounds(X, largest, source.missing)
    if within.all():
        return
    j = int(np.flatnonzero(~within)[0])
    name = repr(source.names[j]) if source.names is not None else f"number {j}"
    n_nan, n_inf = int(np.isnan(X[:, j]).sum()), int(np.isinf(X[:, j]).sum())
    found = [f"{n} {what}" for n, what in ((n_nan, "NaN or null"), (n_inf, "infinite values")) if n]
    remedy = "remove these rows"
    if not found:
        found = [f"values beyond {largest:g}"]
        wider = "use dtype='float64', or " if source.dtype == "float32" else ""
        remedy = f"{wider}divide the column first"
    raise BadValues(f"column {name} of {source.what} has {' and '.join(found)}; {remedy}.")


def weights_of(given: Any, n_rows: int, what: str) -> Array:
    """Return the weights of in-memory rows, `(n_rows,)` float64; one number stands for all.

    Raises
    ------
    BadValues
        If they are not finite numbers from zero on, one for each row.
    """
    try:
        weight = np.asarray(given, np.float64)
    except (ValueError, TypeError) as error:
        raise BadValues(f"the weights of {what} are not numbers: {error}") from None
    if weight.ndim == 0:
        weight = np.full(n_rows, float(weight))
    check_weight(weight, n_rows, what)
    return weight


def check_weight(weight: Array, n_rows: int, what: str) -> None:
    """Raise `BadValues` if weights are not finite numbers from zero on, one for each row."""
    if weight.shape != (n_rows,):
        raise BadValues(
            f"the weights of {what} have shape {weight.shape}; ({n_rows},) is expected."
        )
    if n_rows and not (weight.min() >= 0 and weight.max() < np.inf):
        bad = int((~(weight >= 0) | np.isinf(weight)).sum())
        raise BadValues(
            f"the weights of {what} have {bad} negative, NaN or infinite values; "
            "weights are numbers from zero on."
        )
