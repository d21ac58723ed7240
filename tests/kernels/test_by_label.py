"""Rows in the order of their labels."""

import numpy as np
import pytest

from dkmeans.kernels.by_label import ByLabel


@pytest.mark.parametrize("n_clusters", [7, 2**16, 2**16 + 1, 10**6])
@pytest.mark.parametrize("filtered", [False, True])
def test_runs_hold_the_rows_of_each_label_in_order(n_clusters, filtered):
    rng = np.random.default_rng(0)
    labels = rng.choice([0, 2, 3, n_clusters - 1], 500).astype(np.int32)
    able = rng.random(500) < 0.5 if filtered else np.ones(500, bool)
    found = ByLabel.of(labels, n_clusters, able if filtered else None)
    seen = {label: found.order[run].tolist() for label, run in found.runs()}
    present = (0, 2, 3, n_clusters - 1)
    assert seen == {one: np.flatnonzero((labels == one) & able).tolist() for one in present}
    assert found.counts.tolist() == [len(rows) for rows in seen.values()]
    assert found.labels.tolist() == list(seen)


def test_no_rows_have_no_runs():
    for labels, able in ((np.empty(0, np.int32), None), (np.zeros(3, np.int32), np.zeros(3, bool))):
        found = ByLabel.of(labels, 4, able)
        assert list(found.runs()) == []
        assert found.counts.tolist() == []
