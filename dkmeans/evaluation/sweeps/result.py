"""Several numbers of clusters compared: the result of `sweep`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from dkmeans.errors import ArgumentError
from dkmeans.evaluation.shown import Section, Shown, brief, decimals, number, percent, plain
from dkmeans.evaluation.sweeps.scores import Scores
from dkmeans.models.model import Model

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Sweep(Shown):
    """Several numbers of clusters on the same rows, each with its figures and its model.

    Distances are measured in the space where the models measure them, after scaling.
    """

    scores: tuple[Scores, ...]
    """Of each number of clusters, ascending."""

    models: Mapping[int, Model]
    """The best model of each number of clusters."""

    elbow: int | None
    """Where the inertia stops to fall steeply; None if it does nowhere."""

    recommended: int | None
    """The number of clusters that stands out; None if none does."""

    reason: str
    """Why, in one sentence."""

    n_rows: int
    """Rows, those of weight zero included."""

    n_passes: int
    """Passes made, for fits and figures of all numbers of clusters together."""

    bytes_read: int
    """Bytes read from the source, as stored."""

    @property
    def model(self) -> Model:
        """The model that is recommended.

        Raises
        ------
        ArgumentError
            If none is.
        """
        if self.recommended is None:
            raise ArgumentError(f"{self.reason} Choose a k yourself: `models[k]` has its model.")
        return self.models[self.recommended]

    def __getitem__(self, n_clusters: int) -> Scores:
        """Return the figures of a number of clusters; KeyError if it was not asked for."""
        return {one.n_clusters: one for one in self.scores}[n_clusters]

    def to_frame(self) -> "pd.DataFrame":
        """Return one row for each number of clusters, NaN where a figure is not defined."""
        import pandas as pd

        frame = pd.DataFrame([asdict(one) for one in self.scores])
        return frame.astype({one.name: "float64" for one in fields(Scores)[1:]})

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as plain values, without the models."""
        found = {
            "rows": self.n_rows,
            "scores": [asdict(one) for one in self.scores],
            "elbow": self.elbow,
            "recommended": self.recommended,
            "reason": self.reason,
            "passes": self.n_passes,
            "bytes_read": self.bytes_read,
        }
        return {name: plain(value) for name, value in found.items()}

    def sections(self) -> Sequence[Section]:
        """Return the table, the elbow, and what is recommended."""
        shown = [_COLUMNS[name] for name in _COLUMNS if self._has(name)]
        elbow = "none" if self.elbow is None else f"k={self.elbow}"
        many = f"{len(self.scores)} numbers of clusters" if len(self.scores) > 1 else "One k"
        return [
            Section(
                f"{many} on {self.n_rows:,} rows",
                (
                    f"Elbow of the inertia: {elbow}.",
                    f"Recommended: {self.reason}"
                    if self.recommended is not None
                    else f"Recommended: none; {self.reason}",
                    f"Passes over the rows: {self.n_passes}, for all k together{self._read()}.",
                ),
                tuple(heading for heading, _ in shown),
                tuple(tuple(cell(one) for _, cell in shown) for one in self.scores),
            )
        ]

    def _read(self) -> str:
        """What was read, if rows did not lie in memory."""
        if not self.bytes_read:
            return ""
        return f"; {brief(self.bytes_read / 1e6)} MB read from the source"

    def _has(self, name: str) -> bool:
        return any(getattr(one, name) is not None for one in self.scores)

    def plot(
        self, path: str | None = None, *, storage_options: Mapping[str, Any] | None = None
    ) -> "Figure":
        """Draw the inertia with its elbow, and the silhouettes, against the number of clusters.

        Parameters
        ----------
        path
            Where a PNG is written, on any fsspec URL; None for nowhere. Replaces what is there.
        storage_options
            For that store.

        Returns
        -------
        matplotlib.figure.Figure
            To be changed or shown; it belongs to no window.

        Raises
        ------
        ArgumentError
            If matplotlib is not installed.
        """
        from dkmeans.plots.sweeps import drawn, write_png

        figure = drawn(self)
        if path is not None:
            write_png(figure, path, storage_options)
        return figure

    def save(
        self,
        url: str,
        *,
        overwrite: bool = False,
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        """Save to a folder on any fsspec URL: `sweep.json`, and each model below, as `k=12`.

        `sweep.json` comes last: a reader sees a whole sweep or none.

        Raises
        ------
        OutputExists
            If a sweep lies there and `overwrite` is false, or something else lies there.
        """
        from dkmeans.evaluation.sweeps.files import save

        save(self, url, overwrite=overwrite, storage_options=storage_options)

    @classmethod
    def load(cls, url: str, *, storage_options: Mapping[str, Any] | None = None) -> "Sweep":
        """Load a saved sweep, with all its models, every part checked against its hash.

        Raises
        ------
        MissingInput
            If no sweep lies there.
        ModelRefused
            If it is of another format, or a byte of it has changed.
        """
        from dkmeans.evaluation.sweeps.files import load

        return load(url, storage_options=storage_options)


def _short(value: float, digits: int) -> str:
    """So many significant digits: inertias of many k stand below each other in little room."""
    return f"{value:.{digits}g}".replace("e+", "e")


_COLUMNS: dict[str, tuple[str, Callable[[Scores], str]]] = {
    "n_clusters": ("k", lambda one: str(one.n_clusters)),
    "inertia": ("Inertia", lambda one: _short(one.inertia, 4)),
    "explained_share": ("Explained share", lambda one: percent(one.explained_share)),
    "gain": ("Gain", lambda one: _short(one.gain, 2)),
    "smallest_cluster": ("Smallest cluster", lambda one: number(one.smallest_cluster)),
    "calinski_harabasz": ("Calinski-Harabasz", lambda one: brief(one.calinski_harabasz)),
    "davies_bouldin": ("Davies-Bouldin", lambda one: decimals(one.davies_bouldin, 3)),
    "silhouette": ("Silhouette", lambda one: decimals(one.silhouette, 3)),
    "silhouette_squared": ("Squared s.", lambda one: decimals(one.silhouette_squared, 3)),
    "silhouette_simplified": ("Simplified s.", lambda one: decimals(one.silhouette_simplified, 3)),
    "silhouette_reference": (
        "Without clusters",
        lambda one: decimals(one.silhouette_reference, 3),
    ),
    "adjusted_rand": ("ARI of two seeds", lambda one: decimals(one.adjusted_rand, 2)),
}
"""Headings, and what stands below."""
