"""Stand-ins for the parts of a service that these tests are not about, and models to serve."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dkmeans.models.columns import FeatureColumn
from dkmeans.models.filling import Filling
from dkmeans.models.model import Model
from dkmeans.models.scaling import Scaling
from dkmeans.service.app import Service


@dataclass(frozen=True, eq=False)
class OneServed:
    model: Model
    name: str = "models/customers@champion"
    version: int | None = 7
    registry: str | None = "models/customers"
    loaded_at: float = 1.75e9


@dataclass
class OneModel:
    """Always the same model."""

    served: Any
    problem: str | None = None
    n_starts: int = 0

    def start(self) -> None:
        self.n_starts += 1

    def stop(self) -> None:
        self.n_starts -= 1


@dataclass
class Counted:
    """What figures were told."""

    answers: list[tuple[str, int]] = field(default_factory=list)
    n_rows: int = 0

    n_begun: int = 0

    def begun(self) -> None:
        self.n_begun += 1

    def answered(self, path: str, status: int, seconds: float, error: str | None = None) -> None:
        assert seconds > 0
        self.answers.append((path, status))

    def predicted(self, served: Any, X: Any, assignment: Any) -> None:
        self.n_rows += len(assignment.labels)

    def exposition(self) -> bytes:
        return b"# HELP rows Rows.\n# TYPE rows counter\nrows_total %d\n" % self.n_rows


def a_model(
    k: int = 3,
    d: int = 2,
    *,
    dtype: str = "float32",
    columns: tuple[FeatureColumn, ...] | None = None,
    named: bool = True,
    missing: str = "raise",
    seed: int = 0,
    **more: Any,
) -> Model:
    """A model with random centers, columns `f0`, `f1`, ..., and ids from 10 on."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(k, d))
    if columns is None and named:
        columns = tuple(FeatureColumn(f"f{i}") for i in range(d))
    return Model(
        centers,
        Scaling("standard", rng.normal(size=d) * 10, rng.uniform(0.5, 20, d)),
        columns,
        dtype,
        np.arange(10, 10 + k),
        np.arange(1.0, k + 1),
        np.ones(k),
        centers,
        filling=Filling(rng.normal(size=d)) if missing == "mean" else None,
        provenance={"missing": missing, "keys": ["customer"]},
        **more,
    )


def a_service(model: Model | None = None, **more: Any) -> Service:
    return Service(OneModel(OneServed(a_model() if model is None else model)), Counted(), **more)
