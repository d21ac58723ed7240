"""A model as a file of skops: it loads without pickle, and trusting next to nothing."""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dkmeans.errors import ArgumentError, ExportRefused
from dkmeans.models.exports import skops_file
from dkmeans.models.exports.skops_file import TRUSTED, write_skops
from dkmeans.models.model import Model
from tests.models.exports.every import ExportLaws, model_of, rows_of
from tests.models.test_model import NAMES, make_model

skops = pytest.importorskip("skops.io", reason="skops is not installed (extra skops)")


class TestSkops(ExportLaws):
    @staticmethod
    def predict(model: Model, X: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.skops")
            write_skops(model, path)
            pipeline = skops.load(path, trusted=list(TRUSTED))
        labels = pipeline.predict(X)
        return labels, pipeline[-1].cluster_ids_[labels], pipeline.transform(X).min(axis=1)


def test_only_dtypes_need_trust_and_nothing_is_pickled(tmp_path: Path) -> None:
    for scaling in ("none", "standard", "minmax", "maxabs", "robust", "normalize-l1"):
        for fills in (False, True):
            path = tmp_path / f"{scaling}-{fills}.skops"
            write_skops(model_of(scaling, "float32", names=True, fills=fills), path)
            assert skops.get_untrusted_types(file=path) == (list(TRUSTED) if fills else [])
            names = zipfile.ZipFile(path).namelist()
            assert {Path(name).suffix for name in names} == {".json", ".npy"}


def test_it_loads_where_dkmeans_is_not_and_takes_frames(tmp_path: Path) -> None:
    model, X = make_model(), rows_of("standard", 200)
    write_skops(model, tmp_path / "model.skops")
    frame = pd.DataFrame(X, columns=list(NAMES))
    frame.to_csv(tmp_path / "rows.csv", index=False)
    code = f"""
import sys
sys.modules["dkmeans"] = None
import warnings; warnings.simplefilter("error")
import numpy as np, pandas as pd, skops.io
pipeline = skops.io.load({str(tmp_path / "model.skops")!r}, trusted=[])
frame = pd.read_csv({str(tmp_path / "rows.csv")!r})
print(*pipeline.predict(frame), *pipeline.feature_names_in_)
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == [*map(str, model.predict(frame)), *NAMES]


def test_a_pipeline_that_differs_is_refused(tmp_path: Path, monkeypatch) -> None:
    other = make_model(names=None, seed=5)
    monkeypatch.setattr(skops_file, "to_sklearn", lambda _: other.to_sklearn())
    with pytest.raises(ExportRefused, match="nothing was published"):
        make_model(names=None).export(str(tmp_path / "model.skops"), "sklearn")
    assert list(tmp_path.iterdir()) == []


def test_without_skops_the_extra_is_named(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "skops.io", None)
    with pytest.raises(ArgumentError, match=r"needs skops: .*; run `pip install dkmeans\[skops\]`"):
        make_model().export(str(tmp_path / "model.skops"), "sklearn")
    assert list(tmp_path.iterdir()) == []
