"""`dkmeans drift`: verdicts, exit codes, thresholds; baselines of fits and sweeps, their cost."""

import json
from pathlib import Path

import numpy as np
import pytest

import dkmeans
from dkmeans.evaluation.drift.thresholds import Thresholds
from tests.cli.command import run, run_apart
from tests.conftest import write_parquet


@pytest.fixture
def folder(tmp_path: Path, blobs) -> Path:
    return write_parquet(tmp_path / "in", blobs[0])


@pytest.fixture
def model_url(tmp_path: Path, folder: Path) -> str:
    ran = run("fit", folder, "--k", 10, "--model", tmp_path / "model", "--seed", 0, "--workers", 0)
    assert ran.code == 0, ran.err
    return str(tmp_path / "model")


def test_rows_of_the_fit_have_not_drifted(model_url: str, folder: Path) -> None:
    ran = run_apart("drift", model_url, folder, "--workers", 0, "--json")
    told = ran.json
    assert told["verdict"] == "no drift"
    assert told["passes"] == 1
    assert told["rows"] == told["baseline_rows"] == 5000
    model = dkmeans.Model.load(model_url)
    expected = dkmeans.drift(model, str(folder)).to_dict()
    assert {name: told[name] for name in expected} == expected
    assert ran.err.count("pass   1  drift") == 1


def test_drift_is_told_in_full_before_the_exit_code_is(
    model_url: str, tmp_path: Path, blobs
) -> None:
    changed = blobs[0].copy()
    changed[:, 1] *= 2
    folder = write_parquet(tmp_path / "later", changed)
    ran = run("drift", model_url, folder, "--workers", 0)
    assert ran.code == 6
    assert "Drift: 5,000 rows, 5,000 in the baseline" in ran.out
    assert "f1 shifted" in ran.out
    assert "Traceback" not in ran.err
    last = ran.err.strip().splitlines()[-1]
    assert last.startswith("dkmeans: error: the rows have drifted: ")
    ran = run("drift", model_url, folder, "--workers", 0, "--json")
    assert ran.code == 6
    told = json.loads(ran.out)
    assert told["verdict"] == "drift"
    assert told["reasons"]


def test_thresholds_are_taken(model_url: str, tmp_path: Path, blobs) -> None:
    some = write_parquet(tmp_path / "some", blobs[0][blobs[0][:, 0] > -20])
    strict = run("drift", model_url, some, "--workers", 0, "--threshold", "cluster_psi=0.01")
    assert strict.code == 6
    lax = [f"--threshold={name}=1e9" for name in vars(Thresholds())
           if name != "false_alarm"]  # fmt: skip
    assert run("drift", model_url, some, "--workers", 0, *lax).code == 0


@pytest.mark.parametrize(
    ("threshold", "said"),
    [
        ("psi=0.1", "threshold 'psi' is none of"),
        ("feature_psi", "--threshold 'feature_psi' should be NAME=VALUE"),
        ("feature_psi=high", "should be NAME=VALUE, a number"),
        ("feature_psi=-1", "should be a number from 0 on"),
    ],
)
def test_thresholds_that_cannot_be_are_refused(
    threshold: str, said: str, model_url: str, folder: Path
) -> None:
    ran = run("drift", model_url, folder, "--workers", 0, "--threshold", threshold)
    assert ran.code == 2
    assert said in ran.err


def test_missing_values_are_counted_not_refused(model_url: str, tmp_path: Path, blobs) -> None:
    X = blobs[0].copy()
    X[::20, 2] = np.nan
    folder = write_parquet(tmp_path / "holes", X)
    ran = run("drift", model_url, folder, "--workers", 0, "--json")
    assert ran.code == 6
    told = json.loads(ran.out)
    assert told["figures"]["missing_share"] == 0.05
    assert any("f2 is missing in 5.0% of rows" in one for one in told["reasons"])
    # files that are left out by policy are told of, too
    (folder / "part-1.parquet").write_bytes(b"PAR1 nothing")
    lax = "missing_share=1"
    arguments = ("--threshold", lax, "--on-bad-file", "skip", "--workers", 0)
    assert run("drift", model_url, folder, *arguments).code in (4, 6)


