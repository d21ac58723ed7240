"""`dkmeans profile`: clusters in words, as text and JSON, comparisons, examples, refusals."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dkmeans
from tests.cli.command import run, run_apart
from tests.conftest import write_parquet
from tests.rows import damaged

FEATURES = ["f0", "f1", "f2", "f3"]


@pytest.fixture
def folder(tmp_path: Path, blobs) -> Path:
    """Rows with weights, and two columns that name them."""
    X, _ = blobs
    weight = np.random.default_rng(0).integers(1, 4, len(X)).astype(float)
    people = [f"person {i:05d}" for i in range(len(X))]
    return write_parquet(
        tmp_path / "in", X, person=people, number=np.arange(len(X)) * 3, visits=weight
    )


@pytest.fixture
def model_url(tmp_path: Path, folder: Path) -> str:
    rows = dkmeans.read_parquet(str(folder), columns=FEATURES, dtype="float64")
    model = dkmeans.KMeans(10, scale="standard", random_state=0, n_init=3).fit(rows).model_
    model.save(str(tmp_path / "model"))
    return str(tmp_path / "model")


def expected(model_url: str, folder: Path, keys: list[str] | None = None, **options):
    rows = dkmeans.read_parquet(str(folder), columns=FEATURES, dtype="float64", keys=keys or [])
    return dkmeans.profile(dkmeans.Model.load(model_url), rows, **options)


def test_figures_are_those_of_the_library(model_url: str, folder: Path) -> None:
    ran = run_apart(
        "profile", model_url, folder, "--json", "--workers", 0, "--quantiles", "0.9,0.1",
        "--examples", 2, "--keys", "person,number", "--seed", 3,
    )  # fmt: skip
    assert ran.code == 0
    assert "NaN" not in ran.out
    found = ran.json
    told = expected(
        model_url,
        folder,
        ["person", "number"],
        quantiles=[0.1, 0.9],
        n_examples=2,
        random_state=3,
    ).to_dict()
    assert {name: found[name] for name in told} == json.loads(json.dumps(told, allow_nan=False))
    assert found["quantiles"]["probabilities"] == [0.1, 0.9]
    numbers = found["boundary"]["row"]
    assert found["boundary"]["person"] == [f"person {i:05d}" for i in numbers]
    assert found["boundary"]["number"] == [i * 3 for i in numbers]
    assert (found["rows_missing"], found["skipped_files"]) == (0, [])


def test_the_text_is_that_of_the_library(model_url: str, folder: Path) -> None:
    ran = run("profile", model_url, folder, "--workers", 0)
    assert ran.code == 0
    assert ran.out.strip() == str(expected(model_url, folder)).strip()
    assert ran.out.startswith("Profile of 10 clusters: 5,000 rows, 4 features")
    assert "person" not in ran.out


def test_examples_are_shown_by_key_only_if_asked_for(model_url: str, folder: Path) -> None:
    asked = ("profile", model_url, folder, "--workers", 0, "--keys", "person")
    assert "person 0" not in run(*asked).out
    shown = run(*asked, "--examples", 1)
    assert shown.code == 0
    assert "Rows nearest to the centers" in shown.out
    assert shown.out.count("person 0") == 10
    assert "None: all rows are clearly nearer to their own center." in shown.out


def test_one_cluster_is_shown_with_all_its_features(model_url: str, folder: Path) -> None:
    whole = expected(model_url, folder)
    ran = run("profile", model_url, folder, "--workers", 0, "--cluster", 4)
    assert ran.code == 0
    assert ran.out.strip() == str(whole.describe(4)).strip()
    told = run("profile", model_url, folder, "--workers", 0, "--cluster", 4, "--json").json
    assert told["cluster_id"] == 4
    assert sorted(one["feature"] for one in told["features"]) == FEATURES
    assert told["count"] == whole.count[4]


def test_two_clusters_or_all_pairs_are_compared(model_url: str, folder: Path) -> None:
    whole = expected(model_url, folder)
    ran = run("profile", model_url, folder, "--workers", 0, "--compare", "3,7")
    assert ran.code == 0
    assert ran.out.strip() == str(whole.compare(3, 7)).strip()
    assert ran.out.startswith("Clusters 3 and 7 compared")
    told = run("profile", model_url, folder, "--workers", 0, "--compare", "3,7", "--json").json
    assert told["tests"] == whole.compare(3, 7).to_dict()["tests"]
    ran = run("profile", model_url, folder, "--workers", 0, "--compare", "all", "--json")
    tests = ran.json["tests"]
    assert len(tests) == 45 * 4
    assert {(one["cluster_a"], one["cluster_b"]) for one in tests} >= {(0, 1), (8, 9)}


def test_weights_are_counted_or_said_not_to_be(model_url: str, folder: Path, tmp_path) -> None:
    rows = dkmeans.read_parquet(str(folder), columns=FEATURES, dtype="float64", weight="visits")
    fitted = dkmeans.KMeans(3, random_state=0).fit(rows)
    url = str(tmp_path / "weighted")
    fitted.model_.save(url)
    ran = run("profile", url, folder, "--workers", 0)
    assert ran.code == 0
    assert "--weight visits counts rows alike" in ran.err
    assert "5,000 rows" in ran.out
    ran = run("profile", url, folder, "--workers", 0, "--weight", "visits")
    total = pq.read_table(folder)["visits"].to_numpy().sum()
    assert f"total weight {total:,.0f}" in ran.out
    assert "--weight" not in ran.err


def test_rows_that_lack_values_are_left_out_and_the_exit_code_says_so(
    model_url: str, tmp_path: Path, blobs
) -> None:
    X = blobs[0].copy()
    X[::50, 2] = np.nan
    folder = write_parquet(tmp_path / "holes", X)
    ran = run("profile", model_url, folder, "--missing", "drop", "--workers", 0, "--json")
    assert ran.code == 4
    told = json.loads(ran.out)
    assert told["rows_missing"] == 100
    assert sum(one["count"] for one in told["clusters"]) == 4900
    shown = run("profile", model_url, folder, "--missing", "drop", "--workers", 0)
    assert shown.code == 4
    assert "left out: 100 rows that lack a value" in shown.out
    ran = run("profile", model_url, folder, "--workers", 0)
    assert ran.code == 3
    assert "'f2'" in ran.error


@pytest.mark.parametrize("command", ["profile", "evaluate"])
def test_what_a_filling_model_had_to_leave_out_is_said_too(
    command: str, tmp_path: Path, blobs
) -> None:
    X = blobs[0].copy()
    X[::50, 2] = np.nan
    folder = write_parquet(tmp_path / "in", X, n_files=5, row_group_rows=300)
    rows = dkmeans.read_parquet(str(folder), dtype="float64", missing="mean")
    dkmeans.KMeans(10, random_state=0).fit(rows).model_.save(str(tmp_path / "model"))
    damaged.flip(folder / "part-3.parquet", header=True)
    ran = run(
        command, tmp_path / "model", folder, "--on-bad-file", "skip", "--workers", 0, "--json"
    )
    assert ran.code == 4
    (skipped,) = json.loads(ran.out)["skipped_files"]
    assert skipped["url"].endswith("part-3.parquet")
    assert ran.err.count("left out: ") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--cluster", "10"], 2, "the model has no cluster 10; see dkmeans inspect."),
        (["--cluster", "x"], 2, "'x' is not a valid integer"),
        (["--compare", "3"], 2, "--compare 3 should be two cluster ids, as 3,7, or all."),
        (["--compare", "3,x"], 2, "--compare 3,x should be two cluster ids"),
        (["--compare", "3,77"], 2, "the model has no cluster 77"),
        (["--compare", "3,7", "--cluster", "3"], 2, "--cluster goes without --compare."),
        (["--quantiles", "0.5,median"], 2, "--quantiles 0.5,median should be numbers"),
        (["--quantiles", "0.5,5"], 2, "--quantiles 0.5,5 should be numbers from 0 to 1"),
        (["--examples", "-1"], 2, "--examples=-1 should be an integer from 0 on."),
        (["--seed", "-1"], 2, "--seed=-1 should be an integer from 0 on."),
        (["--weight", "price"], 3, "weight column 'price' is not in"),
        (["--keys", "name"], 3, "key column 'name' is not in"),
    ],
)
def test_what_cannot_be_is_refused(
    arguments: list[str], code: int, said: str, model_url: str, folder: Path
) -> None:
    ran = run("profile", model_url, folder, "--workers", 0, *arguments)
    assert ran.code == code
    assert said in ran.err
    assert ran.out == ""


def test_other_columns_are_refused_with_the_model_named(model_url: str, tmp_path: Path) -> None:
    pq.write_table(pa.table({"f0": [1.0], "f1": [1.0]}), tmp_path / "other.parquet")
    ran = run("profile", model_url, tmp_path / "other.parquet", "--workers", 0)
    assert ran.code == 3
    assert f"the model at {model_url} needs other columns" in ran.error


def test_there_must_be_a_model_and_an_input(model_url: str, tmp_path: Path) -> None:
    ran = run("profile", tmp_path / "none", tmp_path, "--workers", 0)
    assert ran.code == 3
    assert "none" in ran.error
    ran = run("profile", model_url, tmp_path / "nothing", "--workers", 0)
    assert ran.code == 3
    assert "nothing" in ran.error
