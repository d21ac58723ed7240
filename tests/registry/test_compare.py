"""How two models differ, against figures worked out by hand."""

import json

import numpy as np
import pytest

from dkmeans.models.columns import FeatureColumn
from dkmeans.models.scaling import Scaling
from dkmeans.registry.compare import compare
from tests.models.test_model import make_model


def model_of(centers, ids, weights, inertias, *, shift=0.0, factor=1.0, **changes):
    """A model of two features whose centers are given in the units of the data."""
    centers = np.array(centers, float)
    scaling = Scaling("standard", np.full(2, shift), np.full(2, factor))
    return make_model(
        k=len(ids),
        scaling=scaling,
        scaled_centers=(centers - shift) / factor,
        scaled_means=(centers - shift) / factor,
        cluster_ids=np.array(ids),
        weights=np.array(weights, float),
        inertias=np.array(inertias, float),
        columns=(FeatureColumn("a"), FeatureColumn("b")),
        **changes,
    )


def test_clusters_are_compared_by_id_in_the_units_of_the_first_model() -> None:
    before = model_of([[0, 0], [10, 0], [50, 50]], [0, 1, 2], [6, 3, 1], [12, 6, 2], factor=2.0)
    after = model_of([[14, 3], [0, 0], [7, 7]], [1, 0, 5], [5, 10, 5], [1, 2, 2], factor=10.0)
    found = compare(before, after)
    by_id = {one.cluster_id: one for one in found.clusters}
    assert list(by_id) == [0, 1, 2, 5]
    assert (by_id[0].size_before, by_id[0].size_after) == (6, 10)
    assert (by_id[0].share_before, by_id[0].share_after) == (0.6, 0.5)
    assert by_id[0].shift == 0
    # from (10, 0) to (14, 3): 5 in units of the data, 2.5 in those of the first model
    assert by_id[1].shift == pytest.approx(2.5)
    assert (by_id[2].size_after, by_id[2].share_after, by_id[2].shift) == (None, None, None)
    assert (by_id[5].size_before, by_id[5].share_before, by_id[5].shift) == (None, None, None)
    assert found.inertia_per_row == (2.0, 0.25)
    assert not found.is_one_space
    assert set(found.differing) == {"scaling"}
    assert json.loads(json.dumps(found.to_dict()))["clusters"][1]["shift"] == pytest.approx(2.5)
    frame = found.to_frame()
    assert frame.index.tolist() == [0, 1, 2, 5]
    assert frame.loc[1, "shift"] == pytest.approx(2.5)


def test_a_model_does_not_differ_from_itself() -> None:
    found = compare(make_model(), make_model())
    assert found.differing == {}
    assert found.is_one_space
    assert [one.shift for one in found.clusters] == pytest.approx([0] * 6, abs=1e-12)


def test_what_was_asked_for_is_compared_by_name() -> None:
    before = make_model(parameters={"n_clusters": 6, "init": "coreset", "seed": 1})
    after = make_model(k=7, parameters={"n_clusters": 7, "init": "coreset", "half_life": 3.0})
    assert compare(before, after).differing == {
        "n_clusters": (6, 7),
        "parameters.half_life": (None, 3.0),
        "parameters.n_clusters": (6, 7),
        "parameters.seed": (1, None),
    }


def test_other_features_or_norms_have_no_shifts() -> None:
    other = make_model(columns=tuple(FeatureColumn(name) for name in "xyz"))
    found = compare(make_model(), other)
    assert "features" in found.differing
    assert {one.shift for one in found.clusters} == {None}
    found = compare(make_model(), make_model(scale="normalize"))
    assert {one.shift for one in found.clusters} == {None}
    rows = compare(make_model(scale="normalize"), make_model(scale="normalize", seed=4))
    expected = np.linalg.norm(
        make_model(seed=4).scaled_centers - make_model().scaled_centers, axis=1
    )
    np.testing.assert_allclose([one.shift for one in rows.clusters], expected)
