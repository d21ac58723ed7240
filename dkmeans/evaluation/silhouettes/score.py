"""A silhouette as a number, with what is known of it beside the number."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

from dkmeans.errors import ArgumentError
from dkmeans.evaluation.metrics import METRICS, Figure, Metric
from dkmeans.evaluation.shown import Section, Shown, name, number, plain

if TYPE_CHECKING:
    import pandas as pd

SilhouetteMethod = Literal["sampled", "squared", "simplified"]

_METRICS = {"sampled": "silhouette"} | {
    method: f"silhouette_{method}" for method in ("squared", "simplified")
}


def metric_of(method: str) -> Metric:
    """Return the metric that a method computes.

    Raises
    ------
    ArgumentError
        If there is no method of that name.
    """
    if method not in _METRICS:
        raise ArgumentError(f"method={method!r} should be 'sampled', 'squared' or 'simplified'.")
    return next(metric for metric in METRICS if metric.name == _METRICS[method])


class SilhouetteScore(Shown, float):
    """A mean silhouette: a float, with its confidence interval and the mean of each cluster."""

    method: SilhouetteMethod
    """How distances were measured: see `silhouette_score`."""

    low: float
    """Lower end of the 95 % confidence interval; the score itself if it is exact."""

    high: float
    """Upper end of it."""

    n_sampled: int | None
    """Rows that it is estimated from; None if it is exact."""

    per_cluster: Mapping[Any, float]
    """The mean silhouette of each label; NaN where it is not known."""

    def __new__(cls, value: float, **known: Any) -> Self:
        """Make a number of `value`; `known` are the fields."""
        score = super().__new__(cls, value)
        score.__dict__.update(known)
        return score

    @classmethod
    def of(cls, figure: Figure, method: SilhouetteMethod, labels: Sequence[Any]) -> Self:
        """Make a number of what a metric gave, for clusters with these labels."""
        assert figure.per_cluster is not None
        return cls(
            figure.value,
            method=method,
            low=figure.value if figure.low is None else figure.low,
            high=figure.value if figure.high is None else figure.high,
            n_sampled=figure.n_sampled,
            per_cluster=dict(zip(labels, figure.per_cluster.tolist(), strict=True)),
        )

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a SilhouetteScore is frozen; {name} cannot be set.")

    def __reduce__(self) -> Any:
        return _again, (float(self), dict(self.__dict__))

    def __repr__(self) -> str:
        return float.__repr__(self)

    def __str__(self) -> str:
        # in logs and formats it is a number; to_text() tells all
        return float.__repr__(self)

    @property
    def exact(self) -> bool:
        """Whether all rows were seen, rather than a sample."""
        return self.n_sampled is None

    def to_frame(self) -> "pd.DataFrame":
        """Return one row a label: its mean silhouette."""
        import pandas as pd

        return pd.DataFrame(
            {"label": list(self.per_cluster), "silhouette": list(self.per_cluster.values())}
        )

    def to_dict(self) -> dict[str, Any]:
        """Return all that is known as plain values."""
        known = {
            "silhouette": float(self),
            "low": self.low,
            "high": self.high,
            "sampled_rows": self.n_sampled,
            "method": self.method,
            "per_cluster": self.per_cluster,
        }
        return {name: plain(value) for name, value in known.items()}

    def sections(self) -> Sequence[Section]:
        """Return the score, and that of each cluster."""
        said = f"{float(self):.4f}"
        if not self.exact:
            said += f", between {self.low:.4f} and {self.high:.4f} with 95 % confidence"
            said += f" (from {self.n_sampled:,} rows)"
        rows = tuple((name(str(label)), number(one)) for label, one in self.per_cluster.items())
        return (Section(f"Silhouette ({self.method}): {said}", (), ("Label", "Silhouette"), rows),)


def _again(value: float, known: dict[str, Any]) -> SilhouetteScore:
    return SilhouetteScore(value, **known)
