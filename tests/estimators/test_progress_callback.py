"""`ProgressCallback` in a notebook, in a stub of one, and as lines of text."""

import io
import sys
import types
import xml.etree.ElementTree as ElementTree

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from sklearn.base import clone

from dkmeans import KMeans, ProgressCallback
from dkmeans.errors import BadValues

X = np.random.default_rng(0).uniform(size=(2000, 3))


class Handle:
    """One output of a notebook."""

    def __init__(self, shown):
        self.shown = [shown]

    def update(self, shown):
        self.shown.append(shown)


@pytest.fixture
def outputs(monkeypatch):
    """The outputs that a stub of a notebook's kernel is asked for."""
    handles = []

    def display(shown, display_id):
        assert display_id
        handles.append(Handle(shown))
        return handles[-1]

    stub, stub_display = types.ModuleType("IPython"), types.ModuleType("IPython.display")
    stub.get_ipython = lambda: types.SimpleNamespace(kernel=object())
    stub_display.display = display
    monkeypatch.setitem(sys.modules, "IPython", stub)
    monkeypatch.setitem(sys.modules, "IPython.display", stub_display)
    return handles


def parsed(html):
    return ElementTree.fromstring(f"<body>{html}</body>")


def test_a_notebook_gets_one_output_that_is_brought_up_to_date(outputs):
    model = KMeans(5, init="k-means||", random_state=0, callbacks=[ProgressCallback()]).fit(X)
    (output,) = outputs
    assert len(output.shown) == 1 + model.n_passes_ + 1
    body = parsed(output.shown[-1]._repr_html_())
    assert body.find("div").text == repr(output.shown[-1])
    assert repr(output.shown[-1]).startswith(f"converged: inertia {model.inertia_:.6g}")
    rows = [[cell.text or "" for cell in row] for row in body.iterfind("table/tbody/tr")]
    assert len(rows) == min(12, model.n_passes_)
    for row, record in zip(rows, model.history_[-len(rows) :], strict=True):
        assert row[1] == record["kind"]
        assert row[2] == ("" if record["inertia"] is None else f"{record['inertia']:.6g}")
        assert row[4:] == ["2,000", f"{record['seconds']:.2f}"]
    assert rows[-1][0] == str(model.n_passes_)


def test_the_line_falls_with_the_inertia(outputs):
    model = KMeans(5, init="k-means||", random_state=0, callbacks=[ProgressCallback()]).fit(X)
    line = parsed(outputs[0].shown[-1]._repr_html_()).find("svg/polyline")
    points = [tuple(map(float, pair.split(","))) for pair in line.get("points").split()]
    assert len(points) == sum(record["inertia"] is not None for record in model.history_)
    # down is where y grows
    assert points == sorted(points)
    assert [y for _, y in points] == sorted(y for _, y in points)
    assert {points[0][1], points[-1][1]} == {2.0, 34.0}
    assert parsed(outputs[0].shown[0]._repr_html_()).find("svg") is None


def test_each_fit_gets_an_output_of_its_own(outputs):
    model = KMeans(5, init="k-means||", random_state=0, max_iter=1, callbacks=[ProgressCallback()])
    first, second = model.fit(X).n_passes_, model.fit(X).n_passes_
    assert [len(output.shown) for output in outputs] == [first + 2, second + 2]
    assert repr(outputs[0].shown[-1]) == repr(outputs[1].shown[-1])


@pytest.mark.parametrize(
    ("settings", "last"),
    [
        ({"max_iter": 1}, "stopped by max_iter: "),
        ({"callbacks": [lambda event: True]}, "stopped by callback: "),
        ({}, "converged: "),
    ],
)
def test_the_end_is_said(settings, last):
    out = io.StringIO()
    callbacks = [ProgressCallback(out), *settings.pop("callbacks", [])]
    model = KMeans(5, init="k-means||", random_state=0, **settings, callbacks=callbacks).fit(X)
    assert out.getvalue().splitlines()[-1] == (
        f"{last}inertia {model.inertia_:.6g}, {model.n_passes_} passes"
    )


def test_a_clone_writes_to_the_same_stream(tmp_path):
    with (tmp_path / "lines").open("w+") as out:
        model = clone(
            KMeans(5, init="k-means||", random_state=0, callbacks=[ProgressCallback(out)])
        )
        model.fit(X)
        out.seek(0)
        assert len(out.readlines()) == 1 + model.n_passes_ + 1


def test_a_failure_is_said():
    out = io.StringIO()
    with pytest.raises(BadValues):
        KMeans(5, init="k-means||", callbacks=[ProgressCallback(out)]).fit(
            np.where(X < 0.1, np.nan, X)
        )
    assert out.getvalue().splitlines() == ["5 clusters", "failed: BadValues"]


def test_without_a_notebook_each_pass_is_a_line_on_standard_error(capsys):
    model = KMeans(5, init="k-means||", random_state=0, callbacks=[ProgressCallback()]).fit(X)
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert len(lines) == 1 + model.n_passes_ + 1
    for number, (line, record) in enumerate(zip(lines[1:], model.history_, strict=False), 1):
        assert line.startswith(f"pass {number:>3}  {record['kind']} ")
        assert (f"inertia {record['inertia'] or 0:.6g}" in line) == (record["inertia"] is not None)


@pytest.mark.parametrize("shell", [None, types.SimpleNamespace()])
def test_ipython_without_a_kernel_gets_lines(shell, monkeypatch, capsys):
    stub = types.ModuleType("IPython")
    stub.get_ipython = lambda: shell
    monkeypatch.setitem(sys.modules, "IPython", stub)
    KMeans(5, init="k-means||", random_state=0, max_iter=1, callbacks=[ProgressCallback()]).fit(X)
    assert capsys.readouterr().err.startswith("5 clusters\npass   1  moments")


def test_a_real_kernel_shows_it(tmp_path):
    code = """
import numpy as np, dkmeans
X = np.random.default_rng(0).uniform(size=(2000, 3))
shown = dkmeans.ProgressCallback()
model = dkmeans.KMeans(5, init="k-means||", random_state=0, callbacks=[shown]).fit(X)
"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    resources = {"metadata": {"path": str(tmp_path)}}
    client = NotebookClient(notebook, timeout=120, kernel_name="python3", resources=resources)
    client.execute()
    (output,) = notebook.cells[0].outputs
    assert output.output_type == "display_data"
    model = KMeans(5, init="k-means||", random_state=0).fit(X)
    text = f"converged: inertia {model.inertia_:.6g}, {model.n_passes_} passes"
    assert output.data["text/plain"] == text
    assert parsed(output.data["text/html"]).find("div").text == text
    assert parsed(output.data["text/html"]).find("svg/polyline") is not None
