"""`dkmeans inspect`: what a model is, for people and for programs."""

from pathlib import Path

import numpy as np
import pytest

import dkmeans
from dkmeans.models.files import model_id
from tests.cli.command import run
from tests.conftest import write_parquet


@pytest.fixture
def model_url(tmp_path: Path, blobs) -> str:
    """A model of three clusters of 5 000 weighted rows, scaled."""
    X = blobs[0]
    folder = write_parquet(tmp_path / "in", X, w=(np.arange(len(X)) % 3).astype(float))
    rows = dkmeans.read_parquet(str(folder), weight="w", block_rows=700)
    assert rows.n_blocks > 1
    dkmeans.KMeans(3, scale="standard", random_state=0).fit(rows).model_.save(
        str(tmp_path / "model")
    )
    return str(tmp_path / "model")


def test_the_json_of_a_model_is_all_that_it_holds(model_url: str, blobs) -> None:
    model = dkmeans.Model.load(model_url)
    found = run("inspect", model_url, "--json").json
    assert found["id"] == model_id(model)
    assert (found["n_clusters"], found["n_features"]) == (3, 4)
    assert found["feature_names"] == ["f0", "f1", "f2", "f3"]
    assert found["scale"] == "standard"
    assert found["dtype"] == "float32"
    assert found["inertia"] == model.inertia
    assert found["provenance"]["rows"] == 5000
    assert found["parameters"]["n_clusters"] == 3
    weight = (np.arange(5000) % 3).astype(float)
    labels = model.predict(blobs[0])
    sizes = np.bincount(labels, weight)
    clusters = found["clusters"]
    assert [cluster["cluster_id"] for cluster in clusters] == [0, 1, 2]
    assert [cluster["size"] for cluster in clusters] == sizes.tolist()
    np.testing.assert_allclose([c["share"] for c in clusters], sizes / sizes.sum())
    means = [
        np.average(blobs[0][labels == j], axis=0, weights=weight[labels == j]) for j in range(3)
    ]
    np.testing.assert_allclose([c["center"] for c in clusters], means, atol=0.05)


def test_the_table_shows_sizes_shares_and_centers_in_the_units_of_the_data(model_url: str) -> None:
    ran = run("inspect", model_url)
    assert ran.code == 0
    model = dkmeans.Model.load(model_url)
    for name in ("cluster", "size", "share", "f0", "f3", model_id(model), "5,000 rows", "3 files"):
        assert name in ran.out
    rows = [line for line in ran.out.splitlines() if "%" in line]
    assert len(rows) == 3
    for j, line in enumerate(rows):
        cells = [cell.strip() for cell in line.strip("│┃| ").replace("┃", "│").split("│")]
        assert cells[0] == str(j)
        assert float(cells[1].replace(",", "")) == model.weights[j]
        assert float(cells[2].rstrip("%")) == pytest.approx(100 * model.weights[j] / 5000, abs=0.06)
        np.testing.assert_allclose([float(cell) for cell in cells[3:]], model.centers[j], rtol=1e-3)
    assert "\x1b" not in ran.out


def test_a_model_of_many_features_says_what_it_does_not_show(tmp_path: Path) -> None:
    X = np.random.default_rng(0).normal(size=(100, 20))
    dkmeans.KMeans(2, random_state=0).fit(X).model_.save(str(tmp_path / "model"))
    ran = run("inspect", tmp_path / "model")
    assert ran.code == 0
    assert "12 more features" in ran.out
    assert max(map(len, ran.out.splitlines())) <= 160
    described = run("inspect", tmp_path / "model", "--json").json
    assert described["feature_names"] is None
    assert described["scale"] is None
    assert len(described["clusters"][0]["center"]) == 20


def test_a_model_that_was_not_fitted_here_can_be_inspected(tmp_path: Path) -> None:
    dkmeans.Model(
        scaled_centers=np.array([[1.0], [5.0]]),
        scaling=None,
        columns=None,
        dtype="float64",
        cluster_ids=np.array([8, 9]),
        weights=np.zeros(2),
        inertias=np.zeros(2),
        scaled_means=np.array([[1.0], [5.0]]),
    ).save(str(tmp_path / "model"))
    assert run("inspect", tmp_path / "model", "--json").json["clusters"][1]["cluster_id"] == 9
    ran = run("inspect", tmp_path / "model")
    assert ran.code == 0
    assert "2 clusters of 1 feature" in ran.out


def test_square_brackets_in_names_are_shown_as_they_are(tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame({"speed[m/s]": [0.0, 1.0, 5.0, 6.0], "[red]": [1.0, 2.0, 3.0, 4.0]})
    dkmeans.KMeans(2, random_state=0).fit(frame).model_.save(str(tmp_path / "model"))
    ran = run("inspect", tmp_path / "model")
    assert ran.code == 0
    assert "speed[m/s]" in ran.out
    assert "[red]" in ran.out


def test_ids_names_and_colors_are_shown(tmp_path: Path) -> None:
    model = dkmeans.Model(
        scaled_centers=np.array([[1.0], [5.0], [7.0]]),
        scaling=None,
        columns=None,
        dtype="float64",
        cluster_ids=np.array([8, 2, 30]),
        weights=np.ones(3),
        inertias=np.zeros(3),
        scaled_means=np.array([[1.0], [5.0], [7.0]]),
        next_cluster_id=31,
    )
    names = {8: "night [bold]owls[/bold] 🦉", 30: "x" * 200}
    model.renamed(names, colors={2: "#1f77b4"}).save(str(tmp_path / "model"))
    found = run("inspect", tmp_path / "model", "--json").json
    assert [one["cluster_id"] for one in found["clusters"]] == [8, 2, 30]
    assert [one["name"] for one in found["clusters"]] == [names[8], None, names[30]]
    assert [one["color"] for one in found["clusters"]] == [None, "#1f77b4", None]
    assert found["next_cluster_id"] == 31
    ran = run("inspect", tmp_path / "model")
    assert ran.code == 0
    lines = [line for line in ran.out.splitlines() if "%" in line]
    assert "night [bold]owls[/bold] 🦉" in lines[0]
    assert "#1f77b4" in lines[1]
    assert "x" * 37 + "..." in lines[2]
    assert "xxxxx" * 9 not in ran.out
    assert max(map(len, ran.out.splitlines())) <= 160


def test_without_names_there_is_no_column_for_them(model_url: str) -> None:
    assert "name" not in run("inspect", model_url).out
