"""What a worker takes while a report is made: no more than the formula says."""

from dataclasses import dataclass

import numpy as np
import pytest

import dkmeans
from dkmeans.models.model import Model
from dkmeans.reports.findings import findings, report_demand
from dkmeans.rows.demand import Demand
from dkmeans.rows.rows import Rows
from tests.evaluation.test_memory import Job, check
from tests.test_memory import pytestmark

__all__ = ["check", "pytestmark"]


@dataclass(frozen=True)
class Reporting(Job):
    """The passes of a report, with drift and the flow from another model."""

    def demand(self, model: Model) -> Demand:
        return report_demand(self._known(model), self._rows(model), model)

    def do(self, rows: Rows, model: Model) -> int:
        return findings(self._known(model), rows, against=model).evaluation.n_rows

    def _known(self, model: Model) -> Model:
        return dkmeans.with_baseline(
            model,
            self._some(),
        )

    def _rows(self, model: Model) -> Rows:
        return Rows.from_array(self._some())

    def _some(self) -> np.ndarray:
        return np.random.default_rng(0).normal(size=(500, self.d)).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize(
    "job",
    [
        Reporting(10, 4, 16, "report"),
        Reporting(10, 768, 16, "report"),
        Reporting(200, 256, 4, "report", n_blocks=9),
    ],
    ids=str,
)
def test_the_peak_of_a_report_is_within_the_formula(job, check):
    check(job)
