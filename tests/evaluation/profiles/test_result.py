"""Profiles: their figures against pandas on the rows, their words, and how they are shown."""

import json
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dkmeans.errors import ArgumentError
from dkmeans.evaluation.profiles.parts import Examples
from dkmeans.evaluation.profiles.sections import of_profile
from tests.evaluation.profiles.groups import Groups, draw

IDS = np.array([3, 1, 7])


def flat(shown):
    return " ".join(str(shown).split())


@pytest.mark.parametrize("weighted", [False, True])
def test_statistics_are_pandas(weighted):
    groups = draw((20, 31, 400), weighted=weighted, seed=5)
    profile = groups.profile(cluster_ids=IDS, quantiles=groups.quantiles(), weighted=weighted)
    frame = profile.to_frame()
    rows = pd.concat(
        pd.DataFrame(X, columns=profile.feature_names).assign(id=one)
        for one, X in zip(IDS, groups.copies, strict=True)
    )
    X = rows.drop(columns="id")
    for (cluster_id, feature), found in frame.groupby(["cluster_id", "feature"]):
        one, truth = found.iloc[0], rows.loc[rows["id"] == cluster_id, feature]
        assert one["count"] == len(truth)
        assert one["share"] == pytest.approx(len(truth) / len(rows))
        assert one["mean"] == pytest.approx(truth.mean(), rel=1e-9)
        assert one["std"] == pytest.approx(truth.std(ddof=0), rel=1e-9)
        assert [one["min"], one["max"]] == [truth.min(), truth.max()]
        assert one["p05"] == pytest.approx(truth.quantile(0.05), rel=1e-12)
        assert one["overall_mean"] == pytest.approx(X[feature].mean(), rel=1e-9)
        assert one["overall_std"] == pytest.approx(X[feature].std(ddof=0), rel=1e-9)
        z = (truth.mean() - X[feature].mean()) / X[feature].std(ddof=0)
        assert one["difference"] == pytest.approx(z, rel=1e-9)
    assert len(frame) == 9
    assert frame["cluster_id"].tolist() == [3] * 3 + [1] * 3 + [7] * 3
    np.testing.assert_allclose(profile.anova.f, stats.f_oneway(*groups.copies).statistic, rtol=1e-9)


def test_rank_and_description_lead_with_the_largest_difference():
    random = np.random.default_rng(0)
    rows = tuple(random.normal(mean, 0.1, (50, 3)) for mean in ([0, 0, 5], [0, 1, 0], [0, 0, 0]))
    profile = Groups(rows).profile(feature_names=["a", "b", "c"])
    assert profile.rank[0].tolist()[2] == 1
    assert profile.descriptions[0].startswith("high c, low b")
    assert profile.descriptions[1].startswith("high b, low c")
    assert profile.descriptions[0].endswith(": 33% of rows")
    assert profile.clusters["description"].tolist() == list(profile.descriptions)


def test_weights_are_called_so():
    profile = draw((20, 31), weighted=True).profile(weighted=True)
    assert all(one.endswith("of the weight") for one in profile.descriptions)
    assert "total weight" in str(profile)


def test_empty_clusters_have_no_statistics_and_do_not_disturb():
    groups = draw((20, 0, 31))
    found = groups.profile(quantiles=groups.quantiles(), histogram=groups.histogram())
    empty = found.to_frame().query("cluster_id == 1")
    assert empty[["mean", "std", "min", "p50", "max", "difference"]].isna().all(axis=None)
    assert found.descriptions[1] == "empty: no rows"
    assert found.share.tolist() == [20 / 51, 0, 31 / 51]
    assert len(found.compare().cluster_ids) == 1
    assert "empty" in str(found)


def test_constants_have_no_difference_and_are_never_named():
    groups = draw((20, 31))
    for X in groups.rows:
        X[:, 1] = 0.1
    profile = groups.profile(feature_names=["a", "fixed", "c"])
    assert profile.std[:, 1].tolist() == [0, 0]
    assert profile.mean[:, 1].tolist() == [0.1, 0.1]
    assert np.isnan(profile.difference[:, 1]).all()
    assert profile.rank[:, 1].tolist() == [3, 3]
    assert not any("fixed" in one for one in profile.descriptions)
    assert profile.anova.reasons == ("", "constant", "")


def test_one_value_in_a_cluster_has_no_variance_whatever_was_rounded():
    groups = Groups((np.full((3, 1), 0.7), np.array([[1.0], [2.0]])))
    moments = groups.moments
    found = groups.profile(variance=moments.variance + 1e-12, mean=moments.mean + 1e-9)
    assert found.std[0].tolist() == [0]
    assert found.mean[0].tolist() == [0.7]
    assert found.std[1, 0] > 0.4


