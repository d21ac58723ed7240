"""What clusters are called: which ids, names and colors a model may have."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from dkmeans.errors import ArgumentError
from dkmeans.kernels.block import Array

MOST_CHARACTERS = 200
"""Of a name."""

_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
_REFUSED = frozenset(("Cc", "Cs", "Zl", "Zp"))
"""Categories of characters that end lines, steer terminals, or cannot be stored as UTF-8."""

_BIDIRECTIONAL = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that let text show in another order than it has."""

_IDS_SHOWN = 10


def next_id(cluster_ids: Array, given: int) -> int:
    """Return the first id that no cluster of a line of models had, `given` if that is not 0.

    Parameters
    ----------
    cluster_ids
        `(n_clusters,)` int64.
    given
        What the model says; 0 for one more than the greatest of `cluster_ids`.

    Raises
    ------
    ArgumentError
        If ids are negative or not distinct, or one is not below `given`.
    """
    ids = np.asarray(cluster_ids)
    if ids.min() < 0:
        raise ArgumentError(f"cluster_ids have {ids.min()}; they should be 0 or more.")
    different, counts = np.unique(ids, return_counts=True)
    if len(different) < len(ids):
        twice = different[counts > 1][0]
        raise ArgumentError(f"cluster_ids have {twice} twice; each cluster needs an id of its own.")
    if given == 0:
        return int(ids.max()) + 1
    is_integer = isinstance(given, (int, np.integer)) and not isinstance(given, bool)
    if not is_integer or given <= ids.max():
        raise ArgumentError(
            f"next_cluster_id={given!r} should be an integer above every id; the greatest is "
            f"{ids.max()}."
        )
    return int(given)


def checked_names(names: Mapping[int, str], cluster_ids: Array) -> dict[int, str]:
    """Return the names of clusters by id, in the order of ids.

    Raises
    ------
    ArgumentError
        If there is no cluster of an id, or a name is no text of one line.
    """
    return _by_id("cluster_names", names, cluster_ids, _check_name)


def checked_colors(colors: Mapping[int, str], cluster_ids: Array) -> dict[int, str]:
    """Return the colors of clusters by id, in the order of ids.

    Raises
    ------
    ArgumentError
        If there is no cluster of an id, or a color is not written as #rrggbb.
    """
    return _by_id("cluster_colors", colors, cluster_ids, _check_color)


def changed(old: Mapping[int, str], new: Mapping[int, str | None] | None) -> dict[int, str]:
    """Return names or colors with some of them changed, and those that are None taken away."""
    both: dict[int, str | None] = {**old, **(new or {})}
    return {cluster_id: value for cluster_id, value in both.items() if value is not None}


def _by_id(parameter: str, given: Mapping[int, str], cluster_ids: Array, check: Any) -> Any:
    known = set(cluster_ids.tolist())
    for cluster_id, value in given.items():
        # True is 1 to Python, but nobody's number of a cluster
        if isinstance(cluster_id, bool) or cluster_id not in known:
            raise ArgumentError(
                f"{parameter} has {cluster_id!r}, which is not the id of a cluster; there are "
                f"{_listed(known)}."
            )
        check(f"{parameter}[{cluster_id}]", value)
    return {int(cluster_id): str(given[cluster_id]) for cluster_id in sorted(given)}


def _check_name(where: str, name: Any) -> None:
    if not isinstance(name, str):
        raise ArgumentError(f"{where} is a {type(name).__name__}; a name is text.")
    if not name.strip():
        raise ArgumentError(f"{where}={name[:10]!r} shows nothing; take the name away with None.")
    if len(name) > MOST_CHARACTERS:
        raise ArgumentError(
            f"{where} has {len(name)} characters; a name has {MOST_CHARACTERS} at most."
        )
    for character in name:
        if character in _BIDIRECTIONAL or unicodedata.category(character) in _REFUSED:
            raise ArgumentError(
                f"{where}={name!r} has the control character {character!r}; leave it out."
            )


def _check_color(where: str, color: Any) -> None:
    if not isinstance(color, str) or not _COLOR.fullmatch(color):
        shown = repr(color)[:40]
        raise ArgumentError(f"{where}={shown} should be a color as #rrggbb, such as #1f77b4.")


def _listed(ids: Iterable[int]) -> str:
    shown = sorted(ids)
    more = ", ..." if len(shown) > _IDS_SHOWN else ""
    return ", ".join(map(str, shown[:_IDS_SHOWN])) + more
