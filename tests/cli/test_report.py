"""`dkmeans report`: the file, what is printed, what is refused, what is left out."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import dkmeans
from tests.cli.command import run
from tests.conftest import write_parquet


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    X = np.random.default_rng(0).normal(size=(300, 2)) + np.repeat([0, 9, 20], 100)[:, None]
    return write_parquet(tmp_path / "in", X, who=[f"person {i}" for i in range(300)])


@pytest.fixture
def model_url(tmp_path: Path, folder: Path) -> str:
    with dkmeans.read_parquet(str(folder)) as rows:
        found = dkmeans.sweep(rows, [2, 3], 1, random_state=0)
    found.save(str(tmp_path / "sweep"))
    return str(tmp_path / "sweep" / "k=3")


def test_writes_what_the_library_makes(tmp_path: Path, folder: Path, model_url: str) -> None:
    out, other = tmp_path / "report.html", tmp_path / "sweep" / "k=2"
    ran = run(
        "report", model_url, folder, "--out", out, "--keys", "who", "--against", other,
        "--title", "Three groups", "--workers", 0, "--json",
    )  # fmt: skip
    html = out.read_text()
    assert ran.json == {
        "report": str(out),
        "bytes": out.stat().st_size,
        "rows": 300,
        "passes": 2,
        "rows_shown": True,
        "rows_missing": 0,
        "skipped_files": [],
    }
    with dkmeans.read_parquet(str(folder), keys=["who"]) as rows:
        made = dkmeans.report(model_url, rows, against=str(other), title="Three groups").html
    assert _undated(made) == _undated(html)
    for told in ("Three groups", 'id="elbow"', "Before and after", "person "):
        assert told in html


def _undated(html: str) -> str:
    head, _, rest = html.partition("Written ")
    return head + rest[20:]


def test_rows_are_left_out_and_files_are_not_replaced(
    tmp_path: Path, folder: Path, model_url: str
) -> None:
    out = tmp_path / "report.html"
    arguments = ("report", model_url, folder, "--out", out, "--keys", "who", "--workers", 0)
    ran = run(*arguments, "--no-rows")
    assert ran.code == 0
    assert ran.out.startswith(f"report: {out} (")
    assert "300 rows, 2 passes" in ran.out
    assert "person " not in out.read_text()
    before = out.read_bytes()
    ran = run(*arguments)
    assert ran.code == 2
    assert "--overwrite" in ran.error
    assert "pass   1" not in ran.err
    assert out.read_bytes() == before
    assert run(*arguments, "--overwrite").code == 0
    assert "person " in out.read_text()


def test_what_was_left_out_is_told(tmp_path: Path, folder: Path, model_url: str) -> None:
    (folder / "part-9.parquet").write_bytes(b"no Parquet")
    table = pq.read_table(folder / "part-0.parquet").to_pandas()
    table.loc[3, "f0"] = np.nan
    table.to_parquet(folder / "part-0.parquet")
    out = tmp_path / "report.html"
    arguments = ("report", model_url, folder, "--out", out, "--workers", 0)
    ran = run(*arguments)
    assert (ran.code, out.exists()) == (3, False)
    ran = run(*arguments, "--missing", "drop", "--on-bad-file", "skip")
    assert ran.code == 4
    assert "left out: 1 rows that lack a value" in ran.out
    text = out.read_text().replace("<wbr>", "")
    assert "1 rows that lack a value" in text
    assert "part-9.parquet" in text


def test_an_interrupt_leaves_nothing(
    tmp_path: Path, folder: Path, model_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dkmeans.storage import atomic

    def interrupted(path: Path) -> None:
        assert path.stat().st_size > 50_000
        raise KeyboardInterrupt

    out = tmp_path / "out"
    monkeypatch.setattr(atomic, "sync", interrupted)
    ran = run("report", model_url, folder, "--out", out / "report.html", "--workers", 0)
    assert ran.code == 130
    assert list(out.iterdir()) == []


def test_refusals(tmp_path: Path, folder: Path, model_url: str) -> None:
    out = ("--out", tmp_path / "report.html", "--workers", 0)
    assert run("report", model_url, folder).code == 2
    assert run("report", tmp_path / "none", folder, *out).code == 3
    assert run("report", model_url, folder, *out, "--against", tmp_path / "none").code == 3
    assert run("report", model_url, folder, *out, "--sweep", tmp_path / "none").code == 3
    assert run("report", model_url, folder, *out, "--seed", -1).code == 2
    other = tmp_path / "other"
    dkmeans.KMeans(1).fit(np.zeros((5, 7))).model_.save(str(other))
    ran = run("report", model_url, folder, *out, "--against", other)
    assert ran.code == 3
    assert "7 features" in ran.error
    assert not (tmp_path / "report.html").exists()
