"""How well clusters agree with true labels, from the weight of each pair of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from dkmeans.errors import TooLarge
from dkmeans.evaluation.agreement.figures import (
    AverageMethod,
    adjusted_mutual_info,
    adjusted_rand,
    fowlkes_mallows,
    homogeneity_completeness_v_measure,
    is_whole,
    normalized_mutual_info,
    purity,
)
from dkmeans.evaluation.shown import Section, Shown, name, number, percent, plain
from dkmeans.partials.contingency import Contingency

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Agreement",
    "AverageMethod",
    "adjusted_mutual_info",
    "adjusted_rand",
    "fowlkes_mallows",
    "homogeneity_completeness_v_measure",
    "normalized_mutual_info",
    "purity",
]

_TITLES = {
    "adjusted_rand": "Adjusted Rand index",
    "adjusted_mutual_info": "Adjusted mutual information",
    "normalized_mutual_info": "Normalized mutual information",
    "homogeneity": "Homogeneity",
    "completeness": "Completeness",
    "v_measure": "V-measure",
    "fowlkes_mallows": "Fowlkes-Mallows index",
    "purity": "Purity",
}

_LABELS_SHOWN = 20
_MOST_CLUSTERS_SHOWN, _LEAST_CLUSTERS_SHOWN = 20, 5
_TABLE_WIDTH = 100
"""Columns of text that clusters may take."""

_MOST_CELLS = 2**24


@dataclass(frozen=True, eq=False)
class Agreement(Shown):
    """How well clusters agree with true labels."""

    adjusted_rand: float
    """0 on average by chance, 1 if clusters and labels are the same."""

    adjusted_mutual_info: float
    """0 on average by chance, 1 if clusters and labels are the same."""

    normalized_mutual_info: float
    """From 0 to 1; many clusters raise it by chance."""

    homogeneity: float
    """1 if each cluster has rows of one label only."""

    completeness: float
    """1 if all rows of a label are in one cluster."""

    v_measure: float
    """Harmonic mean of homogeneity and completeness."""

    fowlkes_mallows: float
    """From 0 to 1, of pairs of rows."""

    purity: float
    """Share of the weight whose label is the heaviest one of its cluster."""

    contingency: Contingency
    """The weight of each pair of a label and a cluster."""

    @classmethod
    def of(cls, contingency: Contingency) -> Self:
        """Compute all figures."""
        return cls(
            adjusted_rand(contingency),
            adjusted_mutual_info(contingency),
            normalized_mutual_info(contingency),
            *homogeneity_completeness_v_measure(contingency),
            fowlkes_mallows(contingency),
            purity(contingency),
            contingency,
        )

    def to_frame(self) -> "pd.DataFrame":
        """Return the weights of the pairs: true labels by clusters, whole numbers as integers.

        Raises
        ------
        TooLarge
            If there are too many pairs for a table; `contingency` has those that occur.
        """
        import pandas as pd

        table = self.contingency
        shape = len(table.values_true), len(table.values_pred)
        if shape[0] * shape[1] > _MOST_CELLS:
            raise TooLarge(
                f"a table of {shape[0]} true labels and {shape[1]} clusters has more than "
                f"{_MOST_CELLS} cells; take the pairs that occur from contingency.pairs."
            )
        dense = np.zeros(shape)
        dense[table.pairs[:, 0], table.pairs[:, 1]] = table.weight
        return pd.DataFrame(
            dense.astype(np.int64) if is_whole(table) else dense,
            index=pd.Index(table.values_true, name="label", tupleize_cols=False),
            columns=pd.Index(table.values_pred, name="cluster", tupleize_cols=False),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the figures, and the pairs that occur with their weights, as plain values."""
        table = self.contingency
        pairs = {
            "values_true": table.values_true,
            "values_pred": table.values_pred,
            "pairs": table.pairs,
            "weight": table.weight,
        }
        told = {**self._figures(), "n_rows": table.n_rows, "total_weight": table.total_weight}
        return {name: plain(value) for name, value in {**told, "contingency": pairs}.items()}

    def sections(self) -> Sequence[Section]:
        """Return the figures, and the table of the heaviest labels and clusters."""
        table = self.contingency
        figures = Section(
            "Agreement of clusters with labels",
            self._sentences(),
            ("Figure", "Value"),
            tuple((_TITLES[key], number(value)) for key, value in self._figures().items()),
        )
        return figures, _table_shown(table)

    def _sentences(self) -> tuple[str, ...]:
        weight = self.contingency.total_weight
        said = f"{number(self.contingency.n_rows)} rows, weight {number(weight)}."
        if np.isnan(self.adjusted_rand):
            said += " Pairs of rows cannot be counted where weights are shares, not counts."
        return (said,)

    def _figures(self) -> dict[str, float]:
        return {key: getattr(self, key) for key in _TITLES}


def _table_shown(table: Contingency) -> Section:
    """The weights of pairs, of no more labels and clusters than can be taken in."""
    heaviest = number(table.weight.max(initial=0))
    widest = max(map(len, map(str, (heaviest, *table.values_pred))))
    fitting = min(_MOST_CLUSTERS_SHOWN, max(_LEAST_CLUSTERS_SHOWN, _TABLE_WIDTH // (widest + 2)))
    rows, columns = (
        np.sort(np.argsort(-weight, kind="stable")[:most])
        for weight, most in (
            (table.weight_true, _LABELS_SHOWN),
            (table.weight_pred, fitting),
        )
    )
    is_shown = np.isin(table.pairs[:, 0], rows) & np.isin(table.pairs[:, 1], columns)
    cells = dict(
        zip(map(tuple, table.pairs[is_shown].tolist()), table.weight[is_shown], strict=True)
    )
    sentences = []
    hidden = [
        f"{number(len(values) - len(shown))} of {number(len(values))} {what}"
        for values, shown, what in (
            (table.values_true, rows, "labels"),
            (table.values_pred, columns, "clusters"),
        )
        if len(shown) < len(values)
    ]
    if hidden:
        share = float(table.weight[~is_shown].sum()) / table.total_weight
        sentences.append(
            f"Not shown: {' and '.join(hidden)}, those of the least weight; {percent(share)} of "
            "the weight is there."
        )
    return Section(
        "Weight of each label in each cluster",
        tuple(sentences),
        ("Label", *(name(str(table.values_pred[j])) for j in columns)),
        tuple(
            (
                name(str(table.values_true[i])),
                *(number(cells.get((i, j), 0)) for j in columns.tolist()),
            )
            for i in rows.tolist()
        ),
    )
