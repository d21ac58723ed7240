"""Where the rows of each cluster of one model are in another: the pass that counts it.

Rows are taken as they are stored, unscaled: each model scales them, and fills in what they lack, as
it was fitted. Run by the tasks of a pass.
"""

from dataclasses import dataclass, replace
from functools import reduce
from typing import Self

import numpy as np

from dkmeans.errors import ArgumentError, BadValues, FeaturesMismatch
from dkmeans.kernels.block import Array, Block, Labels
from dkmeans.kernels.nearest import nearest
from dkmeans.models.filling import Filling
from dkmeans.models.model import Model
from dkmeans.models.scaling import AnyScaling
from dkmeans.partials.contingency import Contingency
from dkmeans.rows.requests import Reduce
from dkmeans.rows.rows import Rows

_FEATURES_SHOWN = 8


def flow_request(champion: Model, challenger: Model, *, scaled: bool = False) -> Reduce:
    """Ask for the weight of the rows that each pair of clusters has in common.

    It can share its pass with other requests: with those that take rows as they are stored or, if
    both models scale alike, with those that take them `scaled`, as evaluations do.

    Parameters
    ----------
    champion, challenger
        Two models of the same features.
    scaled
        Whether rows come filled and scaled already, as `rows.scaled(champion.scaling)` gives them.

    Returns
    -------
    Reduce
        Of rows that are not scaled, unless `scaled`; filled, or with what they lack still there, as
        `unfilled` gives them. Gives a `Contingency` of the labels of the champion and those of the
        challenger.

    Raises
    ------
    ArgumentError
        If rows come scaled, and the models scale or fill differently.
    FeaturesMismatch
        If the models have other features.
    """
    check_features(champion, challenger)
    if scaled and not scale_alike(champion, challenger):
        raise ArgumentError(
            "scaled=True needs models that scale and fill rows alike; these do not: ask for the "
            "flow of rows as they are stored."
        )
    sides: tuple[_Side, ...] = (
        _Side.of("champion", champion),
        _Side.of("challenger", challenger),
    )
    if scaled:
        sides = tuple(replace(side, scaling=None, filling=None) for side in sides)
    return Reduce("row flow", flow_of_block, sides)


def scale_alike(champion: Model, challenger: Model) -> bool:
    """Whether two models see the same rows: filled, scaled and rounded alike."""
    one, other = (
        tuple(None if step is None else step.name for step in (model.filling, model.scaling))
        for model in (champion, challenger)
    )
    return one == other and champion.dtype == challenger.dtype


def unfilled(rows: Rows) -> Rows:
    """Return rows whose missing values are still missing, if rows that lack some are used at all.

    So each of several models can fill in its own.
    """
    return rows.filled(of_nothing(rows.n_features))


def of_nothing(n_features: int) -> Filling:
    """Return a filling that leaves gaps as they are."""
    return Filling(np.full(n_features, np.nan))


def check_features(champion: Model, challenger: Model) -> None:
    """Raise `FeaturesMismatch` if two models cannot have the same rows."""
    one, other = champion.feature_names, challenger.feature_names
    if champion.n_features != challenger.n_features:
        one = other = None
    elif one is None or other is None or one == other:
        return
    raise FeaturesMismatch(
        f"the challenger has {_listed(challenger.n_features, other)}, the champion "
        f"{_listed(champion.n_features, one)}: clusters of other features are other clusters; "
        "begin a new line of models."
    )


@dataclass(frozen=True, eq=False)
class _Side:
    """What of a model is needed to label rows."""

    role: str
    centers: Array
    scaling: AnyScaling | None
    filling: Filling | None
    dtype: str

    @classmethod
    def of(cls, role: str, model: Model) -> Self:
        return cls(role, model.scaled_centers, model.scaling, model.filling, model.dtype)

    def labels(self, X: Array) -> Labels:
        X = X.astype(self.dtype, copy=False)
        if self.filling is not None:
            X = self.filling.transform(X)
        elif len(X) and np.isnan(X.min(axis=0)).any():
            raise BadValues(
                f"the rows lack values, which the {self.role} does not fill in; read them with "
                "missing='drop', or fit it with missing='mean'."
            )
        X = X if self.scaling is None else self.scaling.transform(X)
        return Labels(nearest(X, self.centers)[0], tuple(range(len(self.centers))))


def flow_of_block(block: Block, champion: _Side, challenger: _Side) -> Contingency:
    """Count the pairs of labels of the rows of a block."""
    parts = [Contingency.zero()]
    for _, tile in block.tiles():
        pairs = champion.labels(tile.X), challenger.labels(tile.X)
        parts.append(Contingency.from_pairs(*pairs, tile.weight))
    return reduce(Contingency.merge, parts)


def _listed(n_features: int, names: tuple[str, ...] | None) -> str:
    if names is None:
        return "1 feature" if n_features == 1 else f"{n_features} features"
    more = ", ..." if len(names) > _FEATURES_SHOWN else ""
    return f"the features {', '.join(map(repr, names[:_FEATURES_SHOWN]))}{more}"
