"""The silhouette of all rows against scikit-learn; of samples, against that of all rows."""

from dataclasses import asdict

import numpy as np
import pytest
from sklearn.metrics import silhouette_samples, silhouette_score

from dkmeans.errors import ArgumentError
from dkmeans.evaluation.silhouettes.sampled import importance_of_clusters, silhouette_of
from dkmeans.partials import WeightedSample, merge_all
from tests.strategies import blocks_of


def direct(X, labels, weight):
    """Silhouettes of rows, from the definition, row by row."""
    X = X.astype(np.float64)
    out = np.zeros(len(X))
    for i, row in enumerate(X):
        distances = np.sqrt(((X - row) ** 2).sum(axis=1)) * weight
        means = {}
        for c in set(labels[weight > 0].tolist()):
            mass = weight[labels == c].sum() - (min(1, weight[i]) if c == labels[i] else 0)
            means[c] = distances[labels == c].sum() / mass if mass > 1e-12 else None
        a = means.pop(labels[i], None)
        b = min(means.values())
        if a is not None and max(a, b) > 0:
            out[i] = (b - a) / max(a, b)
    return out


def by_cluster(values, labels, weight, n_clusters):
    with np.errstate(invalid="ignore"):
        return np.bincount(labels, values * weight, n_clusters) / np.bincount(
            labels, weight, n_clusters
        )


def test_four_rows_by_hand():
    X = np.array([[0.0], [2.0], [5.0], [6.0]])
    found = silhouette_of(X, np.array([0, 0, 1, 1]), 2)
    # a: 2, 2, 1, 1; b: 5.5, 3.5, 4, 5
    each = [3.5 / 5.5, 1.5 / 3.5, 3 / 4, 4 / 5]
    assert found.cluster_score.tolist() == pytest.approx([sum(each[:2]) / 2, sum(each[2:]) / 2])
    assert found.score == found.low == found.high == pytest.approx(sum(each) / 4)
    assert (found.standard_error, found.exact) == (0, True)
    assert found.cluster_standard_error.tolist() == [0, 0]
    assert found.cluster_n_sampled.tolist() == [2, 2]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("n_rows", "n_features", "n_clusters"), [(7, 1, 3), (600, 2, 2), (1300, 9, 40), (900, 40, 5)]
)
def test_all_rows_equal_scikit_learn(dtype, n_rows, n_features, n_clusters):
    rng = np.random.default_rng(n_rows)
    labels = rng.permutation(np.arange(n_rows) % n_clusters).astype(np.int32)
    X = rng.normal(size=(n_clusters, n_features))[labels] + rng.normal(size=(n_rows, n_features))
    X = np.asfortranarray(X, dtype)
    found = silhouette_of(X, labels, n_clusters)
    expected = silhouette_samples(X.astype(np.float64), labels)
    assert found.score == pytest.approx(expected.mean(), abs=1e-9)
    means = by_cluster(expected, labels, np.ones(n_rows), n_clusters)
    np.testing.assert_allclose(found.cluster_score, means, atol=1e-9)
    np.testing.assert_array_equal(found.cluster_n_sampled, np.bincount(labels))
    assert found.exact


def test_duplicates_single_rows_and_empty_clusters_equal_scikit_learn():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 3, (300, 2)).astype(np.float64)
    labels = rng.choice([1, 2, 5, 6], 300)
    labels[[10, 200]] = [0, 7]
    expected = silhouette_samples(X, labels)
    found = silhouette_of(X, labels, 9)
    assert found.score == pytest.approx(expected.mean(), abs=1e-9)
    means = by_cluster(expected, labels, np.ones(300), 9)
    np.testing.assert_allclose(found.cluster_score, means, atol=1e-9)
    assert np.isnan(found.cluster_score[[3, 4, 8]]).all()
    assert np.isnan(found.cluster_standard_error[[3, 4, 8]]).all()
    assert found.cluster_score[[0, 7]].tolist() == [0, 0]
    assert found.cluster_n_sampled[[0, 3, 4, 7, 8]].tolist() == [1, 0, 0, 1, 0]