def test_compare_takes_cluster_ids():
    groups = draw((20, 31, 40))
    profile = groups.profile(cluster_ids=IDS)
    found = profile.compare(7, 3)
    truth = stats.ttest_ind(groups.rows[2], groups.rows[0], equal_var=False)
    np.testing.assert_allclose(found.t[0], truth.statistic, rtol=1e-9)
    assert found.cluster_ids.tolist() == [[7, 3]]
    assert len(profile.compare().to_frame()) == 9
    alone = profile.compare(3, 1).p_holm[0]
    assert (profile.compare().p_holm[0] >= alone).all()
    assert (profile.compare().p_holm[0] > alone).any()


def test_unknown_clusters_are_refused():
    profile = draw((20, 31, 40)).profile(cluster_ids=IDS)
    with pytest.raises(ArgumentError, match="b=0 is not the id of a cluster; there are 3, 1, 7"):
        profile.compare(3, 0)
    with pytest.raises(ArgumentError, match="cluster_id=2"):
        profile.describe(2)
    with pytest.raises(ArgumentError, match="both"):
        profile.compare(3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"feature_names": ["a"]}, r"feature_names \(1,\) must be \(3,\)"),
        ({"cluster_ids": np.arange(2)}, r"cluster_ids \(2,\) must be \(3,\)"),
        ({"minimum": np.zeros((3, 2))}, r"minimum \(3, 2\) must be \(3, 3\)"),
        ({"scaled_mean": np.zeros((2, 3))}, "scaled_mean"),
        ({"weight": np.ones(2)}, "weight"),
        ({"scatter": np.zeros((3, 2, 2))}, "scatter"),
        ({"quantiles": draw((5, 6)).quantiles()}, "quantiles"),
        ({"histogram": draw((5, 6)).histogram()}, "histogram"),
    ],
)
def test_statistics_that_do_not_fit_are_refused(given, message):
    with pytest.raises(ArgumentError, match=message):
        draw((20, 31, 40)).profile(**given)


def test_features_without_names_get_some():
    assert draw((5, 6)).profile(feature_names=None).feature_names == ("x0", "x1", "x2")


def test_describe_shows_all_features_of_one_cluster_by_rank():
    profile = draw((20, 31, 40), n_features=9).profile(cluster_ids=IDS)
    found = profile.describe(7)
    frame = found.to_frame()
    assert frame["rank"].tolist() == list(range(1, 10))
    assert set(frame["cluster_id"]) == {7}
    assert found.to_dict()["features"][0]["feature"] == frame["feature"][0]
    lines = str(found).splitlines()
    assert lines[0] == f"Cluster 7: {profile.descriptions[2]}"
    assert [line.split()[0] for line in lines[3:12]] == frame["feature"].tolist()


def example_rows(labels, X, second=None, **keys):
    n = len(labels)
    return Examples(
        np.array(labels, np.int32),
        np.asarray(X, np.float64),
        np.arange(5, 5 + n),
        np.full(n, 1.5),
        np.full(n, -1 if second is None else second, np.int32),
        np.full(n, 1.75),
        keys,
    )


def examples():
    return {
        "representatives": example_rows([0, 1], np.arange(6.0).reshape(2, 3), 2),
        "boundary": example_rows([0], np.full((1, 3), 0.25), 2, name=["key-17"]),
    }


def test_dict_is_json_with_all_parts():
    groups = draw((20, 0, 31))
    profile = groups.profile(
        cluster_ids=IDS, quantiles=groups.quantiles(0.1), histogram=groups.histogram(), **examples()
    )
    found = json.loads(json.dumps(profile.to_dict(), allow_nan=False))
    assert len(found["statistics"]) == 9
    assert found["clusters"][1]["description"] == "empty: no rows"
    assert found["statistics"][3]["mean"] is None
    assert np.array(found["quantiles"]["low"], float).shape == (3, 3, 5)
    assert [np.sum(feature["counts"]) for feature in found["histogram"]] == [51] * 3
    assert found["boundary"]["second_cluster_id"] == [7]
    assert found["representatives"]["row"] == [5, 6]
    assert found["boundary"]["name"] == ["key-17"]
    without = json.loads(json.dumps(groups.profile().to_dict(), allow_nan=False))
    assert without["quantiles"] is without["histogram"] is without["boundary"] is None


def test_text_goes_from_clusters_to_features_to_tests_to_assumptions():
    groups = draw((20, 31, 40))
    profile = groups.profile(cluster_ids=IDS, quantiles=groups.quantiles(0.01), **examples())
    titles = [section.title.split()[0] for section in of_profile(profile)]
    assert titles == ["Profile", "The", "Rows", "Rows", "How", "Does"]
    text = str(profile)
    assert max(map(len, text.splitlines())) <= 120
    assert "circular" in text
    assert "every difference is significant" in flat(profile)
    assert "Quantiles are off by at most" in flat(profile)
    assert "key-17" in text
    for phrase in profile.phrases:
        assert phrase in flat(profile)
    # in the order of ids
    assert [row[0] for row in of_profile(profile)[0].rows] == ["1", "3", "7"]


