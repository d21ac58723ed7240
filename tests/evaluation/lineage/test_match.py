"""Which clusters are kept, born, gone, split and merged, on tables that one can do by hand."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dkmeans import KMeans
from dkmeans.errors import ArgumentError, FeaturesMismatch
from dkmeans.evaluation.lineage.continued import continued
from dkmeans.evaluation.lineage.fates import Merge, Part, Split
from dkmeans.evaluation.lineage.flow import flow_request
from dkmeans.evaluation.lineage.lineage import lineage
from dkmeans.evaluation.lineage.match import match
from dkmeans.evaluation.lineage.result import Lineage
from dkmeans.models.model import Model
from dkmeans.models.scaling import Normalization, Scaling
from tests.evaluation.lineage.models import flow_of, model_of, spread

checked = settings(max_examples=100, deadline=None, derandomize=True, database=None)


def by_rows(weight: object, old: Model | None = None, **options: int) -> Lineage:
    """Match clusters whose centers tell nothing: all are far from each other."""
    n_old, n_new = np.shape(weight)
    old = spread(n_old) if old is None else old
    new = model_of(1e6 + 1e5 * np.arange(n_new))
    return match(old, new, flow_of(weight), **options)


def ids(fates: tuple) -> list[int]:
    return [one.cluster_id for one in fates]


def test_permuted_labels_get_their_old_ids_back() -> None:
    rng = np.random.default_rng(0)
    old = model_of(rng.normal(size=(9, 3)), cluster_ids=rng.permutation(100)[:9])
    X = rng.normal(size=(2000, 3))
    for _ in range(5):
        order = rng.permutation(9)
        new = replace(old, scaled_centers=old.scaled_centers[order], cluster_ids=np.arange(9))
        for found in (lineage(old, new, X), lineage(old, new)):
            assert found.new_ids.tolist() == old.cluster_ids[order].tolist()
            assert ids(found.kept) == sorted(old.cluster_ids.tolist())
            assert (found.births, found.deaths, found.splits, found.merges) == ((),) * 4
            assert {one.shift for one in found.kept} == {0.0}
            assert found.next_cluster_id == old.next_cluster_id
        assert lineage(old, new, X).churn == 0
        assert {one.overlap for one in lineage(old, new, X).kept} == {1.0}


def test_a_planted_split_is_found_and_the_larger_part_keeps_the_id() -> None:
    found = by_rows([[0, 40, 60], [50, 0, 0]])
    assert found.new_ids.tolist() == [1, 2, 0]
    assert ids(found.births) == [2]
    assert found.births[0].parts == (Part(0, 0.4, 1.0),)
    assert found.splits == (Split(0, 0, (Part(0, 0.6, 1.0), Part(2, 0.4, 1.0))),)
    assert (found.deaths, found.merges) == ((), ())
    assert found.churn == pytest.approx(40 / 150)


def test_an_even_split_gives_the_id_to_the_lowest_label() -> None:
    found = by_rows([[0, 50, 50], [50, 0, 0]])
    assert found.new_ids.tolist() == [1, 0, 2]


def test_a_cluster_in_many_parts_leaves_its_id_to_none() -> None:
    found = by_rows([[20, 20, 20, 20, 20, 0], [0, 0, 0, 0, 0, 9]])
    assert ids(found.deaths) == [0]
    assert ids(found.births) == [2, 3, 4, 5, 6]
    assert found.splits[0].kept_by is None
    assert ids(found.splits[0].parts) == [2, 3, 4, 5, 6]
    assert found.churn == pytest.approx(100 / 109)


def test_a_planted_merge_is_found_and_keeps_the_id_of_the_larger() -> None:
    found = by_rows([[30, 0], [0, 70], [60, 0]])
    assert found.new_ids.tolist() == [2, 1]
    assert ids(found.deaths) == [0]
    assert found.deaths[0].parts == (Part(2, 1.0, 1 / 3),)
    assert found.merges == (Merge(2, 2, (Part(2, 1.0, 2 / 3), Part(0, 1.0, 1 / 3))),)
    assert (found.births, found.splits) == ((), ())
    assert found.churn == pytest.approx(30 / 160)


def test_an_even_merge_keeps_the_lowest_id_whatever_its_label() -> None:
    old = model_of([0.0, 100.0, 200.0], cluster_ids=np.array([8, 5, 2]))
    found = match(old, model_of([1e6, 2e6]), flow_of([[10, 0], [10, 0], [0, 9]]))
    assert found.new_ids.tolist() == [5, 2]
    assert ids(found.deaths) == [8]


def test_a_merge_of_many_is_a_new_cluster() -> None:
    found = by_rows([[10], [10], [10], [10], [10]])
    assert found.merges == (Merge(5, None, tuple(Part(i, 1.0, 0.2) for i in range(5))),)
    assert (ids(found.births), ids(found.deaths)) == ([5], [0, 1, 2, 3, 4])
    assert found.churn == 1


def test_rows_that_cross_a_border_are_neither_split_nor_merge() -> None:
    found = by_rows([[80, 20], [5, 95]])
    assert (found.splits, found.merges) == ((), ())
    assert found.churn == pytest.approx(25 / 200)


def test_rows_that_move_between_clusters_that_go_on_are_neither_split_nor_merge() -> None:
    # most of the new cluster 1 was in 0, but it is still 1
    found = by_rows([[940, 60], [0, 50]])
    assert (found.new_ids.tolist(), found.splits, found.merges) == ([0, 1], (), ())
    # most of the old cluster 1 is in 0, but there still is a 1
    found = by_rows([[940, 0], [60, 50]])
    assert (found.new_ids.tolist(), found.splits, found.merges) == ([0, 1], (), ())


def test_a_cluster_that_is_dealt_out_is_gone_without_a_split() -> None:
    found = by_rows([[90, 5, 5], [0, 80, 0], [0, 0, 80], [20, 20, 20]])
    assert ids(found.deaths) == [3]
    third = pytest.approx(1 / 3)
    assert [(one.cluster_id, one.share_of_old) for one in found.deaths[0].parts] == [
        (0, third),
        (1, third),
        (2, third),
    ]
    assert (found.splits, found.merges) == ((), ())


def test_a_cluster_made_of_pieces_is_new_without_a_merge() -> None:
    found = by_rows([[80, 0, 0, 20], [0, 80, 0, 20], [0, 0, 80, 20]])
    assert ids(found.births) == [3]
    assert [one.share_of_old for one in found.births[0].parts] == [0.2] * 3
    assert (found.splits, found.merges) == ((), ())


def test_pieces_below_a_hundredth_are_not_told() -> None:
    found = by_rows([[99.5, 0], [0, 99.5], [0.5, 0.5]])
    assert [len(one.parts) for one in found.deaths] == [2]
    found = by_rows([[100, 0, 0.5], [0, 100, 99.5]])
    assert ids(found.births[0].parts) == [1]


def test_clusters_with_too_little_in_common_are_two() -> None:
    kept = by_rows([[40, 60, 0], [0, 0, 60], [0, 60, 0]])
    assert 40 / 100 in {one.overlap for one in kept.kept}
    found = by_rows([[20, 80], [80, 0]])
    # 20 / 180 is below the least overlap, and 80 / 100 twice is better
    assert found.new_ids.tolist() == [1, 0]
    found = by_rows([[24, 0], [76, 100]])
    assert ids(found.deaths) == [0]
    found = by_rows([[24, 76]])
    assert (ids(found.kept), ids(found.births)) == ([0], [1])
    found = by_rows([[24, 38, 38]], spread(1))
    assert found.new_ids.tolist() == [1, 0, 2]


def test_rows_decide_where_another_scaling_moves_the_centers() -> None:
    old = model_of([[0.0, 0.0], [10.0, 1.0]])
    # only the second feature matters to the new one
    scaling = Scaling("standard", np.zeros(2), np.array([100.0, 1.0]))
    centers = np.array([[9.0, 0.0], [1.0, 1.0]])
    new = model_of(centers / scaling.factor, scaling=scaling)
    X = np.repeat([[0.0, 0.0], [10.0, 1.0]], 20, axis=0)
    assert lineage(old, new).new_ids.tolist() == [1, 0]
    found = lineage(old, new, X)
    assert found.new_ids.tolist() == [0, 1]
    assert found.churn == 0
    # in the scaled units of the old model, which are those of the data here
    np.testing.assert_allclose([one.shift for one in found.kept], [9.0, 9.0])


def test_shifts_are_told_in_scaled_units_of_the_old_model() -> None:
    one = Scaling("standard", np.array([5.0]), np.array([2.0]))
    other = Scaling("standard", np.array([-1.0]), np.array([10.0]))
    old = model_of((np.array([0.0, 100.0]) - 5) / 2, scaling=one)
    new = model_of((np.array([101.0, 3.0]) + 1) / 10, scaling=other)
    found = match(old, new, None)
    assert found.new_ids.tolist() == [1, 0]
    np.testing.assert_allclose([kept.shift for kept in found.kept], [1.5, 0.5])


def test_centers_decide_where_rows_cannot() -> None:
    old, new = model_of([0.0, 10.0, 20.0, 30.0]), model_of([31.0, 10.0, 22.0, 100.0])
    # clusters 2 and 3 have no rows in either model
    found = match(old, new, flow_of([[0, 50, 0, 0], [0, 50, 0, 0], [0] * 4, [0] * 4]))
    assert found.new_ids.tolist() == [3, 1, 2, 4]
    assert [one.overlap for one in found.kept] == [0.5, None, None]
    assert found.births[0].parts == ()


def test_a_cluster_that_lost_all_its_rows_to_another_is_gone() -> None:
    found = match(spread(2), spread(2), flow_of([[60, 0], [40, 0]]))
    assert found.new_ids.tolist() == [0, 2]
    assert ids(found.merges) == [0]
    assert [one.parts for one in found.births] == [()]


def test_k_may_change_and_be_one() -> None:
    assert by_rows([[10]]).new_ids.tolist() == [0]
    assert by_rows([[10, 20, 30]]).new_ids.tolist() == [1, 2, 0]
    assert by_rows([[10], [30], [20]]).new_ids.tolist() == [1]
    assert match(model_of([0.0]), model_of([1e9]), None).new_ids.tolist() == [0]
    assert match(model_of([0.0]), model_of([7.0, 3.0]), None).new_ids.tolist() == [1, 0]
    assert match(model_of([0.0, 10.0]), model_of([8.0]), None).new_ids.tolist() == [1]


def test_centers_in_one_place_keep_their_ids() -> None:
    old = model_of([5.0, 5.0, 9.0])
    found = lineage(old, old, np.array([[5.0]] * 4 + [[9.0]] * 3))
    assert found.new_ids.tolist() == [0, 1, 2]
    assert [one.overlap for one in found.kept] == [1.0, None, 1.0]
    assert match(old, old, None).new_ids.tolist() == [0, 1, 2]
    assert match(model_of([5.0, 5.0]), model_of([5.0] * 3), None).new_ids.tolist() == [0, 1, 2]


def test_without_weight_clusters_are_matched_by_centers() -> None:
    old, new = model_of([0.0, 10.0]), model_of([11.0, 1.0])
    found = lineage(old, new, np.arange(12.0)[:, None], sample_weight=np.zeros(12))
    assert found.new_ids.tolist() == [1, 0]
    assert found.churn is None
    assert (found.splits, found.merges) == ((), ())
    assert found.n_rows == 12


def test_without_rows_centers_must_not_have_moved_half_of_the_way() -> None:
    old = model_of([0.0, 10.0, 20.0])
    found = match(old, model_of([4.9, 15.1, 21.0, 0.0]), None)
    assert found.new_ids.tolist() == [3, 4, 2, 0]
    assert ids(found.deaths) == [1]
    assert (found.churn, found.splits, found.merges, found.n_rows) == (None, (), (), None)


def test_directions_and_places_can_be_matched_by_rows_alone() -> None:
    X = np.array([[1.0, 0.0], [2.0, 0.1], [0.0, 3.0], [0.1, 2.0]])
    old = model_of([[1.0, 0.0], [0.0, 1.0]], scaling=Normalization())
    new = model_of([[0.05, 2.5], [1.5, 0.05]])
    for one, other in ((old, new), (new, old)):
        found = lineage(one, other, X)
        assert found.new_ids.tolist() == [1, 0]
        assert [kept.shift for kept in found.kept] == [None, None]
        with pytest.raises(ArgumentError, match="cannot be compared; pass the flow"):
            match(one, other, None)
    turned = replace(old, scaled_centers=old.scaled_centers[::-1])
    assert match(old, turned, None).new_ids.tolist() == [1, 0]


def test_new_ids_come_after_every_one_that_was_ever_used() -> None:
    old = model_of([0.0, 100.0], cluster_ids=np.array([3, 1]), next_cluster_id=7)
    found = by_rows([[9, 0, 0, 0], [0, 9, 0, 0]], old)
    assert found.new_ids.tolist() == [3, 1, 7, 8]
    assert found.next_cluster_id == 9
    # after a rollback others know of later ones
    found = by_rows([[9, 0, 0, 0], [0, 9, 0, 0]], old, least_new_id=40)
    assert found.new_ids.tolist() == [3, 1, 40, 41]
    assert by_rows([[9, 0], [0, 9]], old, least_new_id=40).next_cluster_id == 40
    assert by_rows([[9, 0], [0, 9]], old, least_new_id=2).next_cluster_id == 7
    with pytest.raises(ArgumentError, match="least_new_id=-1"):
        by_rows([[9, 0], [0, 9]], old, least_new_id=-1)


def test_a_flow_of_other_models_is_refused() -> None:
    with pytest.raises(ArgumentError, match="flow has the label 2 of the champion, which has 2"):
        match(spread(2), spread(2), flow_of(np.eye(3)))
    with pytest.raises(ArgumentError, match="flow has the label 2 of the challenger"):
        match(spread(3), spread(2), flow_of(np.eye(3)))
    with pytest.raises(FeaturesMismatch, match="challenger has 2 features, the champion 1 feature"):
        match(spread(3), model_of(np.zeros((3, 2))), None)


def test_a_kept_cluster_takes_its_name_and_color_along() -> None:
    old = spread(3).renamed({0: "night owls", 2: "gone"}, colors={0: "#112233", 1: "#445566"})
    new = model_of(1e6 + 1e5 * np.arange(3), provenance={"run_id": "r"}).renamed({0: "mine"})
    found = match(old, new, flow_of([[0, 0, 9], [9, 0, 0], [0, 0, 0]]))
    model = continued(new, old, found)
    assert model.cluster_ids.tolist() == [1, 3, 0]
    assert model.cluster_names == {0: "night owls"}
    assert model.cluster_colors == {0: "#112233", 1: "#445566"}
    assert model.next_cluster_id == 4
    assert model.provenance == {"run_id": "r"}
    assert model.scaled_centers is new.scaled_centers
    assert new.cluster_names == {0: "mine"}


def test_fitted_estimators_are_continued_as_models_are() -> None:
    X = [[0.0], [1.0], [9.0], [11.0]]
    fitted = [KMeans(2, random_state=seed).fit(X) for seed in (0, 1)]
    found = lineage(*fitted, X)
    model = continued(fitted[1], fitted[0], found)
    assert model.predict(X).tolist() == fitted[1].predict(X).tolist()
    assert {*model.cluster_ids.tolist()} == {0, 1}
    with pytest.raises(ArgumentError, match="not fitted"):
        continued(KMeans(2), fitted[0], found)


def test_a_lineage_of_other_models_is_refused() -> None:
    found = by_rows(np.eye(3))
    with pytest.raises(ArgumentError, match="another champion"):
        continued(spread(3), spread(2), found)
    with pytest.raises(ArgumentError, match="3 new clusters, the challenger 2"):
        continued(spread(2), spread(3), found)


weights = st.tuples(st.integers(1, 6), st.integers(1, 6)).flatmap(
    lambda shape: arrays(float, shape, elements=st.integers(0, 20))
)


@checked
@given(weights, st.randoms(use_true_random=False))
def test_laws_of_every_match(weight: np.ndarray, random: object) -> None:
    n_old, n_new = weight.shape
    used = random.sample(range(30), n_old)
    old = model_of(50.0 * np.arange(n_old), cluster_ids=np.array(used), next_cluster_id=31)
    new = model_of(50.0 * np.arange(n_new) + 3)
    found = match(old, new, flow_of(weight))
    model = continued(new, old, found)
    assert len(set(model.cluster_ids.tolist())) == n_new
    assert model.cluster_ids.max() < model.next_cluster_id
    assert {*ids(found.kept), *ids(found.births)} == set(model.cluster_ids.tolist())
    assert {*ids(found.kept), *ids(found.deaths)} == set(used)
    assert not {*ids(found.births)} & set(range(31))
    total = weight.sum()
    if total:
        stay = sum(weight[one.old_label, one.new_label] for one in found.kept)
        assert found.churn == pytest.approx(1 - stay / total, abs=1e-12)
        assert 0 <= found.churn <= 1
    else:
        assert found.churn is None
    for one in found.splits:
        assert len(one.parts) > 1
        assert sum(part.share_of_old for part in one.parts) <= 1 + 1e-12
        assert (one.kept_by is None) == (one.cluster_id in ids(found.deaths))
    for one in found.merges:
        assert len(one.parts) > 1
        assert sum(part.share_of_new for part in one.parts) <= 1 + 1e-12
        assert (one.kept_from is None) == (one.cluster_id in ids(found.births))
    again = match(old, new, flow_of(weight))
    assert again.to_dict() == found.to_dict()
    # a heavier copy of the same rows says the same
    heavy = match(old, new, flow_of(weight * 4))
    assert (heavy.new_ids.tolist(), heavy.churn) == (found.new_ids.tolist(), found.churn)


@checked
@given(st.integers(1, 6), st.randoms(use_true_random=False))
def test_a_model_that_stays_the_same_changes_no_id(k: int, random: object) -> None:
    rng = np.random.default_rng(random.randrange(2**32))
    # places that may coincide, and clusters without rows
    old = model_of(rng.integers(0, 5, (k, 2)), cluster_ids=rng.permutation(20)[:k])
    X = rng.integers(0, 5, (rng.integers(1, 30), 2)).astype(float)
    found = lineage(old, old, X)
    assert found.churn == 0
    assert sorted(found.new_ids) == sorted(old.cluster_ids)
    # of clusters in one place, without rows, nothing tells which is which
    places = np.unique(old.scaled_centers, axis=0, return_inverse=True, return_counts=True)
    alone = (places[2] == 1)[places[1].ravel()]
    np.testing.assert_array_equal(found.new_ids[alone], old.cluster_ids[alone])
    assert flow_request(old, old).kind == "row flow"
