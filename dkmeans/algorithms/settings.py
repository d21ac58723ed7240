"""What a fit is asked for, and whether it can be."""

from dataclasses import dataclass

import numpy as np

from dkmeans.algorithms.checks import is_real
from dkmeans.algorithms.stream import HalfLifeUnit, LearningRate, Pace
from dkmeans.errors import ArgumentError
from dkmeans.kernels.block import Array
from dkmeans.kernels.draws import generator
from dkmeans.models.scaling import SCALES

INITS = ("k-means||", "scalable", "k-means++", "random")
"""Seedings by name."""

OWN_SETTINGS = {
    "lloyd": ("max_iter", "coreset_size"),
    "minibatch": ("batch_size", "max_epochs", "max_no_improvement", "learning_rate"),
}
"""Settings that go with one algorithm, by its name."""

STARTS = 8
"""Restarts on a coreset, by default."""

CORESET_ROWS = 1024
"""Rows of a coreset for each cluster, by default."""

CORESET_SIZES = (200_000, 5_000_000)
"""And their least and largest number."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What any fit is asked for. Names and meanings are those of the estimators."""

    n_clusters: int
    init: str | Array
    n_init: int
    seed: int
    scale: str | None
    oversampling_factor: float
    init_rounds: int
    tol: float
    fresh_seed: bool = False
    """Whether `seed` was drawn because none was asked for."""

    @property
    def inits(self) -> tuple[str, ...]:
        """What `init` may be called."""
        return INITS

    @property
    def init_name(self) -> str:
        """The name of the seeding, aliases resolved; "array" for given centers."""
        if not isinstance(self.init, str):
            return "array"
        return "k-means||" if self.init == "scalable" else self.init

    @property
    def least_rows(self) -> int:
        """Rows that there must be."""
        return self.n_clusters

    @property
    def seeds(self) -> list[int]:
        """A seed for each restart; the first is the user's own."""
        more = generator(self.seed, "restarts").integers(0, 2**63, self.n_init - 1)
        return [self.seed, *more.tolist()]

    def check(self) -> None:
        """Raise `ArgumentError` if a value cannot be."""
        self.check_integers(n_clusters=1, n_init=1, init_rounds=0)
        if not (is_real(self.tol) and self.tol >= 0):
            raise ArgumentError(f"tol={self.tol!r} should be a number of at least 0.")
        factor = self.oversampling_factor
        if not (is_real(factor) and 0 < factor < np.inf):
            raise ArgumentError(f"oversampling_factor={factor!r} should be a number above 0.")
        if self.scale not in (None, *SCALES):
            known = ", ".join(map(repr, SCALES))
            raise ArgumentError(f"scale={self.scale!r} is not known; use {known} or None.")
        if isinstance(self.init, str) and self.init not in self.inits:
            raise ArgumentError(
                f"init={self.init!r} is not known; use {', '.join(self.inits)} or an array."
            )

    def check_integers(self, **least: int) -> None:
        """Raise `ArgumentError` if a field is no integer, or is below what is given for it."""
        for name, lowest in least.items():
            value = getattr(self, name)
            if (
                isinstance(value, bool)
                or not isinstance(value, (int, np.integer))
                or value < lowest
            ):
                raise ArgumentError(f"{name}={value!r} should be an integer of at least {lowest}.")

    def given_centers(self, n_features: int) -> Array | None:
        """Return the centers that `init` gives, in the units of X; None if it names a seeding.

        Raises
        ------
        ArgumentError
            If it is no finite array of shape `(n_clusters, n_features)`.
        """
        if isinstance(self.init, str):
            return None
        try:
            centers = np.array(self.init, np.float64)
        except (TypeError, ValueError):
            raise ArgumentError(
                "init should be a name, or an array of numbers of shape (n_clusters, n_features)."
            ) from None
        if centers.shape != (self.n_clusters, n_features):
            raise ArgumentError(
                f"init of shape {centers.shape} should have shape "
                f"({self.n_clusters}, {n_features}): (n_clusters, n_features)."
            )
        if not np.isfinite(centers).all():
            raise ArgumentError("init has values that are NaN or infinite.")
        return centers


@dataclass(frozen=True, kw_only=True)
class KMeansSettings(Settings):
    """What a fit by Lloyd's iterations is asked for."""

    max_iter: int
    coreset_size: int | None = None
    each: tuple[int, ...] = ()
    """The numbers of clusters of a sweep, of which `n_clusters` is the largest; empty for one."""

    @property
    def inits(self) -> tuple[str, ...]:
        """What `init` may be called."""
        return ("coreset", *INITS)

    @property
    def n_coreset_rows(self) -> int:
        """Rows of a coreset: a number that depends on no machine."""
        if self.coreset_size is not None:
            return self.coreset_size
        return int(np.clip(CORESET_ROWS * self.n_clusters, *CORESET_SIZES))

    def check(self) -> None:
        """Raise `ArgumentError` if a value cannot be."""
        super().check()
        self.check_integers(max_iter=1)
        if self.coreset_size is not None:
            self.check_integers(coreset_size=2 * self.n_clusters)
            if self.init_name != "coreset":
                raise ArgumentError(
                    f"coreset_size={self.coreset_size} goes with init='coreset', not with "
                    f"init={self.init!r}."
                )


@dataclass(frozen=True, kw_only=True)
class MiniBatchSettings(Settings):
    """What a fit by mini-batches is asked for."""

    batch_size: int
    n_slots: int
    init_size: int | None
    learning_rate: LearningRate
    half_life: float | None
    half_life_unit: HalfLifeUnit
    max_epochs: int
    max_no_improvement: int | None
    reassignment_ratio: float

    @property
    def pace(self) -> Pace:
        """How fast centers follow."""
        return Pace(self.learning_rate, self.half_life, self.half_life_unit)

    def check(self) -> None:
        """Raise `ArgumentError` if a value cannot be."""
        super().check()
        self.check_integers(batch_size=1, n_slots=1, max_epochs=1)
        if self.max_no_improvement is not None:
            self.check_integers(max_no_improvement=1)
        if self.init_size is not None:
            self.check_integers(init_size=self.n_clusters)
        if not (is_real(self.reassignment_ratio) and 0 <= self.reassignment_ratio < 1):
            raise ArgumentError(
                f"reassignment_ratio={self.reassignment_ratio!r} should be at least 0, below 1."
            )
        self.pace.check()