def test_rows_that_are_all_the_same_have_silhouette_zero():
    found = silhouette_of(np.full((20, 3), 0.1), np.arange(20) % 2, 2)
    assert found.score == 0


def test_a_weight_is_that_many_copies():
    rng = np.random.default_rng(1)
    X, labels = rng.normal(size=(400, 3)), rng.integers(0, 5, 400)
    weight = rng.integers(0, 5, 400)
    # a single row of three copies, and one of one
    labels[:2], weight[:2] = [5, 6], [3, 1]
    found = silhouette_of(X, labels, 8, weight=weight)
    copies, of_copies = np.repeat(X, weight, axis=0), np.repeat(labels, weight)
    expected = silhouette_samples(copies, of_copies)
    assert found.score == pytest.approx(expected.mean(), abs=1e-9)
    means = by_cluster(expected, of_copies, np.ones(len(copies)), 8)
    np.testing.assert_allclose(found.cluster_score, means, atol=1e-9)
    assert found.cluster_score[5] == pytest.approx(1)
    assert found.cluster_score[6] == 0
    assert found.cluster_n_sampled.sum() == np.count_nonzero(weight)


@pytest.mark.parametrize("most", [1.0, 3.0])
def test_broken_weights_leave_out_one_copy_or_the_row(most):
    rng = np.random.default_rng(2)
    X, labels = rng.normal(size=(150, 2)), rng.integers(0, 4, 150)
    weight = rng.uniform(0.1, most, 150)
    labels[0], weight[0] = 4, 0.3
    labels[1], weight[1] = 5, 1.5
    found = silhouette_of(X, labels, 6, weight=weight)
    expected = by_cluster(direct(X, labels, weight), labels, weight, 6)
    np.testing.assert_allclose(found.cluster_score, expected, atol=1e-12)
    assert found.score == pytest.approx(np.average(expected, weights=np.bincount(labels, weight)))
    assert expected[4:].tolist() == [0, 1]


def test_near_duplicates_far_from_the_origin():
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 3, 200)
    X = 1e6 + 1e-3 * (rng.normal(size=(200, 4)) + labels[:, None])
    found = silhouette_of(X, labels, 3)
    assert found.score == pytest.approx(direct(X, labels, np.ones(200)).mean(), abs=1e-9)


def test_inputs_are_left_as_they_were():
    rng = np.random.default_rng(4)
    given = {"X": rng.normal(size=(50, 2)), "labels": rng.integers(0, 3, 50)}
    more = {"weight": rng.uniform(0, 2, 50), "cluster_weight": np.full(3, 99.0)}
    more["stands_for"] = more["weight"] * rng.uniform(1, 4, 50)
    kept = {name: array.copy() for name, array in (given | more).items()}
    silhouette_of(**given, n_clusters=3, **more)
    for name, array in (given | more).items():
        np.testing.assert_array_equal(array, kept[name])


@pytest.mark.parametrize(
    ("labels", "weight", "n_labels"),
    [([1, 1, 1], None, 1), ([0, 1, 2], None, 3), ([0, 1, 1], [1, 0, 0], 1), ([], None, 0)],
)
def test_what_scikit_learn_refuses_is_refused_in_its_words(labels, weight, n_labels):
    sentence = f"Number of labels is {n_labels}. Valid values are 2 to n_samples - 1 (inclusive)"
    X = np.arange(float(len(labels)))[:, None]
    if weight is None and labels:
        with pytest.raises(ValueError, match=r"Number of labels") as theirs:
            silhouette_score(X, labels)
        assert str(theirs.value) == sentence
    weight = None if weight is None else np.array(weight)
    with pytest.raises(ArgumentError) as ours:
        silhouette_of(X, np.array(labels, int), 4, weight=weight)
    assert str(ours.value) == sentence


