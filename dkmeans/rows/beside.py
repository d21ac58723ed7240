"""What goes beside the parts of a Dask collection, weights and labels, cut where the rows are."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from dkmeans.errors import ArgumentError, BadValues
from dkmeans.kernels.block import Labels
from dkmeans.rows.labels import encoded


class _Whole:
    """Keeps Dask from searching labels for collections."""

    def __init__(self, labels: Labels) -> None:
        self.labels = labels


def with_beside(
    parts: Sequence[Any],
    lengths: tuple[int, ...] | None,
    sample_weight: Any,
    labels: Sequence[Any],
) -> list[Any]:
    """Put its weights and labels beside each part; return the parts if there are none.

    Parameters
    ----------
    parts
        Delayed parts, or None for rows without features.
    lengths
        Rows of each; None if they are not known.
    sample_weight
        Array or Dask collection `(n_samples,)`, or None.
    labels
        The same for each of the labels.

    Raises
    ------
    ArgumentError
        If something cannot be cut as the rows are.
    BadValues
        If something has another length.
    """
    from dask.delayed import delayed

    weights: list[Any] = [None] * len(parts)
    if sample_weight is not None:
        if not _is_lazy(sample_weight):
            _check_known(lengths, "sample_weight", "weight")
            sample_weight = np.asarray(sample_weight, np.float64)
            _check_length(sample_weight.shape, lengths, _WEIGHTS)
        weights = _cut(sample_weight, lengths, len(parts), "sample_weight", _WEIGHTS)
    cut = [_cut_labels(one, lengths, len(parts), number) for number, one in enumerate(labels)]
    if sample_weight is None and not cut:
        return list(parts)
    together = delayed(_together, pure=False)
    return [
        together(part, weight, *of_part)
        for part, weight, *of_part in zip(parts, weights, *cut, strict=True)
    ]


_WEIGHTS = "the weights of X have"


def _cut_labels(given: Any, lengths: tuple[int, ...] | None, n_parts: int, number: int) -> Any:
    name = f"labels[{number}]"
    if _is_lazy(given):
        if getattr(given, "ndim", 1) != 1:
            raise BadValues(f"{name} has shape {given.shape}; (n_samples,) is expected.")
        return _cut(given, lengths, n_parts, name, f"{name} of X has")
    known = _check_known(lengths, name, "label")
    whole = encoded(given, f"{name} of X", sum(known))
    stops = np.cumsum(known).tolist()
    return [_Whole(whole[stop - n : stop]) for stop, n in zip(stops, known, strict=True)]


def _cut(
    given: Any, lengths: tuple[int, ...] | None, n_parts: int, name: str, shaped: str
) -> list[Any]:
    """Cut a collection, or an array of known length, as the rows are cut."""
    if not _is_lazy(given):
        import dask.array as da

        given = da.from_array(given, chunks=(lengths,))
    elif lengths is not None and hasattr(given, "rechunk"):
        _check_length(given.shape, lengths, shaped)
        given = given.rechunk((lengths,))
    cut = given.to_delayed(optimize_graph=True)
    cut = list(cut.ravel()) if hasattr(cut, "ravel") else list(cut)
    if len(cut) != n_parts:
        raise ArgumentError(f"{name} has {len(cut)} partitions, X has {n_parts}; cut them alike.")
    return cut


def _check_known(lengths: tuple[int, ...] | None, name: str, role: str) -> tuple[int, ...]:
    if lengths is None:
        raise ArgumentError(
            f"{name} is an array while X has unknown chunk sizes; pass a Dask collection "
            f"with X's partitions, or name a {role} column."
        )
    return lengths


def _check_length(shape: tuple[Any, ...], lengths: Sequence[int] | None, shaped: str) -> None:
    n_rows = sum(lengths or ())
    if shape != (n_rows,) and not any(n != n for n in shape):
        raise BadValues(f"{shaped} shape {shape}; ({n_rows},) is expected.")


def _is_lazy(given: Any) -> bool:
    return hasattr(given, "to_delayed")


def _together(part: Any, weight: Any, *labels: Any) -> tuple[Any, Any, tuple[Any, ...]]:
    return part, weight, tuple(one.labels if isinstance(one, _Whole) else one for one in labels)