def test_exact_quantiles_are_called_so_and_missing_ones_not_shown():
    groups = draw((20, 31))
    assert "Quantiles are exact" in flat(groups.profile(quantiles=groups.quantiles()))
    assert "Quantile" not in str(groups.profile())
    assert "Median" not in str(groups.profile())


def test_many_clusters_and_features_are_cut_and_counted():
    groups = draw(tuple(range(5, 45)), n_features=8)
    profile = groups.profile()
    first, second = of_profile(profile)[:2]
    assert len(first.rows) == 30
    hidden = sum(range(5, 15)) / sum(range(5, 45))
    assert "The 30 largest of 40 clusters" in first.sentences[0]
    assert f"with {hidden:.1%} of rows" in first.sentences[0]
    assert [row[0] for row in first.rows] == [str(j) for j in range(10, 40)]
    assert len(second.rows) == 90
    assert "Of 8 features, the 3" in second.sentences[-1]
    few = of_profile(draw((20, 31), n_features=8).profile())[1]
    assert len(few.rows) == 10
    assert "Of 8 features, the 5" in few.sentences[-1]
    one = draw((20, 31), n_features=50).profile().describe(0)
    assert len(one.sections()[0].rows) == 40
    assert len(one.to_frame()) == 50
    assert "Of 50 features, the 40" in flat(one)


def test_examples_of_many_clusters_and_features_are_cut():
    groups = draw((5,) * 31, n_features=20)
    rows = example_rows(np.arange(31), np.zeros((31, 20)), 0)
    section = of_profile(groups.profile(representatives=rows))[2]
    assert len(section.rows) == 30
    assert 1 < len(section.columns) - 5 < 20
    assert section.columns[5] == groups.profile().anova.to_frame()["feature"][0]
    assert section.sentences[0].startswith("Only the 30 largest clusters and the features")
    rows = example_rows([0, 1], np.zeros((2, 3)), 1)
    few = of_profile(draw((5, 6)).profile(representatives=rows))[2]
    assert few.sentences == ()


def test_one_cluster_and_no_rows_are_shown():
    one = draw((20,)).profile()
    assert one.phrases == ("near the average in all features",)
    assert "1 cluster with rows" in str(one)
    assert str(one).startswith("Profile of 1 cluster: 20 rows, 3 features")
    assert len(one.compare().to_frame()) == 0
    assert "0 pairs" in str(one.compare())
    nothing = draw((0, 0)).profile()
    assert "no rows" in str(nothing)
    json.dumps(nothing.to_dict(), allow_nan=False)


def test_html_escapes_names():
    html = draw((20, 31)).profile(feature_names=["<b>bold</b>", "b", "c"])._repr_html_()
    assert "<b>bold" not in html
    assert "&lt;b&gt;bold" in html
    assert html.count("<table>") == 4


def test_profiles_survive_pickling():
    profile = draw((20, 31)).profile()
    assert str(pickle.loads(pickle.dumps(profile))) == str(profile)


def test_importing_profiles_loads_neither_pandas_nor_scipy_statistics():
    code = (
        "import sys; import dkmeans.evaluation.profiles.result as p; "
        "from dkmeans.evaluation.profiles.group_moments import GroupMoments; "
        "print([m for m in ('pandas', 'scipy.stats', 'scipy.special', 'sklearn') "
        "if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_names_of_clusters_are_shown_beside_their_ids():
    names = {1: "night owls", 7: "<script>alert(1)</script>" + "long " * 30}
    profile = draw((20, 31, 40)).profile(cluster_ids=IDS, cluster_names=names)
    assert profile.clusters["cluster_name"].tolist() == [None, names[1], names[7]]
    assert [one["cluster_name"] for one in profile.to_dict()["clusters"]] == [None, *names.values()]
    assert "(night owls):" in str(profile.describe(1))
    assert "Cluster 3:" in str(profile.describe(3))
    table = profile.sections()[0]
    assert table.columns[:3] == ("Cluster", "Name", "Rows")
    assert [row[1] for row in table.rows] == ["night owls", "-", f"{names[7][:37]}..."]
    assert "<script>" not in profile._repr_html_()
    assert "&lt;script&gt;" in profile._repr_html_()
    bare = draw((20, 31, 40)).profile(cluster_ids=IDS)
    assert "Name" not in bare.sections()[0].columns
    assert bare.clusters["cluster_name"].isna().all()
