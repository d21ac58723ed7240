"""`dkmeans plan`: what a fit will do, from the footers alone."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from dkmeans.cli.main import commands
from tests.cli.command import run
from tests.conftest import write_parquet


@pytest.fixture
def folder(tmp_path: Path, blobs) -> Path:
    X = blobs[0]
    return write_parquet(
        tmp_path / "in", X, id=np.arange(len(X)), w=np.ones(len(X)), text=["x"] * len(X)
    )


def column_chunk_bytes(folder: Path, names: list[str]) -> int:
    """Stored bytes of some columns, added up from the footers with pyarrow."""
    total = 0
    for path in folder.rglob("*.parquet"):
        footer = pq.read_metadata(path)
        for i in range(footer.num_row_groups):
            for j in range(footer.num_columns):
                chunk = footer.row_group(i).column(j)
                if chunk.path_in_schema in names:
                    total += chunk.total_compressed_size
    return total


def wipe_pages(folder: Path) -> None:
    """Overwrite everything in the files but their footers."""
    for path in folder.rglob("*.parquet"):
        whole = path.read_bytes()
        n_footer = int.from_bytes(whole[-8:-4], "little") + 8
        path.write_bytes(b"PAR1" + b"\xff" * (len(whole) - n_footer - 4) + whole[-n_footer:])


def test_a_plan_has_the_figures_of_the_footers(folder: Path) -> None:
    ran = run("plan", folder, "--k", 10, "--keys", "id", "--weight", "w", "--json")
    plan = ran.json
    names = ["f0", "f1", "f2", "f3"]
    assert plan["files"] == 3
    assert plan["rows"] == 5000
    assert plan["features"] == 4
    assert plan["feature_names"] == names
    assert plan["source_bytes"] == column_chunk_bytes(folder, [*names, "w"])
    assert plan["decoded_bytes"] == 5000 * (4 * 4 + 8)
    assert plan["blocks"] >= 1
    assert plan["not_used"].keys() == {"id", "w", "text"}


def test_a_plan_reads_footers_only(folder: Path, tmp_path: Path) -> None:
    expected = run("plan", folder, "--k", 3, "--keys", "id", "--json").json
    wipe_pages(folder)
    assert run("plan", folder, "--k", 3, "--keys", "id", "--json").json == expected
    ran = run("fit", folder, "--k", 3, "--keys", "id", "--model", tmp_path / "m", "--workers", 0)
    assert ran.code == 3
    assert "damaged" in ran.error


def test_a_plan_takes_every_option_of_a_fit() -> None:
    names = {
        command: {name for one in commands.commands[command].params for name in one.opts}
        for command in ("fit", "plan")
    }
    assert names["fit"] <= names["plan"]


def test_a_plan_of_a_fit_with_all_options_writes_nothing(folder: Path, tmp_path: Path) -> None:
    ran = run(
        "plan", folder, "--k", 4, "--model", tmp_path / "model", "--output", tmp_path / "out",
        "--columns", "f2,f0", "--filter", "f0 > -50", "--filter", "id < 4000", "--weight", "w",
        "--keys", "id,text", "--scale", "minmax", "--init", "random", "--n-init", 2, "--seed", 7,
        "--max-iter", 6, "--tol", 0, "--dtype", "float64", "--block-bytes", 20_000,
        "--stage", "none", "--workers", 2, "--memory", "1GiB", "--json",
    )  # fmt: skip
    plan = ran.json
    assert plan["feature_names"] == ["f2", "f0"]
    assert plan["source_bytes"] <= column_chunk_bytes(folder, ["f2", "f0", "w", "id"])
    assert plan["blocks"] > 3
    assert plan["staged"] is False
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_the_fit_keeps_to_its_plan(folder: Path, tmp_path: Path) -> None:
    options = ("--k", 10, "--keys", "id,w", "--max-iter", 4, "--tol", 0, "--stage", "none")
    plan = run("plan", folder, *options, "--json").json
    fit = run("fit", folder, *options, "--model", tmp_path / "m", "--workers", 0, "--json").json
    assert fit["rows"] == plan["rows"]
    assert fit["n_features"] == plan["features"]
    assert fit["n_passes"] <= plan["most_passes"]
    assert fit["n_passes"] * plan["source_bytes"] <= fit["bytes_read"]
    # the pilot's mean reads a little ahead of the first pass
    assert fit["bytes_read"] <= plan["most_bytes_read"] + plan["source_bytes"]


def test_row_groups_that_a_filter_rules_out_are_not_planned(folder: Path) -> None:
    everything = run("plan", folder, "--k", 3, "--keys", "id", "--json").json
    few = run("plan", folder, "--k", 3, "--keys", "id", "--filter", "id < 400", "--json").json
    one_group = column_chunk_bytes(folder, ["f0", "f1", "f2", "f3", "w", "id"]) / 12
    assert few["source_bytes"] < 2 * one_group < everything["source_bytes"]


def test_memory_grows_with_blocks_and_clusters_and_not_with_the_data(folder: Path) -> None:
    def memory(*options: object) -> int:
        found = run("plan", folder, "--keys", "id", "--json", *options).json["task_bytes"]
        assert isinstance(found, int)
        return found

    small = memory("--k", 3, "--block-bytes", 10_000)
    assert small < memory("--k", 3, "--block-bytes", 40_000)
    assert small < memory("--k", 3000, "--block-bytes", 10_000)
    copy = folder / "more"
    copy.mkdir()
    for i in range(4):
        (copy / f"{i}.parquet").write_bytes((folder / "part-0.parquet").read_bytes())
    assert memory("--k", 3, "--block-bytes", 10_000) == small


def test_a_plan_is_printed_for_people(folder: Path) -> None:
    ran = run("plan", folder, "--k", 10, "--keys", "id")
    assert ran.code == 0
    for word in (
        "files",
        "rows",
        "features",
        "blocks",
        "passes",
        "memory",
        "5,000",
        "f0, f1, f2, f3",
    ):
        assert word in ran.out


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--k", 0), 2),
        (("--k", 3, "--init", "magic"), 2),
        (("--k", 3, "--columns", "nope"), 3),
        (("--k", 5001), 3),
        ((), 2),
    ],
)
def test_a_plan_refuses_what_the_fit_would(folder: Path, options: tuple, code: int) -> None:
    ran = run("plan", folder, "--keys", "id", *options)
    assert ran.code == code
    assert ran.out == ""
