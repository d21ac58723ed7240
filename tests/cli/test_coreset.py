"""`dkmeans fit --init coreset`."""

from pathlib import Path

import pytest

import dkmeans
from tests.cli.command import run
from tests.conftest import write_parquet


@pytest.fixture
def folder(tmp_path: Path, blobs) -> Path:
    return write_parquet(tmp_path / "in", blobs[0])


def test_a_coreset_has_the_size_that_is_asked_for(folder: Path, tmp_path: Path) -> None:
    ran = run(
        "fit", folder, "--k", 4, "--model", tmp_path / "model", "--init", "coreset",
        "--coreset-size", 900, "--seed", 7, "--scale", "standard", "--workers", 0, "--json",
    )  # fmt: skip
    estimator = dkmeans.KMeans(
        4, init="coreset", coreset_size=900, random_state=7, scale="standard"
    ).fit(str(folder))
    model = dkmeans.Model.load(str(tmp_path / "model"))
    assert model.scaled_centers.tobytes() == estimator.scaled_centers_.tobytes()
    assert ran.json["inertia"] == estimator.inertia_
    # and one for the baseline
    assert ran.json["n_passes"] == estimator.n_passes_ + 1
    assert model.parameters == estimator.model_.parameters


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--init", "coreset", "--coreset-size", 7), "at least 8"),
        (("--init", "coreset", "--coreset-size", -1), "at least 8"),
        (("--init", "random", "--coreset-size", 900), "goes with init='coreset'"),
        (("--init", "k-means||", "--coreset-size", 900), "goes with init='coreset'"),
        (("--init", "coresets"), "init='coresets' is not known; use coreset,"),
        (("--init", "coreset", "--coreset-size", "many"), "coreset-size"),
    ],
)
def test_sizes_that_cannot_be_are_refused(folder: Path, tmp_path: Path, options, words) -> None:
    ran = run(
        "fit", folder, "--k", 4, "--model", tmp_path / "model", "--workers", 0, *options
    )  # fmt: skip
    assert ran.code == 2
    assert words in ran.err
    assert "Traceback" not in ran.err
    assert not (tmp_path / "model").exists()
