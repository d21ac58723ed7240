"""The nearest centers of each row, exactly.

Rows are scored by `||c||^2 - 2 x.c` about the centers' middle, which only ranks. Distances are
taken directly from the differences, so that they lose nothing to cancellation.
"""

from dkmeans.kernels.block import Array
from dkmeans.kernels.choice import kernels


def nearest(X: Array, centers: Array, by_row: bool = False) -> tuple[Array, Array]:
    """Find the nearest center of each row; ties go to the lowest index.

    Parameters
    ----------
    X
        `(n_rows, n_features)` float32 or float64, any layout; fastest feature-major.
    centers
        `(n_centers, n_features)`, at least one.
    by_row
        Whether what is found of a row is not to depend, to the bit, on the rows beside it.

    Returns
    -------
    labels, sq_distances
        `(n_rows,)` int32, and `(n_rows,)` of `X`'s dtype: the squared Euclidean distances.
    """
    labels, sq_distances = kernels(X, len(centers), by_row).nearest(X, centers, 1)
    return labels[:, 0], sq_distances[:, 0]


def nearest_two(X: Array, centers: Array, by_row: bool = False) -> tuple[Array, Array]:
    """Find the nearest and the second nearest center of each row.

    Parameters
    ----------
    X
        `(n_rows, n_features)` float32 or float64, any layout; fastest feature-major.
    centers
        `(n_centers, n_features)`, at least two.
    by_row
        Whether what is found of a row is not to depend, to the bit, on the rows beside it.

    Returns
    -------
    labels, sq_distances
        `(n_rows, 2)` int32 and of `X`'s dtype, the nearer center first.
    """
    return kernels(X, len(centers), by_row).nearest(X, centers, 2)


def nearest_other(
    X: Array, centers: Array, labels: Array, offsets: Array | None = None
) -> tuple[Array, Array]:
    """Find the center with the least squared distance plus offset, but for each row's own.

    Parameters
    ----------
    X
        `(n_rows, n_features)` float32 or float64, any layout; fastest feature-major.
    centers
        `(n_centers, n_features)`, at least two.
    labels
        `(n_rows,)` int: the center that is left out for each row.
    offsets
        `(n_centers,)` float64, added to squared distances; infinite for centers that are left out
        for all rows. None for zeros.

    Returns
    -------
    others, sq_distances
        `(n_rows,)` int32, and `(n_rows,)` of `X`'s dtype: without the offset. Of equal ones any.
    """
    return kernels(X, len(centers)).nearest_other(X, centers, labels, offsets)


def bring_up_to_date(
    X: Array, newest: Array, first_label: int, labels: Array, sq_distances: Array
) -> None:
    """Let some more centers be the nearest of the rows that they are nearer to than any so far.

    Parameters
    ----------
    X
        `(n_rows, n_features)` float32 or float64, any layout; fastest feature-major.
    newest
        `(n_newest, n_features)`, at least one.
    first_label
        The label of the first of them.
    labels, sq_distances
        `(n_rows,)` int32 and of `X`'s dtype: the nearest so far, and the squared distance to it,
        infinite at first. Both are written to.
    """
    kernels(X, len(newest)).bring_up_to_date(X, newest, first_label, labels, sq_distances)


def sq_distances_to(X: Array, centers: Array, labels: Array) -> Array:
    """Return the squared distance of each row to the center of its label, `(n_rows,)`."""
    return kernels(X, 1).sq_distances_to(X, centers, labels)


def distances(X: Array, centers: Array, by_row: bool = False) -> Array:
    """Return the Euclidean distance of each row to each center, `(n_rows, n_centers)`.

    The result is as large as it says: only for rows that a user wants in this form. With `by_row`,
    what is found of a row does not depend, to the bit, on the rows beside it.
    """
    return kernels(X, len(centers), by_row).distances(X, centers)
