"""Reports of several models, made once, and a browser to look at them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dkmeans
from dkmeans.models.model import Model
from tests.reports import browser
from tests.reports.browser import Page

HOSTILE = "<script>alert(1)</script>"
QUOTED = "\"'&<b>`é"


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A tab of a browser."""
    if browser.found() is None:
        pytest.skip(f"no browser: install one of {', '.join(browser.NAMES)}")
    with browser.browser(tmp_path_factory.mktemp("profile")) as found:
        yield found.page()


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reports")


@pytest.fixture(scope="session")
def hostile(folder: Path) -> Path:
    """Three blobs whose columns, keys, clusters and folder have names that break out of HTML."""
    rng = np.random.default_rng(0)
    centers = np.array([[0.0, 0.0], [9.0, 1.0], [3.0, 9.0]])
    X = centers[np.repeat([0, 1, 2], [300, 200, 100])] + rng.normal(size=(600, 2))
    place = folder / "<img src=x onerror=alert(2)>"
    place.mkdir()
    table = pa.table(
        {HOSTILE: X[:, 0], QUOTED: X[:, 1], "who": [f"</script>{i}" for i in range(600)]}
    )
    pq.write_table(table, place / "rows.parquet", row_group_size=100)
    return place / "rows.parquet"


def rows_of(path: Path) -> dkmeans.Rows:
    return dkmeans.read_parquet(str(path), columns=[HOSTILE, QUOTED], keys=["who"])


@pytest.fixture(scope="session")
def model(hostile: Path) -> Model:
    with rows_of(hostile) as rows:
        found = dkmeans.KMeans(3, scale="standard", random_state=0).fit(rows).model_
        found = dkmeans.with_baseline(found, rows)
    return found.renamed({0: HOSTILE, 1: QUOTED}, colors={2: "#123456"})


@pytest.fixture(scope="session")
def one_before(hostile: Path) -> Model:
    """A model in which two of the clusters are one still."""
    with rows_of(hostile) as rows:
        return dkmeans.KMeans(2, scale="standard", random_state=0).fit(rows).model_


@pytest.fixture(scope="session")
def hostile_report(folder: Path, hostile: Path, model: Model, one_before: Model) -> Path:
    path = folder / "hostile.html"
    with rows_of(hostile) as rows:
        dkmeans.report(model, rows, out=str(path), against=one_before)
    return path


@pytest.fixture(scope="session")
def credit_report(folder: Path, oracle_data: Path) -> Path:
    """Twelve clusters of customers, with a sweep."""
    path = folder / "credit.html"
    source = str(oracle_data / "credit_card_customers.parquet")
    with dkmeans.read_parquet(source, keys=["customer_id"], missing="mean") as rows:
        found = dkmeans.sweep(rows, [4, 8, 12], 1, scale="standard", random_state=0)
        model = found.models[12].renamed({3: "heavy spenders"})
        dkmeans.report(model, rows, out=str(path), sweep=found, against=found.models[8])
    return path


@pytest.fixture(scope="session")
def demo_report(folder: Path) -> Path:
    """What the demo fits, by its command."""
    from tests.cli.command import run

    ran = run("demo", "--out", folder / "demo", "--workers", 0)
    assert ran.code == 0, ran.err
    path = folder / "demo.html"
    model, pixels = folder / "demo" / "model", folder / "demo" / "pixels"
    ran = run("report", model, pixels, "--out", path, "--workers", 0, "--no-rows")
    assert ran.code == 0, ran.err
    return path


@pytest.fixture(scope="session")
def wide_report(folder: Path) -> Path:
    """A hundred clusters of two hundred features with long names."""
    rng = np.random.default_rng(0)
    centers = rng.normal(scale=3, size=(100, 200))
    X = centers[np.arange(3000) % 100] + rng.normal(size=(3000, 200))
    names = [f"a rather long name of a feature, the one of number {j}" for j in range(200)]
    model = dkmeans.KMeans(100, init=centers, max_iter=2, tol=0.1)
    table = pa.table(dict(zip(names, X.astype(np.float32).T, strict=True)))
    path = folder / "wide.html"
    with dkmeans.Rows.from_array(table) as rows:
        fitted = dkmeans.with_baseline(model.fit(rows).model_, rows)
        dkmeans.report(fitted, rows, out=str(path))
    return path