def test_a_model_without_a_baseline_is_refused_with_the_remedy(
    tmp_path: Path, folder: Path
) -> None:
    url = tmp_path / "bare"
    ran = run("fit", folder, "--k", 3, "--model", url, "--baseline", "no", "--workers", 0, "--json")
    assert ran.json["baseline"] is False
    ran = run("drift", url, folder, "--workers", 0)
    assert ran.code == 2
    assert "no baseline" in ran.error
    assert "--baseline yes" in ran.error


@pytest.mark.parametrize(
    ("options", "has", "more_reads"),
    [
        (["--stage", "memory"], True, 0),
        (["--stage", "disk"], True, 0),
        (["--stage", "none"], False, 0),
        (["--stage", "none", "--baseline", "yes"], True, 1),
        (["--stage", "memory", "--baseline", "no"], False, 0),
        (["--stage", "memory", "--sample", "0.5"], False, 0),
        (["--stage", "memory", "--algorithm", "minibatch"], True, 0),
        (["--stage", "memory", "--missing", "mean"], True, 0),
    ],
)
def test_a_fit_finds_a_baseline_where_rows_are_kept_and_plans_for_it(
    options: list[str], has: bool, more_reads: int, folder: Path, tmp_path: Path
) -> None:
    common = ("--k", 5, "--seed", 0, "--workers", 0, "--json")
    ran = run("fit", folder, *common, "--model", tmp_path / "model", *options).json
    assert ran["baseline"] is has
    model = dkmeans.Model.load(str(tmp_path / "model"))
    kinds = [record["kind"] for record in model.provenance["history"]]
    assert kinds.count("baseline") == has
    assert (model.baseline is not None) is has
    without = run(
        "fit", folder, *common, "--model", tmp_path / "other", *options, "--baseline", "no"
    ).json
    assert ran["n_passes"] == without["n_passes"] + has
    once = sum(model.provenance["history"][-1]["bytes_read"] for _ in range(more_reads))
    assert ran["bytes_read"] == without["bytes_read"] + once
    assert (once > 0) is bool(more_reads)
    plans = [
        run("plan", folder, *common, *options, *more).json for more in ([], ["--baseline", "no"])
    ]
    assert plans[0]["most_passes"] == plans[1]["most_passes"] + has
    assert ran["n_passes"] <= plans[0]["most_passes"]


def test_every_model_of_a_sweep_has_a_baseline_of_the_same_pass(
    folder: Path, tmp_path: Path
) -> None:
    common = ("--k", "2:4", "--seed", 0, "--workers", 0, "--json")
    ran = run("sweep", folder, *common, "--model", tmp_path / "sweep").json
    assert ran["baseline"] is True
    without = run("sweep", folder, *common, "--model", tmp_path / "other", "--baseline", "no").json
    assert ran["passes"] == without["passes"] + 1
    assert ran["bytes_read"] == without["bytes_read"]
    for k in (2, 3, 4):
        model = dkmeans.Model.load(str(tmp_path / "sweep" / f"k={k}"))
        assert model.baseline.weight == 5000
        assert len(model.baseline.cluster_weights) == k
    plan = run("plan", folder, *common).json
    assert ran["passes"] <= plan["most_passes"]


def test_a_budget_that_is_spent_costs_no_model(folder: Path, tmp_path: Path) -> None:
    common = ("--k", 3, "--seed", 0, "--workers", 0, "--json")
    passes = run("fit", folder, *common, "--model", tmp_path / "a").json["n_passes"]
    ran = run("fit", folder, *common, "--model", tmp_path / "b", "--max-passes", passes - 1)
    assert ran.json["baseline"] is False
    assert "baseline: none (max_passes" in ran.err
