"""A baseline is saved with its model, checked before it is believed, and can be left out."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dkmeans.errors import ModelRefused
from dkmeans.evaluation.drift.baselines import with_baseline
from dkmeans.models.baseline import Baseline
from dkmeans.models.model import Model
from tests.laws import assert_same
from tests.models.test_files import forge, forge_part, npy
from tests.models.test_model import make_model, rows


@pytest.fixture
def model() -> Model:
    """A model of six clusters with a baseline of 2 000 rows."""
    return with_baseline(make_model(), rows())


def assert_equal(found: Baseline | None, expected: Baseline | None) -> None:
    assert found is not None
    assert expected is not None
    for field in dataclasses.fields(Baseline):
        one, other = getattr(found, field.name), getattr(expected, field.name)
        if field.name in ("distances", "features"):
            assert_same(one, other)
        else:
            np.testing.assert_array_equal(one, other, err_msg=field.name)


@pytest.mark.parametrize("k", [1, 6])
@pytest.mark.parametrize("scale", [None, "standard", "normalize"])
def test_what_was_saved_is_loaded(tmp_path: Path, k: int, scale: str | None) -> None:
    model = with_baseline(make_model(k=k, scale=scale), rows())
    model.save(str(tmp_path))
    assert_equal(Model.load(str(tmp_path)).baseline, model.baseline)
    other = dataclasses.replace(model, baseline=None)
    other.save(str(tmp_path), overwrite=True)
    assert Model.load(str(tmp_path)).baseline is None
    assert not list(tmp_path.glob("baseline*"))


def test_what_nobody_knows_of_missing_values_stays_unknown(model: Model, tmp_path: Path) -> None:
    unknown = dataclasses.replace(
        model.baseline, missing=np.array([0.1, np.nan, 0.0]), incomplete=float("nan")
    )
    dataclasses.replace(model, baseline=unknown).save(str(tmp_path))
    assert_equal(Model.load(str(tmp_path)).baseline, unknown)


def test_any_changed_byte_is_refused(model: Model, tmp_path: Path) -> None:
    model.save(str(tmp_path))
    (path,) = tmp_path.glob("baseline-*.npy")
    whole = path.read_bytes()
    for at in range(0, len(whole), 131):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(ModelRefused, match="has changed"):
            Model.load(str(tmp_path))


@pytest.mark.parametrize(
    "change",
    [
        {"n_rows": 0},
        {"n_rows": "many"},
        {"n_rows": None},
        {"exponent": 5000},
        {"distance_bits": -1},
        {"distance_bits": 40},
        {"feature_bits": 60},
        {"distance_bins": 10**30},
        {"distance_bins": 0},
        {"feature_bins": 1},
        {"feature_bins": True},
    ],
)
def test_a_forged_description_is_refused(model: Model, tmp_path: Path, change: dict) -> None:
    model.save(str(tmp_path))
    forge(tmp_path, lambda body: body["baseline"].update(change))
    with pytest.raises(ModelRefused, match=r"baseline"):
        Model.load(str(tmp_path))


@pytest.mark.parametrize("value", [7, [], "x", {}, True])
def test_what_is_no_description_is_refused(model: Model, tmp_path: Path, value: object) -> None:
    model.save(str(tmp_path))
    forge(tmp_path, lambda body: body.update(baseline=value))
    with pytest.raises(ModelRefused, match="baseline"):
        Model.load(str(tmp_path))


def _set(at: int, value: float) -> Callable[[np.ndarray], None]:
    def change(numbers: np.ndarray) -> None:
        numbers[at] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        _set(0, -1.0),
        _set(0, 1e6),
        _set(0, np.nan),
        _set(6, -1.0),
        _set(-1, 0.0),
        _set(-1, -2.0),
        # keys of features end before their weights
        lambda numbers: numbers.__setitem__(slice(None, 6), 0.0),
    ],
)
def test_forged_numbers_are_refused(
    model: Model, tmp_path: Path, change: Callable[[np.ndarray], None]
) -> None:
    model.save(str(tmp_path))
    numbers = model.baseline.to_numbers()
    change(numbers)
    forge_part(tmp_path, "baseline", npy(numbers))
    with pytest.raises(ModelRefused):
        Model.load(str(tmp_path))


@pytest.mark.parametrize("value", [0.5, 1e15, -3.0])
def test_forged_bins_are_refused(model: Model, tmp_path: Path, value: float) -> None:
    model.save(str(tmp_path))
    numbers = model.baseline.to_numbers()
    n_bins = len(model.baseline.features.keys)
    numbers[-2 * n_bins + 1] = value
    forge_part(tmp_path, "baseline", npy(numbers))
    with pytest.raises(ModelRefused, match="baseline contradicts itself"):
        Model.load(str(tmp_path))


def test_percentiles_of_distances_are_those_of_the_rows_within_a_bin(model: Model) -> None:
    X = rows()
    found = model.assign(X)
    baseline = model.baseline
    expected = np.quantile(found.distances, 0.99)
    assert baseline.p99_distance == pytest.approx(expected, rel=0.02)
    for label, one in enumerate(baseline.p99_distances):
        of_cluster = found.distances[found.labels == label]
        if len(of_cluster) > 300:
            assert one == pytest.approx(np.quantile(of_cluster, 0.99), rel=0.05)
