"""What plots draw: the figures of the charts, of whatever users have at hand, in few passes."""

import re
import sys

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from dkmeans import KMeans, Rows, evaluate, plots, profile, sweep
from dkmeans.errors import ArgumentError
from dkmeans.evaluation.charts.palette import OTHERS
from dkmeans.evaluation.charts.silhouettes import Silhouettes
from dkmeans.plots.axes import CellText
from dkmeans.plots.drawing import count, number, safe, tick
from dkmeans.plots.heads import broken
from tests.plots.subjects import drawings, subject
from tests.plots.written import texts_of


@pytest.fixture(scope="module")
def few():
    return subject(2, 2)


@pytest.fixture(scope="module")
def many():
    return subject(200, 100)


def said(ax) -> str:
    """Title and subtitle, on one line."""
    texts = [ax.get_title(loc="left"), *(one.get_text() for one in ax.texts)]
    return " | ".join(" ".join(one.split()) for one in texts)


def test_bars_are_as_long_as_clusters_are_large(few):
    ax = plots.sizes(few.model)
    order = np.argsort(-few.model.weights)
    assert [bar.get_width() for bar in ax.patches] == few.model.weights[order].tolist()
    assert ax.texts[0].get_text().startswith(f"{few.model.weights.max():,.0f} (")
    assert to_hex(ax.patches[0].get_facecolor()) == "#334455"


def test_many_clusters_are_the_largest_and_more(many):
    ax = plots.sizes(many.model)
    assert len(ax.patches) == 21
    assert ax.get_yticklabels()[-1].get_text() == "80 more"
    rest = np.sort(many.model.weights)[:80].sum()
    assert f"{rest:,.0f} (" in said(ax)
    assert "The 20 largest of 100 clusters" in said(ax)


def test_sizes_are_of_the_rows_that_a_result_is_of(few):
    half = few.X.iloc[:1000]
    for result in (evaluate(few.model, half, metrics="inertia"), profile(few.model, half)):
        assert "1,000 rows in all" in said(plots.sizes(result))


def test_the_heatmap_has_z_scores_and_their_signs(few, many):
    ax = plots.centers_heatmap(few.profile)
    (cells,) = ax.collections
    order = np.argsort(-np.bincount([0, 1], few.profile.count) @ few.profile.difference**2)
    np.testing.assert_allclose(cells.get_array(), few.profile.difference.T[order])
    z = few.profile.difference[0, order[0]]
    assert ax.texts[1].get_text() == f"{z:+.1f}".replace("-", "\N{MINUS SIGN}")
    red, blue = (cells.cmap(cells.norm(value)) for value in (np.inf, -np.inf))
    assert red[0] > red[2]
    assert blue[2] > blue[0]
    ax = plots.centers_heatmap(many.model)
    assert len(ax.get_yticks()) == 30
    assert len(ax.get_xticks()) == 20
    assert "The 30 features that set clusters apart the most, of 200" in said(ax)
    assert [text.get_rotation() for text in ax.get_xticklabels()] == [90] * 20
    chosen = plots.centers_heatmap(many.model, features=[5, 3], clusters=[9])
    assert len(chosen.get_yticks()) == 2


def test_numbers_of_a_heatmap_are_drawn_where_they_fit(few):
    ax = plots.centers_heatmap(few.profile)
    numbers = {text for text in ax.texts if isinstance(text, CellText)}
    assert len(numbers) == 4
    assert numbers <= set(texts_of(ax.figure))
    ax.set_xlim(0, 60)
    assert not numbers & set(texts_of(ax.figure))


def test_maps_and_silhouettes_make_one_pass_together_none_again(few):
    rows = Rows.from_array(few.X, block_rows=500, dtype="float64")
    assert rows.n_blocks > 1
    plots.map2d(few.model, rows, sample_size=50)
    assert rows.n_passes == 1
    plots.silhouette(few.model, rows, sample_size=50)
    assert rows.n_passes == 2
    profile_passes = rows.n_passes
    plots.distributions(few.model, rows, features=0)
    assert rows.n_passes == profile_passes + 2
    plots.flow(few.model, few.model, rows)
    assert rows.n_passes == profile_passes + 3


def test_the_map_shows_the_sampled_rows_in_the_colors_of_their_clusters(many):
    ax = plots.map2d(many.sampled)
    points, others = ax.collections
    assert len(points.get_offsets()) == 500
    assert len(others.get_offsets()) == 80
    largest = np.argsort(-many.sampled.weights, kind="stable")[:20]
    colors = {to_hex(color) for color in points.get_facecolors()[:, :3]}
    assert OTHERS.lower() in colors
    is_other = ~np.isin(many.sampled.for_map.labels, largest)
    gray = np.array([to_hex(one) == OTHERS.lower() for one in points.get_facecolors()[:, :3]])
    assert (gray == is_other).all()
    pins = [one.get_text() for one in ax.texts if one.get_bbox_patch() is not None]
    assert len(pins) == 20


def test_the_farthest_rows_are_left_out_of_the_picture_and_counted():
    X = np.random.default_rng(0).normal(size=(1000, 2))
    X[0] = 1000
    model = KMeans(2, init=X[1:3]).fit(X[1:]).model_
    ax = plots.map2d(model, X)
    assert ax.get_xlim()[1] < 100
    assert re.search(r"[12] far off rows? (is|are) outside of the picture", said(ax))