def test_each_copy_alone_is_refused_but_not_several_copies():
    X, labels = np.arange(3.0)[:, None], np.arange(3)
    with pytest.raises(ArgumentError, match="Number of labels is 3"):
        silhouette_of(X, labels, 3, weight=np.array([1.0, 0.5, 1.0]))
    assert silhouette_of(X, labels, 3, weight=np.array([1.0, 2.0, 1.0])).score == 0.5


def test_samples_and_settings_that_tell_nothing_are_refused():
    X, e = np.arange(4.0)[:, None], np.full(4, 9.0)
    with pytest.raises(ArgumentError, match="Number of labels is 1"):
        silhouette_of(X, np.zeros(4, int), 2, stands_for=e, cluster_weight=np.array([36.0, 0.0]))
    with pytest.raises(ArgumentError, match="has rows of 1 of 2 clusters"):
        silhouette_of(X, np.zeros(4, int), 2, stands_for=e, cluster_weight=np.array([36.0, 7.0]))
    with pytest.raises(ArgumentError, match="has no two of one cluster; sample more"):
        silhouette_of(X, np.arange(4), 4, stands_for=e, cluster_weight=e)
    with pytest.raises(ArgumentError, match="cluster_weight=None"):
        silhouette_of(X, np.array([0, 0, 1, 1]), 2, stands_for=e)
    with pytest.raises(ArgumentError, match="n_groups=2 must be at least 3"):
        silhouette_of(X, np.array([0, 0, 1, 1]), 2, n_groups=2)
    with pytest.raises(ArgumentError, match=r"confidence=1\.0 must be between 0 and 1"):
        silhouette_of(X, np.array([0, 0, 1, 1]), 2, confidence=1.0)


class Population:
    """Rows in clusters, of which samples are drawn as a pass over blocks does."""

    def __init__(self, sizes, n_features, apart, *, weight=None, tails=None, seed=0):
        rng = np.random.default_rng(seed)
        self.n_clusters = len(sizes)
        self.labels = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
        noise = rng.normal if tails is None else lambda size: rng.standard_t(tails, size)
        self.X = apart * rng.normal(size=(len(sizes), n_features))[self.labels]
        self.X += noise(size=self.X.shape)
        self.weight = None if weight is None else weight(rng, self.X)
        copies = np.ones(len(self.X)) if self.weight is None else self.weight
        self.cluster_weight = np.bincount(self.labels, copies)
        self.blocks = blocks_of(self.X, 3, self.weight)
        self.exact = silhouette_of(self.X, self.labels, self.n_clusters, weight=self.weight)

    def estimate(self, size, seed, importance=None, **settings):
        drawn = merge_all(
            WeightedSample.from_block(
                block,
                size,
                seed,
                ("silhouette",),
                None if importance is None else importance[block.row_numbers],
            )
            for block in self.blocks
        )
        stands_for = drawn.expanded_weight
        if importance is not None:
            inclusion = -np.expm1(-importance[drawn.row_numbers] * drawn.threshold)
            stands_for = drawn.weight / inclusion
        return silhouette_of(
            drawn.X,
            self.labels[drawn.row_numbers],
            self.n_clusters,
            weight=drawn.weight,
            stands_for=stands_for,
            cluster_weight=self.cluster_weight,
            seed=seed,
            **settings,
        )


def spread_weights(rng, X):
    return np.clip(rng.lognormal(0, 1.5, len(X)), 0.1, 50)


def weights_by_place(rng, X):
    return np.clip(10 * np.exp(-np.linalg.norm(X - X.mean(axis=0), axis=1)), 0.1, 50)


POPULATIONS = {
    "overlapping": (Population([900] * 8, 5, 1.2, seed=1), 500),
    "unequal": (Population([5, 12, 30, 80, 200, 500, 1500, 5000], 6, 2, seed=2), 600),
    "many clusters": (Population([60] * 40, 8, 1.2, seed=3), 900),
    "heavy tails": (Population([800] * 8, 5, 3, tails=2, seed=4), 500),
    "weights": (Population([700] * 6, 4, 1.5, weight=spread_weights, seed=5), 500),
    "weights by place": (Population([700] * 6, 4, 1.5, weight=weights_by_place, seed=6), 500),
    "most rows": (Population([150] * 6, 3, 2, weight=spread_weights, seed=7), 600),
    "strong overlap": (Population([150] * 30, 3, 0.5, seed=12), 600),
    "meaningless": (Population([160] * 25, 3, 0, seed=11), 500),
}

