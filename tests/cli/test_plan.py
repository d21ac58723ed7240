"""`dkmeans plan`: what a fit will do, from the footers alone."""

import re
from pathlib import Path

import click
import dask
import numpy as np
import pyarrow.parquet as pq
import pytest

from dkmeans.cli.main import commands
from dkmeans.rows.engine import LocalEngine
from dkmeans.rows.staging import Room
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


def test_a_plan_takes_every_option_of_a_fit_and_a_sweep() -> None:
    names = {}
    for name in ("fit", "sweep", "plan"):
        command = commands.get_command(click.Context(commands), name)
        names[name] = {option for one in command.params for option in one.opts}
    assert names["fit"] | names["sweep"] <= names["plan"]


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
    assert (plan["stage"], plan["stage_reason"]) == ("none", "none (as asked)")
    assert plan["pass_seconds"] is plan["most_seconds"] is None
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_the_fit_keeps_to_its_plan(folder: Path, tmp_path: Path) -> None:
    options = ("--k", 10, "--keys", "id,w", "--max-iter", 4, "--tol", 0, "--stage", "none")
    plan = run("plan", folder, *options, "--json").json
    fit = run("fit", folder, *options, "--model", tmp_path / "m", "--workers", 0, "--json").json
    assert fit["rows"] == plan["rows"]
    assert fit["n_features"] == plan["features"]
    assert fit["n_passes"] <= plan["most_passes"]
    assert fit["n_passes"] * plan["source_bytes"] <= fit["bytes_read"] <= plan["most_bytes_read"]


@pytest.mark.parametrize("stage", ["memory", "disk"])
def test_a_fit_that_keeps_its_blocks_reads_the_source_once_as_planned(
    folder: Path, tmp_path: Path, stage: str
) -> None:
    options = ("--k", 10, "--keys", "id,w", "--max-iter", 4, "--tol", 0, "--stage", stage)
    plan = run("plan", folder, *options, "--json").json
    fit = run("fit", folder, *options, "--model", tmp_path / "m", "--workers", 0, "--json").json
    assert plan["stage"] == stage
    assert 1 < fit["n_passes"] <= plan["most_passes"]
    assert fit["bytes_read"] == plan["most_bytes_read"] == plan["source_bytes"]


def planned_and_swept(folder: Path, tmp_path: Path, *options: object) -> tuple[dict, dict]:
    # so few iterations are made whatever they find
    options = ("--k", "2:5,8", "--keys", "id,w", "--max-iter", 1, "--tol", 0, *options)
    plan = run("plan", folder, *options, "--json").json
    more = ("--model", tmp_path / "m", "--workers", 0, "--json")
    return plan, run("sweep", folder, *options, *more).json


CORESET = ("--init", "coreset", "--coreset-size", 1000)


def test_the_plan_of_a_sweep_counts_its_passes(folder: Path, tmp_path: Path) -> None:
    plan, sweep = planned_and_swept(folder, tmp_path, *CORESET, "--stage", "none")
    # read, iteration, final assignment, figures; a second read, if the pilot had misled
    assert sweep["passes"] == plan["most_passes"] - 1 == 1 + 1 + 1 + 1
    # the pilot looks at one row group: of 12 the one in the middle
    pilot = pq.read_metadata(folder / "part-1.parquet").row_group(2)
    columns = [pilot.column(i) for i in range(pilot.num_columns)]
    looked_at = sum(
        column.total_compressed_size for column in columns if column.path_in_schema.startswith("f")
    )
    assert sweep["bytes_read"] == 4 * plan["source_bytes"] + looked_at
    assert plan["most_bytes_read"] == sweep["bytes_read"] + plan["source_bytes"]


@pytest.mark.parametrize("stage", ["memory", "disk"])
@pytest.mark.parametrize("init", [CORESET, ("--init", "k-means||")])
def test_a_sweep_that_keeps_its_blocks_reads_the_source_once_as_planned(
    folder: Path, tmp_path: Path, init: tuple, stage: str
) -> None:
    plan, sweep = planned_and_swept(folder, tmp_path, *init, "--stage", stage)
    assert plan["stage"] == stage
    assert 2 < sweep["passes"] <= plan["most_passes"]
    assert sweep["bytes_read"] == plan["most_bytes_read"] == plan["source_bytes"]


