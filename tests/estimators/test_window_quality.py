"""Windows that slide over real and drifting data are as good as refits of all their rows."""

import logging

import numpy as np
import pytest

from tests.benchmarks import windows

LOG = logging.getLogger(__name__)
EVERY = {"taxi": (1, 2), "mixture": (3, 1), "kddcup": (5, 1), "kddcup-mixed": (5, 1)}
"""Of each data set: each how many windows one is compared with a refit, and seeds."""


# windows of kddcup in stored order have constant features, and fewer distinct rows than clusters
@pytest.mark.filterwarnings("ignore::dkmeans.errors.DkmeansWarning")
@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("follows", [True, False])
@pytest.mark.parametrize("length", [4, 12])
@pytest.mark.parametrize("name", EVERY)
def test_windows_are_within_half_a_percent_of_refits(oracle_data, tmp_path, name, length, follows):
    ratios = []
    every, n_seeds = EVERY[name]
    for seed in range(n_seeds):
        case = windows.case_of(name, oracle_data, seed)
        found = windows.slide(
            case, length, seed, tmp_path / str(seed), every=every, follows=follows, is_brief=True
        )
        for one in found:
            ratios.append(one.inertia_ratio)
            assert one.bytes_share == pytest.approx(1, abs=0.02)
    # shown by --log-cli-level=INFO
    LOG.info("of refits: mean %.5f, most %.5f, n=%d", np.mean(ratios), max(ratios), len(ratios))
    assert np.mean(ratios) < 1.005
