"""A sweep as people and programs read it: text, HTML, a frame, plain values, files, a plot."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import dkmeans
from dkmeans import Model, Sweep
from dkmeans.errors import ArgumentError, MissingInput, ModelRefused, OutputExists
from dkmeans.evaluation.sweeps.result import Sweep as Result
from tests.evaluation.sweeps.scores import scores_of


@pytest.fixture(scope="module")
def found() -> Sweep:
    rng = np.random.default_rng(0)
    at = rng.integers(0, 4, 2000)
    X = np.array([[0, 0], [9, 0], [0, 9], [9, 9]])[at] + rng.normal(size=(2000, 2))
    return dkmeans.sweep(X, range(1, 8), random_state=0, scale="standard")


def without_choice(found: Sweep) -> Sweep:
    return Result(found.scores, found.models, None, None, "no k stands out: so.", 2000, 9, 0)


def test_the_table_has_a_row_for_each_k(found):
    frame = found.to_frame()
    assert frame["n_clusters"].tolist() == list(range(1, 8))
    assert (frame.dtypes[1:] == "float64").all()
    assert np.isnan(frame["silhouette"][0])
    for one, row in zip(found.scores, frame.to_dict("records"), strict=True):
        assert row["inertia"] == one.inertia
        assert row["adjusted_rand"] == one.adjusted_rand
    assert found[4].n_clusters == 4
    with pytest.raises(KeyError):
        found[40]


def test_plain_values_are_all_of_it_but_the_models(found):
    told = json.loads(json.dumps(found.to_dict()))
    assert told["recommended"] == told["elbow"] == 4
    assert told["reason"] == found.reason
    assert told["passes"] == found.n_passes
    assert [one["n_clusters"] for one in told["scores"]] == list(range(1, 8))
    assert told["scores"][0]["silhouette"] is None
    assert told["scores"][3]["inertia"] == found.models[4].inertia


def test_the_text_fits_the_usual_width_and_names_the_choice(found):
    text = str(found)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 120
    assert lines[0] == "7 numbers of clusters on 2,000 rows"
    # no number is broken in two: each k has one line
    starts = [line.split()[0] for line in lines if line[:2].strip().isdigit()]
    assert starts[-7:] == ["1", "2", "3", "4", "5", "6", "7"]
    assert "Elbow of the inertia: k=4." in text
    assert "Recommended: k=4 stands out: " in text
    assert f"Passes over the rows: {found.n_passes}, for all k together" in text
    assert "<td" in found._repr_html_()
    assert "Calinski-Harabasz" in found._repr_html_()


def test_columns_without_any_figure_are_left_out(found):
    one = Result((scores_of(3, silhouette=None, adjusted_rand=None),), {}, None, None, "", 9, 1, 0)
    headings = one.sections()[0].columns
    assert "Silhouette" not in headings
    assert "ARI of two seeds" not in headings
    assert "Inertia" in headings


def test_the_recommended_model_is_the_model_and_there_may_be_none(found):
    assert found.model is found.models[4]
    nothing = without_choice(found)
    assert "Recommended: none; no k stands out: so." in str(nothing)
    with pytest.raises(ArgumentError, match=r"no k stands out: so\. Choose a k yourself"):
        _ = nothing.model


def test_every_model_is_kept_and_loadable(found, tmp_path):
    url = str(tmp_path / "sweep")
    found.save(url)
    again = Sweep.load(url)
    assert again.to_dict() == found.to_dict()
    assert again.scores == found.scores
    assert list(again.models) == list(range(1, 8))
    for k, model in found.models.items():
        loaded = Model.load(f"{url}/k={k}")
        assert loaded.scaled_centers.tolist() == model.scaled_centers.tolist()
        assert again.models[k].provenance == json.loads(json.dumps(model.provenance))
    assert again.model.n_clusters == 4
    assert str(again) == str(found)
    nothing = without_choice(found)
    nothing.save(url, overwrite=True)
    assert Sweep.load(url).recommended is None


def test_another_sweep_takes_the_place_of_one_only_if_it_may(found, tmp_path):
    url = str(tmp_path / "sweep")
    found.save(url)
    few = Result(
        found.scores[2:4], {k: found.models[k] for k in (3, 4)}, None, 4, "so.", 2000, 9, 0
    )
    with pytest.raises(OutputExists, match=r"a sweep lies at .* already; pass --overwrite"):
        few.save(url)
    assert list(Sweep.load(url).models) == list(range(1, 8))
    few.save(url, overwrite=True)
    assert list(Sweep.load(url).models) == [3, 4]
    # what the sweep before had besides is gone
    assert sorted(path.name for path in Path(url).iterdir()) == ["k=3", "k=4", "sweep.json"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["notes.txt", "k=3/part-0.parquet", "k=x/model.json"])
def test_what_is_no_sweep_is_never_replaced(found, tmp_path, name, overwrite):
    path = tmp_path / "there" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    with pytest.raises(OutputExists, match="pass another place"):
        found.save(str(tmp_path / "there"), overwrite=overwrite)
    assert [one for one in (tmp_path / "there").rglob("*") if one.is_file()] == [path]


def test_a_save_that_was_cut_off_is_no_sweep(found, tmp_path, monkeypatch):
    url = str(tmp_path / "sweep")
    found.save(url)
    save, saved = Model.save, []

    def cut_off(model, *arguments, **more):
        if len(saved) == 3:
            raise KeyboardInterrupt
        saved.append(model)
        save(model, *arguments, **more)

    monkeypatch.setattr(Model, "save", cut_off)
    with pytest.raises(KeyboardInterrupt):
        found.save(url, overwrite=True)
    with pytest.raises(MissingInput, match="no sweep at"):
        Sweep.load(url)
    monkeypatch.undo()
    with pytest.raises(OutputExists, match="models of a sweep lie at"):
        found.save(url)
    found.save(url, overwrite=True)
    assert Sweep.load(url).to_dict() == found.to_dict()


def test_damage_is_noticed(found, tmp_path):
    url = str(tmp_path / "sweep")
    found.save(url)
    index = tmp_path / "sweep" / "sweep.json"
    whole = index.read_text()

    def refused(text: str, said: str) -> None:
        index.write_text(text)
        with pytest.raises(ModelRefused, match=said):
            Sweep.load(url)

    refused(whole[:-20], "is not JSON")
    refused(whole.replace('"elbow": 4', '"elbow": 5'), "has changed since")
    refused(whole.replace('"format": 1', '"format": 9'), "format 9")
    refused(whole.replace("dkmeans sweep", "dkmeans model"), "does not hold a dkmeans sweep")
    index.write_text(whole)
    # a model of the same place, by somebody else
    found.models[5].save(f"{url}/k=4", overwrite=True)
    with pytest.raises(ModelRefused, match="its model for k=4 was replaced"):
        Sweep.load(url)
    found.models[4].save(f"{url}/k=4", overwrite=True)
    assert Sweep.load(url).recommended == 4
    (part,) = Path(url, "k=2").glob("scaled_centers-*")
    part.write_bytes(part.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelRefused, match="has changed since it was saved"):
        Sweep.load(url)
    with pytest.raises(MissingInput, match="no sweep at"):
        Sweep.load(str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    "changes",
    [
        {"scores": []},
        {"scores": [{"n_clusters": 2}]},
        {"scores": None},
        {"recommended": 77},
        {"models": {"2": "0"}},
    ],
)
def test_an_index_that_contradicts_itself_is_refused(found, tmp_path, changes):
    from dkmeans.evaluation.sweeps.files import _digest

    url = str(tmp_path / "sweep")
    found.save(url)
    index = tmp_path / "sweep" / "sweep.json"
    body = {**json.loads(index.read_text()), **changes}
    index.write_text(json.dumps({**body, "sha256": _digest(body)}))
    with pytest.raises(ModelRefused, match="contradicts itself"):
        Sweep.load(url)


def test_a_sweep_is_kept_on_an_object_store(found, s3, bucket):
    import s3fs

    found.save(f"{bucket}/a/b", storage_options=s3)
    again = Sweep.load(f"{bucket}/a/b", storage_options=s3)
    assert again.to_dict() == found.to_dict()
    found.plot(f"{bucket}/a.png", storage_options=s3)
    assert s3fs.S3FileSystem(**s3, skip_instance_cache=True).size(f"{bucket}/a.png") > 1000


def test_the_plot_shows_the_curves_and_marks_the_choice(found, tmp_path):
    figure = found.plot(str(tmp_path / "plot.png"))
    data = (tmp_path / "plot.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    upper, lower = figure.axes
    curve = upper.lines[0]
    assert curve.get_xdata().tolist() == list(range(1, 8))
    assert curve.get_ydata().tolist() == [one.inertia for one in found.scores]
    curves = {line.get_label(): line for line in lower.lines}
    simplified = curves["by distances to centers"]
    assert list(simplified.get_xdata()) == list(range(2, 8))
    assert list(simplified.get_ydata()) == [o.silhouette_simplified for o in found.scores[1:]]
    assert len(lower.lines) == 5
    for axes in (upper, lower):
        (mark,) = [line for line in axes.lines if line.get_label().startswith("recommended")]
        assert mark.get_label() == "recommended and elbow: k=4"
        assert list(mark.get_xdata()) == [4, 4]
    assert upper.get_ylabel() == "Inertia (squared distance)"
    assert lower.get_xlabel() == "Number of clusters k"
    named = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert sorted(named) == sorted(curves)


def test_elbow_and_choice_apart_are_two_marks_and_none_is_none(found):
    apart = Result(found.scores, found.models, 3, 5, "so.", 2000, 9, 0)
    marks = [line.get_label() for line in apart.plot().axes[0].lines[1:]]
    assert marks == ["recommended: k=5", "elbow: k=3"]
    assert len(without_choice(found).plot().axes[0].lines) == 1


def test_wide_sweeps_have_a_logarithmic_axis_and_one_k_is_a_point():
    many = tuple(scores_of(k) for k in (2, 10, 50, 200))
    figure = Result(many, {}, None, None, "", 9, 1, 0).plot()
    assert figure.axes[0].get_xscale() == "log"
    one = Result(many[:1], {}, None, None, "", 9, 1, 0).plot()
    one.canvas.draw()
    assert one.axes[0].get_xscale() == "linear"


def test_a_plot_needs_matplotlib_and_is_a_png(found, tmp_path, monkeypatch):
    with pytest.raises(ArgumentError, match=r"a plot is a PNG; call it .*\.svg\.png"):
        found.plot(str(tmp_path / "plot.svg"))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ArgumentError, match=r'pip install "dkmeans\[plot\]"'):
        found.plot()
