"""`dkmeans evaluate`: figures as text and JSON, weights, true labels, what is left out."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dkmeans
from tests.cli.command import run, run_apart
from tests.conftest import write_parquet


@pytest.fixture
def folder(tmp_path: Path, blobs) -> Path:
    """Rows with the cluster that they come from as text, and weights."""
    X, centers = blobs
    true = ((X[:, None] - centers) ** 2).sum(axis=2).argmin(axis=1)
    weight = np.random.default_rng(0).integers(1, 4, len(X)).astype(float)
    return write_parquet(tmp_path / "in", X, kind=[f"kind {t}" for t in true], visits=weight)


@pytest.fixture
def model_url(tmp_path: Path, folder: Path) -> str:
    rows = dkmeans.read_parquet(
        str(folder), columns=["f0", "f1", "f2", "f3"], dtype="float64", weight="visits"
    )
    model = dkmeans.KMeans(10, scale="standard", random_state=0, n_init=3).fit(rows).model_
    model.save(str(tmp_path / "model"))
    return str(tmp_path / "model")


def test_figures_are_those_of_the_library(model_url: str, folder: Path) -> None:
    ran = run_apart(
        "evaluate", model_url, folder, "--truth", "kind", "--weight", "visits", "--json",
        "--workers", 0, "--sample-size", 500, "--seed", 3,
    )  # fmt: skip
    assert ran.code == 0
    model = dkmeans.Model.load(model_url)
    rows = dkmeans.read_parquet(
        str(folder),
        columns=["f0", "f1", "f2", "f3"],
        dtype="float64",
        weight="visits",
        labels=["kind"],
    )
    found = dkmeans.evaluate(model, rows, "kind", sample_size=500, random_state=3)
    expected = found.to_dict()
    assert {name: ran.json[name] for name in expected} == expected
    assert ran.json["agreement"]["purity"] > 0.99
    assert ran.json["reused"]
    assert ran.json["passes"] == 1
    assert ran.json["rows_missing"] == 0


def test_the_text_is_for_people(model_url: str, folder: Path) -> None:
    ran = run("evaluate", model_url, folder, "--metrics", "inertia,davies_bouldin", "--workers", 0)
    assert ran.code == 0
    assert "10 clusters on 5,000 rows" in ran.out
    assert "Davies-Bouldin" in ran.out
    assert "silhouette" not in ran.out
    assert "--weight visits counts rows alike" in ran.err


def test_rows_that_lack_values_are_left_out_and_the_exit_code_says_so(
    model_url: str, tmp_path: Path, blobs
) -> None:
    X = blobs[0].copy()
    X[::50, 2] = np.nan
    folder = write_parquet(tmp_path / "holes", X)
    ran = run("evaluate", model_url, folder, "--missing", "drop", "--workers", 0, "--json")
    assert ran.code == 4
    told = json.loads(ran.out)
    assert (told["rows"], told["rows_missing"]) == (4900, 100)
    ran = run("evaluate", model_url, folder, "--workers", 0)
    assert ran.code == 3
    assert "'f2'" in ran.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--truth", "species"], 3, "'species' is not in"),
        (["--metrics", "silhouete"], 2, "metrics='silhouete' is none of inertia"),
        (["--sample-size", "0"], 2, "sample_size=0 should be an integer from 1 on"),
    ],
)
def test_what_cannot_be_is_refused(
    arguments: list[str], code: int, said: str, model_url: str, folder: Path
) -> None:
    ran = run("evaluate", model_url, folder, "--workers", 0, *arguments)
    assert ran.code == code
    assert said in ran.err


def test_other_columns_are_refused_with_the_model_named(model_url: str, tmp_path: Path) -> None:
    pq.write_table(pa.table({"f0": [1.0], "f1": [1.0]}), tmp_path / "other.parquet")
    ran = run("evaluate", model_url, tmp_path / "other.parquet", "--workers", 0)
    assert ran.code == 3
    assert f"the model at {model_url} needs other columns" in ran.err