def test_silhouettes_are_as_wide_as_they_are(few):
    chart = Silhouettes.of(few.sampled)
    ax = plots.silhouette(chart)
    for shape, values in zip(ax.collections, chart.values, strict=True):
        ends = shape.get_paths()[0].vertices[:, 0]
        assert ends.max() == pytest.approx(max(0, values.max()))
        assert ends.min() == pytest.approx(min(0, values.min()))
    assert "400 of 2,000 rows" in said(ax)


def test_boxes_are_quantiles_and_lines_are_means(few):
    ax = plots.distributions(few.profile, features=1)
    box = ax.patches[0]
    quartiles = few.profile.quantiles.value[0, 1, [1, 3]]
    assert [box.get_x(), box.get_x() + box.get_width()] == pytest.approx(quartiles)
    assert ax.lines[-1].get_xdata()[0] == pytest.approx(few.X.iloc[:, 1].mean())


def test_distributions_give_one_axes_or_several(few, many):
    assert isinstance(plots.distributions(few.profile), list)
    assert not isinstance(plots.distributions(few.profile, features=1), list)
    ax = Figure(layout="constrained").subplots()
    assert plots.distributions(few.profile, ax=ax) is ax
    assert "The feature that sets clusters apart the most, of 2" in said(ax)
    with pytest.raises(ArgumentError, match="ax is for one feature, and 2 are asked for"):
        plots.distributions(few.profile, features=[0, 1], ax=ax)


def test_convergence_has_the_inertia_of_each_pass(few):
    fitted = KMeans(3, init="k-means||", random_state=0).fit(few.X)
    line = plots.convergence(fitted).lines[0]
    known = [record["inertia"] for record in fitted.history_ if record["inertia"] is not None]
    assert line.get_ydata().tolist() == known


def test_drift_marks_what_drifts_by_shape_too(few):
    ax = plots.drift(few.drift, kind="features")
    shapes = {line.get_marker() for line in ax.lines if len(line.get_xdata()) == 1}
    assert shapes == {"X", "o"}
    ax = plots.drift(few.drift, kind="clusters")
    then, now = (one.get_offsets()[:, 0] for one in ax.collections[1:])
    assert sorted(then) == pytest.approx(sorted(few.drift.clusters.base_share))
    assert sorted(now) == pytest.approx(sorted(few.drift.clusters.share))


def test_bars_of_a_flow_are_as_high_as_shares(few):
    ax = plots.flow(few.lineage)
    heights = np.array([bar.get_height() for bar in ax.patches if hasattr(bar, "get_height")])
    table = few.lineage.table
    shares = np.concatenate([table.old_weight, table.new_weight]) / table.total
    assert np.sort(heights / heights.sum()) == pytest.approx(np.sort(shares / shares.sum()))


def test_elbow_draws_the_curve_and_marks(few):
    found = sweep(few.X, [1, 2, 3], random_state=0)
    ax = plots.elbow(found)
    assert ax.lines[0].get_ydata().tolist() == [one.inertia for one in found.scores]
    assert ax.get_ylim()[0] == 0
    ax = plots.elbow(found, kind="silhouette", ax=Figure().subplots())
    assert ax.get_legend() is not None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda of: plots.map2d(of.model), "X=None"),
        (lambda of: plots.silhouette(of.model), "X=None"),
        (lambda of: plots.distributions(of.model), "X=None"),
        (lambda of: plots.flow(of.model), r"flow\(old, new, X\)"),
        (lambda of: plots.drift(of.model), "what dkmeans.drift has found"),
        (lambda of: plots.drift(of.drift, kind="all"), "kind='all'"),
        (lambda of: plots.elbow(of.model), "what dkmeans.sweep has found"),
        (lambda of: plots.distributions(of.profile, kind="pie"), "kind='pie'"),
        (lambda of: plots.sizes(of.X), "pass a dkmeans Model"),
        (lambda of: plots.sizes(of.model, ax=Figure()), "ax is a Figure; pass matplotlib Axes"),
    ],
)
def test_what_cannot_be_drawn_is_refused(few, call, message):
    with pytest.raises(ArgumentError, match=message):
        call(few)


@pytest.mark.parametrize("name", sorted(drawings(subject(2, 2))))
def test_plots_need_matplotlib(few, name, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ArgumentError, match=r'pip install "dkmeans\[plot\]"'):
        drawings(few)[name](None)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (2332500, "2.3325 M"),
        (0.1 + 0.2, "0.3"),
        (141.25, "141.25"),
        (61500, "61,500"),
        (-0.25, "-0.25"),
        (141.2, "141.2"),
        (2.5e9, "2.5 G"),
        (1e-7, "1e-07"),
    ],
)
def test_numbers_beside_axes(value, text):
    assert tick(value) == text.replace("-", "\N{MINUS SIGN}")


def test_numbers_and_names_in_texts():
    assert (number(1234567), number(0.12345), count(8950.0)) == ("1.23 M", "0.123", "8,950")
    assert count(0.5) == "0.5"
    assert safe("a\n$b$") == r"a \$b\$"
    assert len(safe("x" * 50)) == 24


def test_texts_are_broken_where_they_do_not_fit():
    text = Figure().text(0, 0, "one two three four five six seven")
    width = text.get_window_extent().width
    assert not broken(text, width + 1)
    assert broken(text, width / 2)
    assert "\n" in text.get_text()
    assert text.get_window_extent().width <= width / 2