# how wide intervals may be: small clusters of which few rows are there take room, and so does not
# knowing which cluster is nearest
ROOM = {"unequal": 3, "many clusters": 1.8, "strong overlap": 2.2, "meaningless": 2.2}


@pytest.mark.parametrize("name", POPULATIONS)
def test_intervals_hold_the_silhouette_of_all_rows_as_often_as_they_say(name):
    population, size = POPULATIONS[name]
    n_seeds = 40
    found = [population.estimate(size, seed) for seed in range(n_seeds)]
    exact = population.exact.score
    assert all(one.low < one.score < one.high and not one.exact for one in found)
    errors = np.array([one.score - exact for one in found])
    claimed = np.median([one.standard_error for one in found])
    # 95 % of 40 is 38, give or take 1.4; 34 are missed by luck in one of 700 cases
    assert sum(one.low <= exact <= one.high for one in found) >= 34
    assert claimed > 0.7 * errors.std()
    assert claimed < ROOM.get(name, 1.4) * errors.std()
    assert abs(errors.mean()) < 0.6 * claimed


def test_intervals_are_narrow_where_the_nearest_clusters_are_clear():
    widths = {}
    for apart in (0, 1, 3):
        population = Population([300] * 12, 4, apart, seed=13)
        found = [population.estimate(600, seed) for seed in range(10)]
        assert sum(one.low <= population.exact.score <= one.high for one in found) >= 8
        # in standard deviations of a mean of as many silhouettes
        spread = np.mean([one.score for one in found])
        assert abs(spread - population.exact.score) < 0.03
        widths[apart] = np.median([one.high - one.low for one in found])
    assert widths[3] < 0.05
    assert widths[0] > 2 * widths[3]


def test_nothing_is_claimed_from_one_row_of_each_of_many_clusters():
    population = Population([6] * 300, 4, 0, seed=14)
    for seed in range(5):
        one = population.estimate(300, seed)
        assert one.low <= population.exact.score <= one.high
        assert one.high - one.low > 1
        assert one.low >= -1
        assert one.high <= 1


def test_there_are_fewer_groups_where_there_are_many_clusters():
    population, size = POPULATIONS["most rows"]
    for n_clusters, n_groups in ((6, 16), (250, 16), (400, 10), (500, 8), (2000, 8)):
        population.n_clusters = n_clusters
        population.cluster_weight.resize(n_clusters)
        found = population.estimate(size, 0)
        assert (
            found.standard_error == population.estimate(size, 0, n_groups=n_groups).standard_error
        )
    population.n_clusters = 6
    population.cluster_weight.resize(6)


def test_intervals_of_other_confidence_are_nested():
    population, size = POPULATIONS["overlapping"]
    half, most = (population.estimate(size, 0, confidence=c) for c in (0.5, 0.99))
    assert half.score == most.score
    assert most.low < half.low < half.high < most.high
    found = [population.estimate(size, seed, confidence=0.5) for seed in range(60)]
    held = sum(one.low <= population.exact.score <= one.high for one in found)
    # 30, give or take 3.9
    assert 18 <= held <= 42


def test_most_of_the_bias_of_the_least_of_means_is_taken_off():
    population, size = POPULATIONS["many clusters"][0], 300
    exact = population.exact.score
    plain, found = [], []
    for seed in range(20):
        drawn = merge_all(
            WeightedSample.from_block(block, size, seed, ("silhouette",))
            for block in population.blocks
        )
        labels = population.labels[drawn.row_numbers]
        plain.append(silhouette_of(drawn.X, labels, population.n_clusters).score - exact)
        found.append(population.estimate(size, seed).score - exact)
    assert np.mean(plain) < -2 * np.std(plain)
    assert abs(np.mean(found)) < 0.5 * abs(np.mean(plain))
    assert np.std(found) < 1.5 * np.std(plain)


