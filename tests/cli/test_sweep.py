"""`dkmeans sweep`: ranges of k, table and plot, what is saved, and what is refused."""

import json
from pathlib import Path

import click
import numpy as np
import pytest

import dkmeans
from dkmeans.cli.sweep import parse_counts
from tests.cli.command import run, run_apart
from tests.conftest import write_parquet


@pytest.fixture
def folder(tmp_path: Path, blobs) -> Path:
    X, _ = blobs
    weight = np.random.default_rng(0).integers(1, 4, len(X)).astype(float)
    return write_parquet(tmp_path / "in", X, visits=weight)


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("2:5", [2, 3, 4, 5]),
        ("10,20,50", [10, 20, 50]),
        ("2:4,20", [2, 3, 4, 20]),
        ("20, 2:4 ,3,4:5", [2, 3, 4, 5, 20]),
        ("7", [7]),
        ("1:1", [1]),
    ],
)
def test_ranges_have_both_ends_and_each_number_once(text: str, counts: list[int]) -> None:
    assert parse_counts(text) == counts


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("5:2", "--k 5:2 goes down; write 2:5"),
        ("0:3", "from 1 on; 0 is not"),
        ("0", "from 1 on; 0 is not"),
        ("a", "should be numbers of clusters, as 2:30, 10,20,50 or 2:10,20,50"),
        ("2:a", "should be numbers of clusters"),
        ("2:3:4", "should be numbers of clusters"),
        ("2,,3", "should be numbers of clusters"),
        ("-3", "should be numbers of clusters"),
        ("2.5", "should be numbers of clusters"),
        ("", "should be numbers of clusters"),
        (":", "should be numbers of clusters"),
        ("²", "should be numbers of clusters"),
        ("2:5000", "has 4,999 numbers in a row; sweep at most 1,000"),
    ],
)
def test_other_texts_are_wrong_usage(text: str, said: str, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(click.UsageError) as refused:
        parse_counts(text)
    assert said in refused.value.message
    ran = run("sweep", folder, f"--k={text}", "--model", tmp_path / "m", "--workers", 0)
    assert ran.code == 2
    assert said in ran.err
    assert not (tmp_path / "m").exists()


def test_the_table_the_choice_and_the_plot(folder: Path, tmp_path: Path) -> None:
    model_url, png = str(tmp_path / "sweep"), tmp_path / "curves.png"
    ran = run_apart(
        "sweep", folder, "--k", "8:11,14", "--model", model_url, "--plot", png, "--seed", 3,
        "--weight", "visits", "--workers", 0,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert "5 numbers of clusters on 5,000 rows" in ran.out
    assert "Elbow of the inertia: k=10." in ran.out
    assert "Recommended: k=10 stands out: " in ran.out
    assert f"models: {model_url}/k=..." in ran.out
    assert png.read_bytes()[:4] == b"\x89PNG"
    assert "metrics + sample" in ran.err
    found = dkmeans.Sweep.load(model_url)
    assert list(found.models) == [8, 9, 10, 11, 14]
    rows = dkmeans.read_parquet(str(folder), weight="visits", dtype="float32")
    expected = dkmeans.sweep(rows, found.models, random_state=3, scale="standard")
    # and one for the baselines
    assert found.to_dict() == {**expected.to_dict(), "passes": expected.n_passes + 1}
    assert found.model.provenance["weight_column"] == "visits"
    inspected = run("inspect", f"{model_url}/k=10")
    assert inspected.code == 0


def test_one_object_of_json(folder: Path, tmp_path: Path) -> None:
    url = str(tmp_path / "sweep")
    ran = run(
        "sweep", folder, "--k", "9,10", "--model", url, "--workers", 0, "--json", "--n-init", 1,
        "--sample-size", 0, "--scale", "none", "--sample", "0.5", "--seed", 5,
    )  # fmt: skip
    told = ran.json
    assert [one["n_clusters"] for one in told["scores"]] == [9, 10]
    assert all(one["silhouette"] is one["adjusted_rand"] is None for one in told["scores"])
    assert told["model"] == url
    assert told["seed"] == 5
    assert told["rows"] < 4000
    assert told["recommended"] == 10
    assert told["reason"] == dkmeans.Sweep.load(url).reason


def test_what_lies_there_is_not_replaced_and_no_work_is_done(folder: Path, tmp_path: Path) -> None:
    url, png = tmp_path / "sweep", tmp_path / "plot.png"
    asked = ("sweep", folder, "--k", "2,3", "--model", url, "--workers", 0, "--seed", 0)
    assert run(*asked).code == 0
    before = (url / "sweep.json").read_bytes()
    ran = run(*asked)
    assert ran.code == 2
    assert "a sweep lies at" in ran.error
    assert "pass " not in ran.err.partition("dkmeans: error")[0]
    assert (url / "sweep.json").read_bytes() == before
    png.write_text("mine")
    other = (*asked[:5], tmp_path / "other", *asked[6:], "--plot", png)
    ran = run(*other)
    assert (ran.code, png.read_text()) == (2, "mine")
    assert "something lies at" in ran.error
    assert not (tmp_path / "other").exists()
    assert run(*other, "--overwrite").code == 0
    assert png.read_bytes()[:4] == b"\x89PNG"
    assert run(*asked[:3], "4", *asked[4:], "--overwrite").code == 0
    assert sorted(one.name for one in url.iterdir()) == ["k=4", "sweep.json"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--k", "2,5001"], 3, "n_clusters=5001 needs at least 5001 rows; the data has 5000"),
        (["--k", "2:4", "--n-init", "0"], 2, "n_init=0 should be"),
        (["--k", "2:4", "--sample-size", "-1"], 2, "sample_size=-1 should be"),
        (["--k", "2:4", "--init", "best"], 2, "init='best' is not known"),
        (["--k", "2:4", "--resume"], 2, "--resume needs --checkpoint"),
        (["--k", "2:4", "--plot", "plot.svg"], 2, "a plot is a PNG"),
        (["--k", "2:4", "--columns", "f0,f9"], 3, "'f9'"),
        (["--k", "2:4", "--max-passes", "2"], 7, "max_passes=2"),
    ],
)
def test_what_cannot_be_is_refused(
    arguments: list[str], code: int, said: str, folder: Path, tmp_path: Path
) -> None:
    ran = run("sweep", folder, "--model", tmp_path / "m", "--workers", 0, *arguments)
    assert ran.code == code, ran.err
    assert said in ran.err
    assert not (tmp_path / "m").exists()


def test_a_checkpoint_that_lies_there_is_gone_on_from_only_when_asked(
    folder: Path, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "state"
    stopped = run(
        "fit", folder, "--k", 10, "--model", tmp_path / "one", "--workers", 0,
        "--checkpoint", checkpoint, "--max-passes", 3, "--init", "k-means||",
    )  # fmt: skip
    assert stopped.code == 7
    ran = run(
        "sweep", folder, "--k", "2:4", "--model", tmp_path / "m", "--workers", 0,
        "--checkpoint", checkpoint,
    )  # fmt: skip
    assert ran.code == 2
    assert "a checkpoint lies at" in ran.error


def test_rows_that_lack_values_are_left_out_and_the_exit_code_says_so(
    tmp_path: Path, blobs
) -> None:
    X = blobs[0].copy()
    X[::50, 2] = np.nan
    folder = write_parquet(tmp_path / "holes", X)
    asked = ("sweep", folder, "--k", "3,4", "--model", tmp_path / "m", "--workers", 0)
    ran = run(*asked, "--missing", "drop", "--json")
    assert ran.code == 4
    told = json.loads(ran.out)
    assert (told["rows"], told["rows_missing"]) == (4900, 100)
    ran = run(*asked, "--overwrite")
    assert ran.code == 3
    assert "'f2'" in ran.err