def test_the_fit_from_a_coreset_keeps_to_its_plan(folder: Path, tmp_path: Path) -> None:
    def planned_and_fitted(size: int) -> tuple[dict, dict]:
        options = ("--k", 10, "--keys", "id,w", "--max-iter", 1, "--tol", 0, "--stage", "none")
        options = (*options, "--init", "coreset", "--coreset-size", size)
        model = tmp_path / f"{size}"
        plan = run("plan", folder, *options, "--json").json
        return plan, run("fit", folder, *options, "--model", model, "--workers", 0, "--json").json

    plan, fit = planned_and_fitted(1000)
    # a second read would be made if the pilot had misled
    assert fit["n_passes"] == plan["most_passes"] - 1 == 1 + 1 + 1
    assert 0 < plan["most_bytes_read"] - 4 * plan["source_bytes"] < plan["source_bytes"] / 8
    assert fit["bytes_read"] == plan["most_bytes_read"] - plan["source_bytes"]
    # all rows are the coreset: only a point to measure from is looked for, among the first
    plan, fit = planned_and_fitted(5000)
    assert fit["n_passes"] <= plan["most_passes"] == 1 + 1 + 1
    assert fit["bytes_read"] <= plan["most_bytes_read"]


def test_one_k_is_a_fit_and_several_are_a_sweep(folder: Path) -> None:
    def planned(*options: object) -> dict:
        return run("plan", folder, "--keys", "id,w", *CORESET, *options, "--json").json

    fit, sweep = planned("--k", 60), planned("--k", "2:60")
    assert sweep["most_passes"] == fit["most_passes"] + 1
    assert sweep["source_bytes"] == fit["source_bytes"]
    assert sweep["task_bytes"] > fit["task_bytes"]
    # the restarts of a sweep are three, as the command has it
    scalable = ("--init", "k-means||", "--n-init")
    three, one = (
        run(
            "plan", folder, "--keys", "id,w", "--k", "5,9", *more, "--baseline", "no", "--json"
        ).json["task_bytes"]
        for more in (scalable[:2], (*scalable, 1))
    )
    assert three > one


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--k", "9:2"), "write 2:9"),
        (("--k", "2:9", "--algorithm", "minibatch"), "with --algorithm lloyd only"),
        (("--k", "2:9", "--init", "magic"), "is not known"),
    ],
)
def test_what_is_no_sweep_is_no_plan(folder: Path, options: tuple, words: str) -> None:
    ran = run("plan", folder, "--keys", "id", *options)
    assert (ran.code, ran.out) == (2, "")
    assert words in ran.err