def test_errors_of_clusters_are_as_large_as_they_say():
    population, size = POPULATIONS["many clusters"]
    found = [population.estimate(size, seed) for seed in range(20)]
    errors = np.array([one.cluster_score for one in found]) - population.exact.cluster_score
    claimed = np.array([one.cluster_standard_error for one in found])
    assert 0.8 < np.sqrt((errors**2).mean() / (claimed**2).mean()) < 1.2
    assert abs(errors.mean()) < 0.2 * claimed.mean()


def test_the_error_vanishes_as_the_sample_becomes_all_rows():
    population, _ = POPULATIONS["most rows"]
    errors = []
    for size in (300, 600, 850, 899):
        found = [population.estimate(size, seed) for seed in range(8)]
        claimed = np.sqrt(np.mean([one.standard_error**2 for one in found]))
        off = np.sqrt(np.mean([(one.score - population.exact.score) ** 2 for one in found]))
        assert off < 2 * claimed
        errors.append(claimed)
    assert errors[0] > 2 * errors[1] > 4 * errors[2] > 8 * errors[3]
    whole = population.estimate(900, 0)
    assert whole.exact
    assert whole.score == whole.low == pytest.approx(population.exact.score, abs=1e-12)
    np.testing.assert_allclose(whole.cluster_score, population.exact.cluster_score, atol=1e-12)


def test_rows_of_small_clusters_may_be_drawn_with_more_importance():
    population, size = POPULATIONS["unequal"]
    factor = importance_of_clusters(population.cluster_weight, size)
    assert factor.max() > 5
    importance = factor[population.labels]
    exact = population.exact.score
    even = [population.estimate(size, seed) for seed in range(30)]
    favored = [population.estimate(size, seed, importance) for seed in range(30)]
    assert sum(one.low <= exact <= one.high for one in favored) >= 26
    assert np.std([one.score for one in favored]) < 0.6 * np.std([one.score for one in even])
    assert np.median([one.standard_error for one in favored]) < 0.6 * np.median(
        [one.standard_error for one in even]
    )
    assert all((one.cluster_n_sampled > 1).all() for one in favored)


def test_importance_of_clusters_gives_small_clusters_their_rows():
    # 30 of 600 rows are a twentieth of all weight
    weight = np.array([0.0, 100.0, 1000.0, 4900.0])
    assert importance_of_clusters(weight, 600).tolist() == [1, 3, 1, 1]
    # never more than half of the sample
    many = np.append(np.ones(99), 1e6)
    share = importance_of_clusters(many, 100) * many
    np.testing.assert_allclose(share[:-1] / many.sum() * 100, 0.5)


def test_a_row_without_others_tells_nothing_but_a_single_row_does():
    rng = np.random.default_rng(8)
    X = rng.normal(size=(42, 2))
    labels = np.repeat([0, 1, 2, 3], [20, 20, 1, 1])
    stands_for = np.append(np.full(41, 10.0), 1.0)
    cluster_weight = np.array([200.0, 200.0, 10.0, 1.0, 5.0])
    settings = {"stands_for": stands_for, "cluster_weight": cluster_weight}
    found = silhouette_of(X, labels, 5, **settings)
    assert np.isnan(found.cluster_score[[2, 4]]).all()
    assert found.cluster_score[3] == 0
    assert np.isnan(found.cluster_standard_error).tolist() == [False, False, True, True, True]
    assert found.cluster_n_sampled.tolist() == [20, 20, 1, 1, 0]
    told = [0, 1, 3]
    expected = np.average(found.cluster_score[told], weights=cluster_weight[told])
    assert found.score == pytest.approx(expected)


