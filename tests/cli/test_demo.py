"""`dkmeans demo`: the README's first command."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import dkmeans
from dkmeans.rows.clusters_out import read_manifest
from tests.cli.command import Ran, run, run_apart

K = 5


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ran]:
    """One run of the demo."""
    out = tmp_path_factory.mktemp("demo") / "deep" / "out"
    return out, run_apart("demo", "--out", out, "--k", K, "--workers", 0)


def test_the_demo_says_where_everything_is(demo: tuple[Path, Ran]) -> None:
    out, ran = demo
    assert ran.code == 0, ran.err
    for name in ("pixels", "model", "clusters", "china.png", "flower.png"):
        assert str(out / name) in ran.out
        assert (out / name).exists()


def test_the_pixels_are_several_files_of_parquet(demo: tuple[Path, Ran]) -> None:
    files = list((demo[0] / "pixels").rglob("*.parquet"))
    assert len(files) > 2
    assert sum(pq.read_metadata(path).num_rows for path in files) == 2 * 427 * 640


def test_the_pictures_show_the_photograph_beside_its_k_colors(demo: tuple[Path, Ran]) -> None:
    from sklearn.datasets import load_sample_image

    for name in ("china", "flower"):
        photo = load_sample_image(f"{name}.jpg")
        with Image.open(demo[0] / f"{name}.png") as image:
            pixels = np.asarray(image.convert("RGB"))
        width = photo.shape[1]
        np.testing.assert_array_equal(pixels[:, :width], photo)
        reduced = pixels[:, -width:]
        colors = np.unique(reduced.reshape(-1, 3), axis=0)
        assert 1 < len(colors) <= K
        # in k colors it still is that picture: closer than in its one mean color
        flat = photo.reshape(-1, 3).mean(axis=0)
        error = ((reduced.astype(float) - photo) ** 2).sum()
        assert error < 0.5 * ((photo - flat) ** 2).sum()


def test_every_pixel_has_the_cluster_of_its_color(demo: tuple[Path, Ran]) -> None:
    from sklearn.datasets import load_sample_image

    out, _ = demo
    model = dkmeans.Model.load(str(out / "model"))
    assert model.n_clusters == K
    assert model.feature_names == ("red", "green", "blue")
    manifest = read_manifest(str(out / "clusters"))
    assert manifest["rows"] == manifest["rows_assigned"] == 2 * 427 * 640
    file = out / "clusters" / manifest["files"][0]["path"]
    table = pq.read_table(file, partitioning=None)
    assert {"photo", "row", "column", "cluster_id", "distance"} <= set(table.column_names)
    photo = load_sample_image(f"{table['photo'][0].as_py()}.jpg")
    colors = photo[table["row"].to_numpy(), table["column"].to_numpy()]
    np.testing.assert_array_equal(table["cluster_id"], model.predict(colors))


def test_the_model_of_the_demo_can_be_inspected(demo: tuple[Path, Ran]) -> None:
    described = run("inspect", demo[0] / "model", "--json").json
    assert described["scale"] == "standard"
    assert sum(cluster["size"] for cluster in described["clusters"]) == 2 * 427 * 640
    assert sum(cluster["share"] for cluster in described["clusters"]) == pytest.approx(1)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photos.txt").write_text("mine")
    ran = run("demo", "--out", tmp_path, "--workers", 0)
    assert ran.code == 2
    assert "--out" in ran.error
    assert [path.name for path in tmp_path.iterdir()] == ["photos.txt"]
