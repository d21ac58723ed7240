"""Windows that slide over real and drifting data are as good as refits of all their rows."""

import numpy as np
import pytest

from tests.benchmarks import windows


# windows of kddcup in stored order have constant features, and fewer distinct rows than clusters
@pytest.mark.filterwarnings("ignore::dkmeans.errors.DkmeansWarning")
@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("follows", [True, False])
@pytest.mark.parametrize("length", [4, 12])
@pytest.mark.parametrize("name", ["taxi", "kddcup", "kddcup-mixed", "mixture"])
def test_windows_are_within_half_a_percent_of_refits(oracle_data, tmp_path, name, length, follows):
    ratios = []
    for seed in range(2):
        case = windows.case_of(name, oracle_data, seed)
        for one in windows.slide(case, length, seed, tmp_path / str(seed), follows=follows):
            ratios.append(one.inertia_ratio)
            assert one.bytes_share == pytest.approx(1, abs=0.02)
    assert np.mean(ratios) < 1.005
