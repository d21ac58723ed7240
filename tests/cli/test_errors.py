"""What bad input gets at the command line: one line with the remedy, and its exit code."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dkmeans
from tests.cli.command import Ran, run, run_apart
from tests.conftest import write_parquet

X = np.random.default_rng(0).normal(size=(300, 2))


def good(folder: Path, **columns: object) -> Path:
    """Three files of 100 rows in row groups of 40."""
    return write_parquet(folder, X, n_files=3, row_group_rows=40, **columns)


def fit(folder: object, *options: object, k: int = 3) -> Ran:
    place = Path(str(folder)).parent / "model"
    return run("fit", folder, "--k", k, "--model", place, "--workers", 0, *options)


def refused(ran: Ran, code: int, *words: str) -> None:
    assert ran.code == code, ran.err
    for word in words:
        assert word in ran.error


def test_a_path_where_nothing_is(tmp_path: Path) -> None:
    refused(fit(tmp_path / "nope"), 3, "nope", "does not exist", "check the path")


def test_a_glob_that_matches_nothing(tmp_path: Path) -> None:
    good(tmp_path / "in")
    refused(fit(f"{tmp_path}/in/*.pq"), 3, "no Parquet files", "*.pq")


def test_a_folder_without_parquet(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    refused(fit(tmp_path / "in"), 3, "no Parquet files", "in")
    (tmp_path / "in" / "a.csv").write_text("a,b\n1,2\n")
    refused(fit(tmp_path / "in"), 3, "no Parquet files", "a.csv")


def test_a_file_that_is_not_parquet(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("a,b\n1,2\n3,4\n5,6\n")
    refused(fit(tmp_path / "a.parquet"), 3, "a.parquet", "not a Parquet file")


def test_all_damaged_files_are_named_and_none_is_read(tmp_path: Path) -> None:
    folder = good(tmp_path / "in")
    whole = (folder / "part-1.parquet").read_bytes()
    (folder / "part-1.parquet").write_bytes(whole[: len(whole) // 2])
    (folder / "part-2.parquet").write_bytes(b"")
    (folder / "part-3.parquet").write_text("not Parquet at all")
    ran = fit(folder)
    refused(
        ran, 3, "part-1.parquet is truncated", "part-2.parquet", "part-3.parquet", "not a Parquet"
    )
    assert "part-0" not in ran.error
    assert "pass " not in ran.err


def test_a_damaged_page_names_its_file_and_row_group(tmp_path: Path) -> None:
    folder = good(tmp_path / "in")
    path = folder / "part-2.parquet"
    start = pq.read_metadata(path).row_group(1).column(0).dictionary_page_offset
    whole = bytearray(path.read_bytes())
    whole[start : start + 60] = b"\xff" * 60
    path.write_bytes(whole)
    refused(fit(folder), 3, "part-2.parquet (row group 1)", "damaged", "write the file again")


@pytest.mark.parametrize(
    ("marker", "word"),
    [("_delta_log/00000000000000000000.json", "Delta"), ("metadata/v1.metadata.json", "Iceberg")],
)
def test_a_table_whose_log_decides_which_rows_count(tmp_path: Path, marker: str, word: str) -> None:
    folder = good(tmp_path / "in")
    (folder / marker).parent.mkdir()
    (folder / marker).write_text("{}")
    refused(fit(folder), 3, word, "deleted rows", "pass the list")


def test_a_column_that_some_files_lack(tmp_path: Path) -> None:
    folder = good(tmp_path / "in")
    for name in ("part-1.parquet", "part-2.parquet"):
        table = pq.read_table(folder / name).drop_columns("f1")
        pq.write_table(table, folder / name)
    refused(fit(folder), 3, "'f1'", "missing", "part-1.parquet", "part-2.parquet")


def test_a_column_that_has_another_type_in_some_files(tmp_path: Path) -> None:
    folder = good(tmp_path / "in")
    table = pq.read_table(folder / "part-2.parquet")
    text = table["f1"].cast(pa.string())
    pq.write_table(table.set_column(1, "f1", text), folder / "part-2.parquet")
    refused(fit(folder), 3, "'f1'", "string", "double", "part-2.parquet")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "1 nulls"),
        (np.nan, "1 NaN"),
        (np.inf, "1 infinite"),
        (-np.inf, "1 infinite"),
        (1e300, "1 huge"),
    ],
)
def test_a_value_that_cannot_be_used_is_placed_and_counted(
    tmp_path: Path, value: float | None, words: str
) -> None:
    values: list[float | None] = X[:, 0].tolist()
    values[250] = value
    folder = good(tmp_path / "in", amount=values)
    refused(fit(folder), 3, "'amount'", "part-2.parquet", "row group 1", words)
    assert not (tmp_path / "model").exists()


def test_nulls_of_every_file_are_counted_at_planning(tmp_path: Path) -> None:
    values: list[float | None] = X[:, 0].tolist()
    values[5] = values[6] = values[299] = None
    ran = fit(good(tmp_path / "in", amount=values))
    refused(
        ran,
        3,
        "part-0.parquet (row group 0) has 2 nulls",
        "part-2.parquet (row group 2) has 1 nulls",
    )
    assert "pass   1" not in ran.err


@pytest.mark.parametrize(
    ("options", "k", "code", "words"),
    [
        ((), 0, 2, ["n_clusters=0"]),
        ((), -1, 2, ["n_clusters=-1"]),
        ((), 301, 3, ["n_clusters=301", "300"]),
        (("--max-iter", 0), 3, 2, ["max_iter=0"]),
        (("--n-init", 0), 3, 2, ["n_init=0"]),
        (("--tol", -1), 3, 2, ["tol=-1"]),
        (("--tol", "nan"), 3, 2, ["tol=nan"]),
        (("--init", "magic"), 3, 2, ["init='magic'", "k-means||"]),
        (("--block-bytes", 0), 3, 2, ["block_bytes=0"]),
        (("--columns", "f0,nope"), 3, 3, ["'nope'", "f0, f1"]),
        (("--columns", ""), 3, 3, ["names no column"]),
        (("--columns", "name"), 3, 3, ["'name'", "string"]),
        (("--weight", "nope"), 3, 3, ["weight column 'nope'"]),
        (("--weight", "name"), 3, 3, ["weight column 'name'", "string"]),
        (("--keys", "nope"), 3, 3, ["key column 'nope'"]),
        (("--keys", "f0,f1"), 3, 3, ["no column", "numbers"]),
        (("--filter", "f0 ? 3"), 3, 2, ["'f0 ? 3'", "amount > 0"]),
        (("--filter", "nope > 3"), 3, 2, ["'nope'"]),
        (("--filter", "name > 3"), 3, 2, ["name > 3"]),
        (("--filter", "f0 in 3"), 3, 2, ["f0 in 3"]),
        (("--filter", "f0 > 1000"), 3, 3, ["passes the filters"]),
        (("--filter", "f0 > 0", "--filter", "f0 < 0"), 3, 3, ["n_clusters=3", "0"]),
        (("--memory", "lots", "--workers", "1"), 3, 2, ["'lots'", "4GiB"]),
        (("--workers", "-1"), 3, 2, ["workers=-1"]),
    ],
    ids=str,
)
def test_an_option_that_cannot_be(
    tmp_path: Path, options: tuple, k: int, code: int, words: list[str]
) -> None:
    folder = good(tmp_path / "in", name=["x"] * 300)
    refused(fit(folder, *options, k=k), code, *words)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--scale", "cubic"), "cubic"),
        (("--stage", "tape"), "tape"),
        (("--dtype", "int8"), "int8"),
        (("--magic",), "--magic"),
        (("--k", "many"), "many"),
        (("--storage-option", "endpoint"), "KEY=VALUE"),
        (("--storage-option", "a=1", "--storage-option", "a.b=2"), "'a'"),
        (("--scheduler", "tcp://127.0.0.1:1"), "--scheduler goes without"),
    ],
)
def test_wrong_usage_is_said_as_usage(tmp_path: Path, options: tuple, word: str) -> None:
    ran = fit(good(tmp_path / "in"), *options)
    assert ran.code == 2
    assert word in ran.err.strip().splitlines()[-1]
    assert "Traceback" not in ran.err
    assert ran.out == ""


def test_tls_needs_all_three_files(tmp_path: Path) -> None:
    ran = run(
        "fit", good(tmp_path / "in"), "--k", 3, "--model", tmp_path / "model",
        "--scheduler", "tls://127.0.0.1:1", "--tls-ca", "ca.pem",
    )  # fmt: skip
    refused(ran, 2, "--tls-cert", "--tls-key")


@pytest.mark.parametrize("given", ["cert.pem", __file__])
def test_tls_files_that_cannot_be_used(tmp_path: Path, given: str) -> None:
    files = [("--tls-ca", given), ("--tls-cert", given), ("--tls-key", given)]
    ran = run(
        "fit", good(tmp_path / "in"), "--k", 3, "--model", tmp_path / "model",
        "--scheduler", "tls://127.0.0.1:1", *(word for pair in files for word in pair),
    )  # fmt: skip
    refused(ran, 2, "tls", given)


def test_no_rows_at_all(tmp_path: Path) -> None:
    refused(fit(write_parquet(tmp_path / "in", X[:0], n_files=2)), 3, "no rows")


def test_files_and_row_groups_without_rows_among_good_ones_are_fine(tmp_path: Path) -> None:
    folder = good(tmp_path / "in")
    table = pq.read_table(folder / "part-0.parquet")
    pq.write_table(table.slice(0, 0), folder / "a-empty.parquet")
    with pq.ParquetWriter(folder / "part-0.parquet", table.schema) as writer:
        for part in (table.slice(0, 0), table.slice(0, 60), table.slice(0, 0), table.slice(60)):
            writer.write_table(part)
    ran = fit(folder, "--json")
    assert ran.json["rows"] == 300


def test_a_constant_column_is_warned_of(tmp_path: Path) -> None:
    ran = fit(good(tmp_path / "in", flat=[7] * 300))
    assert ran.code == 0
    (warning,) = [line for line in ran.err.splitlines() if "warning" in line]
    assert "'flat'" in warning
    assert "scale 1" in warning
    assert dkmeans.Model.load(str(tmp_path / "model")).scaling.factor[2] == 1


def test_fewer_distinct_rows_than_clusters_are_warned_of(tmp_path: Path) -> None:
    folder = write_parquet(tmp_path / "in", np.repeat(np.eye(2) * [[3], [9]], 50, axis=0))
    ran = fit(folder, k=5)
    assert ran.code == 0
    assert "distinct clusters (2) found smaller than n_clusters (5)" in ran.err


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({0: -1.0, 299: -2.0}, ["'w'", "part-0.parquet", "row group 0", "1 negative"]),
        ({299: np.nan}, ["'w'", "part-2.parquet", "row group 2", "1 NaN"]),
        ({150: np.inf}, ["'w'", "part-1.parquet", "row group 1", "1 infinite"]),
        ({150: None}, ["'w'", "part-1.parquet", "row group 1", "1 null"]),
        (dict.fromkeys(range(300), 0.0), ["weights are zero"]),
    ],
    ids=["negative", "nan", "infinite", "null", "all zero"],
)
def test_weights_that_cannot_be(tmp_path: Path, bad: dict, words: list[str]) -> None:
    weights: list[float | None] = [bad.get(i, 1.0) for i in range(300)]
    refused(fit(good(tmp_path / "in", w=weights), "--weight", "w"), 3, *words)


def test_a_url_of_an_unknown_kind(tmp_path: Path) -> None:
    refused(fit("gopher://lake/in"), 2, "gopher://lake/in")
    ran = run("fit", good(tmp_path / "in"), "--k", 3, "--model", "gopher://m", "--workers", 0)
    refused(ran, 2, "gopher://m")


def test_a_place_that_cannot_be_written_to(tmp_path: Path) -> None:
    folder = good(tmp_path / "in")
    (tmp_path / "file").write_text("mine")
    ran = run("fit", folder, "--k", 3, "--model", tmp_path / "file" / "model", "--workers", 0)
    refused(ran, 7, str(tmp_path / "file" / "model"))


def test_the_output_may_not_lie_on_the_input(tmp_path: Path) -> None:
    folder = good(tmp_path / "in")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    refused(fit(folder, "--output", folder, "--overwrite"), 2, "in")
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.fixture
def model(tmp_path: Path) -> Path:
    dkmeans.KMeans(3, random_state=0).fit(pa.table({"f0": X[:, 0], "f1": X[:, 1]})).model_.save(
        str(tmp_path / "model")
    )
    return tmp_path / "model"


def change_format(model: Path) -> None:
    body = json.loads((model / "model.json").read_text())
    (model / "model.json").write_text(json.dumps({**body, "format": 99}))


def change_byte(model: Path) -> None:
    path = next(model.glob("weights-*"))
    path.write_bytes(path.read_bytes()[:-1] + b"!")


def change_index(model: Path) -> None:
    text = (model / "model.json").read_text()
    (model / "model.json").write_text(text.replace('"rows": 300', '"rows": 301'))


def remove(model: Path) -> None:
    (model / "model.json").unlink()


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (change_format, ["format 99", "reads format 3", "version that wrote it"]),
        (change_byte, ["damaged", "weights-"]),
        (change_index, ["damaged", "model.json"]),
        (remove, ["no model", "check the path"]),
    ],
)
def test_a_model_that_cannot_be_believed(
    model: Path, tmp_path: Path, harm: Callable[[Path], None], words: list[str]
) -> None:
    folder = good(tmp_path / "in")
    harm(model)
    refused(run("inspect", model), 3, *words)
    refused(run("predict", model, folder, tmp_path / "out", "--workers", 0), 3, *words)
    assert not (tmp_path / "out").exists()


def test_an_error_in_a_process_of_its_own_is_one_line(tmp_path: Path) -> None:
    values = X[:, 0].copy()
    values[299] = np.nan
    folder = good(tmp_path / "in", amount=values)
    ran = run_apart(
        "fit", folder, "--k", 3, "--model", tmp_path / "model", "--workers", 0, "--json"
    )
    refused(ran, 3, "'amount'", "part-2.parquet", "row group 2", "1 NaN")


def test_an_error_on_a_worker_is_the_same_line(tmp_path: Path) -> None:
    values = X[:, 0].copy()
    values[299] = np.nan
    folder = good(tmp_path / "in", amount=values)
    job = ("fit", folder, "--k", 3, "--model", tmp_path / "model", "--memory", "1GiB")
    ran = run_apart(*job, "--workers", 1)
    refused(ran, 3, "'amount'", "part-2.parquet", "row group 2", "1 NaN")
    assert ran.error == run(*job, "--workers", 0).error
