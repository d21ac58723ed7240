"""What a report says, in how many passes, and what it never says."""

import json
import re
from html import escape
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import dkmeans
from dkmeans.errors import ArgumentError, FeaturesMismatch, MissingInput, OutputExists
from dkmeans.models.model import Model
from dkmeans.rows.rows import Rows
from tests.reports.conftest import HOSTILE, QUOTED, rows_of

MOST_BYTES = 2_000_000


class Seen(HTMLParser):
    """The elements of a page, their texts and attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self._open[-1:]):
            self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def test_two_passes_of_which_one_reads(hostile: Path, model: Model, one_before: Model) -> None:
    with rows_of(hostile) as rows, rows_of(hostile) as read_once:
        made = dkmeans.report(model, rows, against=one_before, rows_shown=False)
        assert (made.n_passes, rows.n_passes) == (2, 2)
        read_once.reduce(_count)
        assert rows.bytes_read == read_once.bytes_read > 0
        assert dkmeans.report(model, rows).n_passes == 2


def _count(block):  # type: ignore[no-untyped-def]
    from dkmeans.partials.moments import Moments

    return Moments.from_block(block, np.zeros(block.n_features))


def test_figures_are_those_of_the_functions(hostile: Path, model: Model, one_before: Model) -> None:
    from dkmeans.reports.findings import findings

    with rows_of(hostile) as rows:
        found = findings(model, rows, against=one_before)
        evaluated = dkmeans.evaluate(model, rows)
        for name, figure in found.evaluation.figures.items():
            assert figure.value == evaluated[name], name
        told = dkmeans.profile(model, rows, n_examples=3).to_dict()
        assert found.profile.to_dict() == told
        drift = dkmeans.drift(model, rows).to_dict()
        assert {**found.drift.to_dict(), "passes": 1} == drift
        lineage = dkmeans.lineage(one_before, model, rows)
        assert found.lineage.to_dict() == lineage.to_dict()


def test_a_cluster_finds_the_same(hostile: Path, model: Model, one_before: Model, client) -> None:
    from dkmeans.reports.findings import findings

    columns = [HOSTILE, QUOTED]
    with (
        rows_of(hostile) as here,
        dkmeans.read_parquet(str(hostile), columns=columns, keys=["who"], client=client) as there,
    ):
        one, other = (findings(model, rows, against=one_before) for rows in (here, there))
        assert there.n_passes == 2
    assert one.profile.to_dict() == other.profile.to_dict()
    assert one.evaluation.to_dict() == other.evaluation.to_dict()
    assert one.drift.to_dict() == other.drift.to_dict()
    assert one.lineage.to_dict() == other.lineage.to_dict()
    np.testing.assert_array_equal(one.samples.for_map.X, other.samples.for_map.X)


def test_missing_values_are_counted_and_filled() -> None:
    from dkmeans.reports.findings import findings

    X = np.random.default_rng(0).normal(size=(2000, 3)) + np.arange(2000)[:, None] % 2 * 9
    X[::10, 1] = np.nan
    with Rows.from_array(X, missing="mean", block_rows=300) as rows:
        assert rows.n_blocks > 1
        model = dkmeans.KMeans(2, scale="standard", random_state=0).fit(rows).model_
        model = dkmeans.with_baseline(model, rows)
        found = findings(model, rows)
        evaluated = dkmeans.evaluate(model, rows)
        assert found.evaluation["inertia"] == evaluated["inertia"]
        assert found.profile.to_dict() == dkmeans.profile(model, rows, n_examples=3).to_dict()
        np.testing.assert_allclose(found.drift.features.missing, [0, 0.1, 0])


def test_names_are_only_text(hostile_report: Path) -> None:
    html = hostile_report.read_text()
    seen = Seen(html)
    assert HOSTILE in seen.text
    assert QUOTED in seen.text
    assert "<img" not in html
    assert [name for name, _ in seen.tags].count("script") == 3
    assert not any(key.startswith("on") for _, attrs in seen.tags for key in attrs)
    told = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', html, re.S)
    assert [json.loads(one) for one in told]
    assert json.loads(told[0])["features"] == [HOSTILE, QUOTED]


def test_loads_nothing(hostile_report: Path) -> None:
    html = hostile_report.read_text()
    seen = Seen(html)
    policy = next(one for one in seen.of("meta") if one.get("http-equiv"))["content"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for name, attrs in seen.tags:
        for key in ("src", "srcset", "poster", "action"):
            assert key not in attrs, (name, attrs)
        link = attrs.get("href") or "#"
        assert link.startswith(("#", "data:,")), (name, attrs)
    assert "url(" not in html
    assert "@import" not in html


def test_is_made_for_all(hostile_report: Path) -> None:
    seen = Seen(hostile_report.read_text())
    assert seen.of("html")[0]["lang"] == "en"
    assert len(seen.of("h1")) == len(seen.of("main")) == 1
    levels = [int(name[1]) for name, _ in seen.tags if re.fullmatch(r"h[1-6]", name)]
    assert all(later <= before + 1 for before, later in pairwise(levels))
    ids = [attrs["id"] for _, attrs in seen.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    targets = [one["href"][1:] for one in seen.of("a")]
    assert set(targets) <= set(ids)
    assert len(seen.of("caption")) == len(seen.of("table"))
    assert all(one.get("scope") in ("col", "row") for one in seen.of("th"))
    assert len(seen.of("title")) == 1 + len(seen.of("svg"))
    assert all(one.get("role") == "img" for one in seen.of("svg"))


def test_rows_are_left_out_where_asked(hostile: Path, model: Model) -> None:
    with rows_of(hostile) as rows:
        shown = dkmeans.report(model, rows)
        hidden = dkmeans.report(model, rows, rows_shown=False)
        numbers = dkmeans.profile(model, rows, n_examples=3).representatives.keys["who"]
    assert all(escape(one) in shown.html.replace("<wbr>", "") for one in numbers)
    assert 'id="map-rows"' in shown.html
    plain = hidden.html.replace("<wbr>", "")
    assert not re.search(r"&lt;/script&gt;\d", plain)
    for gone in ('id="map-rows"', "Typical rows", "Rows nearest"):
        assert gone not in plain
    assert "Values and keys of single rows were left out" in plain


def test_few_rows_are_not_spread_out_where_rows_are_hidden() -> None:
    X = np.array([[0.0, 1.0], [0.5, 1.5], [100.25, 77.125]] + [[9.0, i / 50] for i in range(50)])
    model = dkmeans.KMeans(3, init=[[0, 1], [100, 77], [9, 0.5]]).fit(X)
    hidden = dkmeans.report(model, X, rows_shown=False).html
    assert hidden.count("how they are spread is not shown") == 2
    assert "how they are spread is not shown" not in dkmeans.report(model, X).html


def test_says_which_clusters_were_split(hostile_report: Path) -> None:
    text = Seen(hostile_report.read_text()).text
    assert re.search(r"Cluster \d was split into", text)
    assert "continues" in text


def test_size_is_bounded(wide_report: Path) -> None:
    html = wide_report.read_text()
    assert len(html.encode()) < MOST_BYTES
    assert "The 20 largest of 100 clusters" in html
    assert "The 30 features that set clusters apart the most, of 200" in html


def test_saves_whole_and_refuses_to_replace(tmp_path: Path) -> None:
    X = [[0.0], [1.0], [9.0], [11.0]]
    model = dkmeans.KMeans(2, random_state=0).fit(X)
    made = dkmeans.report(model, X, title="<b>Mine</b>")
    place = tmp_path / "a" / "r.html"
    made.save(str(place))
    assert place.read_text() == made.html
    assert "<title>&lt;b&gt;Mine&lt;/b&gt;</title>" in made.html
    assert [one.name for one in place.parent.iterdir()] == ["r.html"]
    with pytest.raises(OutputExists, match="--overwrite"):
        made.save(str(place))
    with pytest.raises(OutputExists, match=r"r\.html"):
        dkmeans.report(model, "no such rows", out=str(place))
    made.save(str(place), overwrite=True)
    dkmeans.report(model, X, out="memory://reports/r.html", overwrite=True)
    framed = made._repr_html_()
    assert framed.startswith("<iframe")
    assert "<b>" not in framed


def test_one_cluster_one_feature_and_weights() -> None:
    X = np.arange(30.0)[:, None] % 7
    model = dkmeans.KMeans(1).fit(X)
    html = dkmeans.report(model, X, sample_weight=np.arange(30) / 10).html
    assert "1 cluster of 30 rows by 1 feature" in html
    assert 'id="compared"' not in html


def test_constant_features_and_empty_clusters() -> None:
    X = np.column_stack([np.repeat([0.0, 5.0, 9.0], 20), np.ones(60)])
    model = dkmeans.KMeans(3, init=[[0, 1], [5, 1], [9, 1]]).fit(X).model_
    html = dkmeans.report(model, X[:20]).html
    assert "2 are empty" in html
    assert not re.search(r"\b(nan|inf)\b", Seen(html).text)


def test_refusals(hostile: Path, model: Model) -> None:
    X = np.zeros((10, 3))
    with pytest.raises(FeaturesMismatch):
        dkmeans.report(model, X)
    other = dkmeans.KMeans(1).fit(X)
    with pytest.raises(FeaturesMismatch):
        dkmeans.report(model, str(hostile), against=other)
    with pytest.raises(ArgumentError, match="random_state"):
        dkmeans.report(model, str(hostile), random_state=-1)
    with pytest.raises(MissingInput):
        dkmeans.report(model, str(hostile), sweep="no/such/sweep")
    with pytest.raises(ArgumentError, match="positive weight"):
        dkmeans.report(other, X, sample_weight=np.zeros(10))


def test_versions_of_registries_are_told(tmp_path: Path) -> None:
    X = np.repeat([[0.0], [5.0]], 10, axis=0)
    registry = dkmeans.Registry(str(tmp_path / "models"))
    registry.publish(dkmeans.KMeans(2, random_state=0).fit(X).model_, run_id="a")
    html = dkmeans.report(f"{tmp_path / 'models'}@1", X).html.replace("<wbr>", "")
    assert f"version 1 of {tmp_path / 'models'}" in html


def test_the_sweep_beside_a_model_is_found(tmp_path: Path) -> None:
    X = np.random.default_rng(0).normal(size=(60, 2))
    found = dkmeans.sweep(X, [2, 3, 4], 1, random_state=0)
    found.save(str(tmp_path / "sweep"))
    beside = dkmeans.report(str(tmp_path / "sweep" / "k=3"), X).html
    assert 'id="elbow"' in beside
    assert 'id="elbow"' not in dkmeans.report(found.models[3], X).html
