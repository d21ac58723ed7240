"""A fitted k-means model, complete in itself: it assigns rows with NumPy alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dkmeans.kernels.block import Array
from dkmeans.kernels.nearest import distances, nearest, nearest_two
from dkmeans.models.baseline import Baseline
from dkmeans.models.columns import FeatureColumn, feature_names, matrix
from dkmeans.models.filling import Filling
from dkmeans.models.naming import changed, checked_colors, checked_names, next_id
from dkmeans.models.scaling import AnyScaling

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from dkmeans.models.exports.export import Exported, Format


@dataclass(frozen=True, eq=False)
class Assignment:
    """Where rows belong. Distances are Euclidean, in the space where they are measured."""

    labels: Array
    """`(n_rows,)` int32: index of the nearest center."""

    cluster_ids: Array
    """`(n_rows,)` int64: the number of the cluster that users see."""

    distances: Array
    """`(n_rows,)`: distance to the nearest center."""

    second_distances: Array | None
    """`(n_rows,)`: distance to the second nearest center; None if there is one center, or nobody
    has asked."""

    sq_distances: Array
    """`(n_rows,)`: squares of `distances`, before their roots were rounded."""


@dataclass(frozen=True, eq=False)
class Model:
    """Centers, scaling, cluster ids, their names, and provenance.

    `save` and `load` keep it as JSON and `.npy` files; `predict` needs neither Dask nor
    scikit-learn.
    """

    scaled_centers: Array
    """`(n_clusters, n_features)` float64, in the space where distances are measured."""

    scaling: AnyScaling | None
    """From the units of the data to that space; None where they are the same."""

    columns: tuple[FeatureColumn, ...] | None
    """The columns that the features come from; None if the model was fitted on a bare array."""

    dtype: str
    """"float32" or "float64": what rows are converted to before anything else."""

    cluster_ids: Array
    """`(n_clusters,)` int64: the numbers that users see, by label; distinct, 0 or more."""

    weights: Array
    """`(n_clusters,)` float64: sum of the sample weights in each cluster."""

    inertias: Array
    """`(n_clusters,)` float64: weighted sum of squared distances in each cluster."""

    scaled_means: Array
    """`(n_clusters, n_features)` float64: means of the rows in each cluster, where the centers
    would move to next; the center itself for a cluster without rows."""

    filling: Filling | None = None
    """What missing values are replaced by, in the units of the data; None where they are
    refused."""

    baseline: Baseline | None = None
    """What the rows of the fit were like, for drift; None if no pass was made for it."""

    parameters: Mapping[str, Any] = field(default_factory=dict)
    """What the fit was asked for."""

    provenance: Mapping[str, Any] = field(default_factory=dict)
    """What it was fitted on and by: files, rows, seed, versions, run id, history."""

    cluster_names: Mapping[int, str] = field(default_factory=dict)
    """What clusters are called, by cluster id: text of one line. Not all need a name."""

    cluster_colors: Mapping[int, str] = field(default_factory=dict)
    """The colors that clusters are drawn in, by cluster id, as #rrggbb. Not all need one."""

    next_cluster_id: int = 0
    """Greater than every id that a cluster of this line of models ever had: what the next new
    cluster is numbered. 0, when a model is made, stands for one more than its greatest id."""

    def __post_init__(self) -> None:
        # whatever is read from here on obeys the rules of naming
        set_field = object.__setattr__
        set_field(self, "next_cluster_id", next_id(self.cluster_ids, self.next_cluster_id))
        set_field(self, "cluster_names", checked_names(self.cluster_names, self.cluster_ids))
        set_field(self, "cluster_colors", checked_colors(self.cluster_colors, self.cluster_ids))

    @property
    def n_clusters(self) -> int:
        """Number of clusters."""
        return len(self.scaled_centers)

    @property
    def n_features(self) -> int:
        """Number of features."""
        return int(self.scaled_centers.shape[1])

    @property
    def feature_names(self) -> tuple[str, ...] | None:
        """Names of the features; None if the model was fitted on a bare array."""
        return None if self.columns is None else feature_names(self.columns)

    @property
    def centers(self) -> Array:
        """The centers in the units of the data, `(n_clusters, n_features)` float64.

        For rows scaled to length 1 these are `scaled_centers`: lengths cannot be given back.
        """
        if self.scaling is None:
            return self.scaled_centers
        return self.scaling.inverse_transform(self.scaled_centers)

    @property
    def inertia(self) -> float:
        """Weighted sum of squared distances of the rows of the fit to their centers."""
        return float(self.inertias.sum())

    def prepare(self, X: Any) -> Array:
        """Turn rows of any in-memory kind into the space where distances are measured.

        Raises
        ------
        FeaturesMismatch
            If a column is missing, the number of features differs, or a value is not finite.
        UnsupportedType
            If X is sparse, complex, or no numbers.
        """
        may_lack = self.filling is not None
        return self.scale(matrix(X, self.columns, self.n_features, self.dtype, may_lack))

    def scale(self, X: Array) -> Array:
        """Map rows `(n_rows, n_features)` of the model's dtype to the space of the centers."""
        X = X if self.filling is None else self.filling.transform(X)
        return X if self.scaling is None else self.scaling.transform(X)

    def predict(self, X: Any) -> Array:
        """Return the label of each row: the index of its nearest center, `(n_rows,)` int32.

        Parameters
        ----------
        X
            `(n_rows, n_features)`: NumPy array, pandas DataFrame or Arrow table. Columns are
            matched by name where there are names.

        Raises
        ------
        FeaturesMismatch
            If a column is missing, the number of features differs, or a value is not finite.
        UnsupportedType
            If X is sparse, complex, or no numbers.
        """
        return nearest(self.prepare(X), self.scaled_centers)[0]

    def transform(self, X: Any, *, by_row: bool = False) -> Array:
        """Return the distance of each row to each center, `(n_rows, n_clusters)`.

        `by_row` is that of `assign`.
        """
        return distances(self.prepare(X), self.scaled_centers, by_row)

    def score(self, X: Any, sample_weight: Array | None = None) -> float:
        """Return minus the inertia of some rows under this model."""
        sq_distances = nearest(self.prepare(X), self.scaled_centers)[1].astype(np.float64)
        return -float(sq_distances.sum() if sample_weight is None else sq_distances @ sample_weight)

    def assign(self, X: Any, *, by_row: bool = False) -> Assignment:
        """Return label, cluster id, distance and second distance of each row.

        Parameters
        ----------
        X
            As for `predict`.
        by_row
            Whether the distances of a row are not to depend, in their last bits, on how many rows
            are beside it. Few rows then wait for the compiled loops that many rows have, too.
        """
        return self.assign_scaled(self.prepare(X), by_row=by_row)

    def assign_scaled(self, X: Array, *, by_row: bool = False, second: bool = True) -> Assignment:
        """`assign` for rows that `scale` has been through; without second distances if asked."""
        if self.n_clusters == 1 or not second:
            labels, sq_distances = nearest(X, self.scaled_centers, by_row)
            return Assignment(
                labels, self.cluster_ids[labels], np.sqrt(sq_distances), None, sq_distances
            )
        both, sq_both = nearest_two(X, self.scaled_centers, by_row)
        labels = np.ascontiguousarray(both[:, 0])
        measured = np.sqrt(sq_both)
        return Assignment(
            labels, self.cluster_ids[labels], measured[:, 0], measured[:, 1], sq_both[:, 0]
        )

    def renamed(
        self,
        names: Mapping[int, str | None] | None = None,
        *,
        colors: Mapping[int, str | None] | None = None,
    ) -> "Model":
        """Return the model with other names and colors of some clusters.

        Parameters
        ----------
        names
            By cluster id; None takes a name away. Clusters that are not there keep theirs.
        colors
            The same, each as #rrggbb.

        Raises
        ------
        ArgumentError
            If there is no cluster of an id, a name is no text of one line with 200 characters at
            most, or a color is written otherwise.

        Examples
        --------
        >>> from dkmeans import KMeans
        >>> model = KMeans(2, random_state=0).fit([[0.0], [1.0], [9.0], [11.0]]).model_
        >>> model.renamed({1: "night owls"}, colors={1: "#1f77b4"}).cluster_names
        {1: 'night owls'}
        """
        return replace(
            self,
            cluster_names=changed(self.cluster_names, names),
            cluster_colors=changed(self.cluster_colors, colors),
        )

    def save(
        self,
        url: str,
        *,
        overwrite: bool = False,
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        """Save to a folder on any fsspec URL; readers see the whole model or the one before.

        Raises
        ------
        OutputExists
            If a model lies there and `overwrite` is false.
        """
        from dkmeans.models.files import save

        save(self, url, overwrite=overwrite, storage_options=storage_options)

    @classmethod
    def load(cls, url: str, *, storage_options: Mapping[str, Any] | None = None) -> "Model":
        """Load a saved model, every part checked against its hash. Runs no code of the model's.

        Raises
        ------
        MissingInput
            If no model lies there.
        ModelRefused
            If it is of another format, or a byte of it has changed.
        """
        from dkmeans.models.files import load

        return load(url, storage_options=storage_options)

    def to_sklearn(self) -> "Pipeline":
        """Return a fitted scikit-learn Pipeline that predicts the same labels."""
        from dkmeans.models.exports.scikit_learn import to_sklearn

        return to_sklearn(self)

    def export(self, url: str, format: "Format", **options: Any) -> "Exported":
        """Write it for scikit-learn ("sklearn", with skops), "onnx" or "mlflow", at any fsspec URL.

        What is written has been run on sample rows, and assigns them as the model does. The other
        parameters, and what it raises, are those of `dkmeans.models.exports.export.export`.
        """
        from dkmeans.models.exports.export import export

        return export(self, url, format, **options)