def test_auto_decides_by_the_memory_that_workers_will_have(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def planned(memory: str, disk_bytes: int) -> dict:
        room = Room(0, disk_bytes)
        monkeypatch.setattr(LocalEngine, "room", lambda self: room)
        options = ("--k", 3, "--keys", "id,w", "--workers", 2, "--memory", memory)
        return run("plan", folder, *options, "--json").json

    roomy = planned("1GiB", 0)
    assert roomy["stage"] == "memory"
    # two workers have a little more than their idle processes: the rows take 80 000 bytes
    for disk_bytes, stage in ((10**9, "disk"), (10**4, "none")):
        tight = planned(f"{140 * 2**20 + roomy['task_bytes'] + 1}B", disk_bytes)
        expected = "memory" if roomy["task_bytes"] >= roomy["decoded_bytes"] else stage
        assert tight["stage"] == expected
        assert tight["stage_reason"].startswith(f"{expected} (decoded rows 0 MB; half of the free")


def test_workers_that_are_too_small_are_refused_with_the_remedy(folder: Path) -> None:
    ran = run("plan", folder, "--k", 3, "--keys", "id,w", "--workers", 2, "--memory", "141MiB")
    assert ran.code == 3
    assert re.search(r"a task takes [\d,]+ MB \(its largest row group has 0 MB stored\)", ran.error)
    assert "use workers with more memory or fewer threads, smaller block_bytes" in ran.error


def test_a_measured_plan_tells_seconds_and_reads_one_block_at_most(folder: Path) -> None:
    options = ("--k", 10, "--keys", "id,w", "--block-bytes", 4000, "--workers", 2)
    plain = run("plan", folder, *options, "--json").json
    measured = run("plan", folder, *options, "--measure", "--json").json
    seconds = {"pass_seconds", "staged_pass_seconds", "most_seconds"}
    # what is free changes meanwhile
    changing = seconds | {"stage_reason"}
    assert {key: measured[key] for key in plain if key not in changing} == {
        key: plain[key] for key in plain if key not in changing
    }
    assert all(plain[key] is None for key in seconds)
    assert all(measured[key] > 0 for key in seconds)
    later = measured["staged_pass_seconds"] * (measured["most_passes"] - 1)
    assert measured["most_seconds"] == pytest.approx(measured["pass_seconds"] + later)
    printed = run("plan", folder, *options, "--measure").out
    assert re.search(
        r"^seconds +[\d.,]+ s a pass, [\d.,]+ s later; at most [\d,]+ s$", printed, re.M
    )
    assert "seconds" not in run("plan", folder, *options).out


def test_measuring_reads_the_first_block_and_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    options = ("--k", 3, "--keys", "id,w", "--stage", "disk", "--block-bytes", 4000)
    with dask.config.set({"temporary-directory": str(tmp_path / "t")}):
        assert run("plan", folder, *options, "--measure", "--json").json["blocks"] > 8
        assert not list((tmp_path / "t").rglob("dkmeans-blocks-*/[0-9]*"))
    wipe_pages(folder)
    ran = run("plan", folder, *options, "--measure")
    assert ran.code == 3
    assert "damaged" in ran.error


def test_a_plan_of_a_sample_is_of_what_the_sample_reads(blobs, tmp_path: Path) -> None:
    folder = write_parquet(tmp_path / "in", blobs[0], row_group_rows=100)
    options = ("--k", 3, "--max-iter", 2, "--tol", 0, "--stage", "none")
    more = ("--block-bytes", 2000, "--sample", 0.2)
    whole = run("plan", folder, *options, "--block-bytes", 2000, "--json").json
    plan = run("plan", folder, *options, *more, "--json").json
    fit = run("fit", folder, *options, *more, "--model", tmp_path / "m", "--workers", 0, "--json")
    assert plan["source_bytes"] < whole["source_bytes"]
    assert plan["blocks"] < whole["blocks"]
    assert fit.json["bytes_read"] <= plan["most_bytes_read"]


def test_what_cannot_be_a_sample_or_a_budget_is_refused_by_a_plan_too(folder: Path) -> None:
    for option in ("--sample=0", "--sample=1.5", "--max-passes=0", "--max-bytes=-1"):
        ran = run("plan", folder, "--k", 3, "--keys", "id,w", option)
        assert (ran.code, ran.out) == (2, ""), option


def test_row_groups_that_a_filter_rules_out_are_not_planned(folder: Path) -> None:
    everything = run("plan", folder, "--k", 3, "--keys", "id", "--json").json
    few = run("plan", folder, "--k", 3, "--keys", "id", "--filter", "id < 400", "--json").json
    one_group = column_chunk_bytes(folder, ["f0", "f1", "f2", "f3", "w", "id"]) / 12
    assert few["source_bytes"] < 2 * one_group < everything["source_bytes"]


def test_memory_grows_with_blocks_and_clusters_and_not_with_the_data(folder: Path) -> None:
    def memory(*options: object) -> int:
        plan = ("plan", folder, "--keys", "id", "--baseline", "no", "--json")
        found = run(*plan, *options).json["task_bytes"]
        assert isinstance(found, int)
        return found

    small = memory("--k", 3, "--block-bytes", 10_000)
    assert small < memory("--k", 3, "--block-bytes", 40_000)
    assert small < memory("--k", 3000, "--block-bytes", 10_000)
    copy = folder / "more"
    copy.mkdir()
    for i in range(4):
        (copy / f"{i}.parquet").write_bytes((folder / "part-0.parquet").read_bytes())
    # but for the footers that are kept, a few KiB each and never more than some MiB
    assert small <= memory("--k", 3, "--block-bytes", 10_000) < small + 4 * 100_000


def test_a_plan_is_printed_for_people(folder: Path) -> None:
    ran = run("plan", folder, "--k", 10, "--keys", "id")
    assert ran.code == 0
    words = (
        "files", "rows", "features", "source", "decoded", "stage", "blocks", "passes", "memory",
        "5,000", "f0, f1, f2, f3", "tasks a pass", "half of the free memory",
    )  # fmt: skip
    for word in words:
        assert word in ran.out
    ran = run("plan", folder, "--k", 10, "--keys", "id", "--stage", "disk")
    assert re.search(r"; local disks: 0\.\d MB written, at most [\d.]+ MB read$", ran.out, re.M)


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