def two_clusters_and_others(cluster_weight, others):
    """An estimate from 20 rows of two clusters each, and one row of each other cluster."""
    rng = np.random.default_rng(9)
    X = rng.normal(size=(40, 2)) + np.repeat([[0.0], [6.0]], 20, axis=0)
    labels = np.append(np.repeat([0, 1], 20), 2 + np.arange(len(others)))
    return silhouette_of(
        np.concatenate([X, np.reshape(others, (-1, 2))]),
        labels,
        len(cluster_weight),
        stands_for=np.full(len(labels), 10.0),
        cluster_weight=np.array(cluster_weight),
    )


def test_the_error_allows_for_clusters_of_which_too_little_is_known():
    plain = two_clusters_and_others([200.0, 200.0], [])
    # a cluster of one row in the sample that is far, or between the others
    far = two_clusters_and_others([200.0, 200.0, 10.0], [[1e3, 1e3]])
    near = two_clusters_and_others([200.0, 200.0, 10.0], [[3.0, 3.0]])
    assert far.standard_error < 1.1 * plain.standard_error
    assert near.score < plain.score - 0.1
    assert near.standard_error > 0.9 * (plain.score - near.score)
    # a cluster with no row in the sample
    unseen = two_clusters_and_others([200.0, 200.0, 10.0, 10.0], [[3.0, 3.0]])
    assert unseen.score == pytest.approx(near.score)
    assert unseen.standard_error > 1.05 * near.standard_error
    # of a cluster of one row all is known
    known = two_clusters_and_others([200.0, 200.0, 1.0], [[3.0, 3.0]])
    assert known.score < plain.score - 0.1
    assert known.standard_error < 0.3 * near.standard_error
    # a cluster that tells nothing of itself, of half the weight
    rng = np.random.default_rng(10)
    X = rng.normal(size=(61, 1)) * np.append(np.repeat([0.1, 1.0, 4.0], 20), 1)[:, None]
    X += np.append(np.repeat([0.0, 5.0, 10.0], 20), 1e6)[:, None]
    labels, stands_for = np.append(np.repeat([0, 1, 2], 20), 3), np.full(61, 10.0)
    light, heavy = (
        silhouette_of(
            X,
            labels,
            4,
            stands_for=stands_for,
            cluster_weight=np.array([200.0, 200.0, 200.0, weight]),
        )
        for weight in (10.0, 600.0)
    )
    assert light.score == heavy.score
    spread = heavy.cluster_score[:3].std()
    assert heavy.standard_error > 0.5 * spread > 2 * light.standard_error


def test_a_sample_of_single_rows_tells_that_they_are_single():
    found = silhouette_of(
        np.array([[0.0], [1.0]]),
        np.array([0, 1]),
        3,
        stands_for=np.array([9.0, 9.0]),
        cluster_weight=np.array([1.0, 1.0, 50.0]),
    )
    assert found.score == 0
    assert found.cluster_score[:2].tolist() == [0, 0]
    assert np.isnan(found.cluster_score[2])


def test_rows_of_many_copies_are_told_from_their_others():
    # of three rows of 4 copies each, two are sampled: a is over 11 copies, 3 at distance 0
    X = np.array([[0.0], [1.0], [100.0], [101.0]])
    found = silhouette_of(
        X,
        np.array([0, 0, 1, 1]),
        2,
        weight=np.full(4, 4.0),
        stands_for=np.array([6.0, 6.0, 4.0, 4.0]),
        cluster_weight=np.array([12.0, 8.0]),
    )
    first, second = 1 - 8 / 11 / 100.5, 1 - 8 / 11 / 99.5
    # thinning one row moves the other's weight by as much as its own: a does not change
    assert found.cluster_score[0] == pytest.approx((first + second) / 2, abs=1e-6)


def test_an_estimate_is_the_same_again_and_for_rows_in_another_order():
    population, size = POPULATIONS["weights"]
    first, again = (population.estimate(size, 3) for _ in range(2))
    for name, value in asdict(first).items():
        np.testing.assert_array_equal(value, getattr(again, name))
    other = population.estimate(size, 3, n_groups=20)
    assert other.score == pytest.approx(first.score, abs=0.3 * first.standard_error)
    assert other.standard_error == pytest.approx(first.standard_error, rel=0.6)
