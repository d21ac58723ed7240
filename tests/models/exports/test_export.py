"""What all exports do alike: where they write, what they refuse, what they say; on disk and S3."""

from pathlib import Path

import numpy as np
import pytest
import s3fs

from dkmeans.cli.models import models as command
from dkmeans.errors import ArgumentError, OutputExists
from dkmeans.models.exports.export import FORMATS, export
from dkmeans.models.files import model_id
from dkmeans.registry.registry import Registry
from tests.models.exports.every import rows_of
from tests.models.test_model import make_model
from tests.test_s3 import as_arguments

PACKAGES = {"sklearn": "skops", "onnx": "onnx", "mlflow": "mlflow"}


@pytest.fixture(params=FORMATS)
def format(request) -> str:
    """Each format whose package is installed."""
    pytest.importorskip(PACKAGES[request.param], reason=f"{PACKAGES[request.param]} is missing")
    return request.param


def test_what_was_written_is_told(format: str, tmp_path: Path) -> None:
    model = make_model()
    made = model.export(str(tmp_path / "out"), format)
    assert (made.format, made.url) == (format, str(tmp_path / "out"))
    assert made.model_id == model_id(model)
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert made.n_bytes == sum(p.stat().st_size for p in files or [tmp_path / "out"])
    assert made.to_dict()["registered"] is None


def test_what_lies_there_is_replaced_only_when_asked_to(format: str, tmp_path: Path) -> None:
    make_model().export(str(tmp_path / "out"), format)
    with pytest.raises(OutputExists, match=r"already; pass --overwrite \(overwrite=True\)"):
        make_model(seed=1).export(str(tmp_path / "out"), format)
    made = make_model(seed=1).export(str(tmp_path / "out"), format, overwrite=True)
    assert made.model_id == model_id(make_model(seed=1))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_is_never_replaced_by_a_file(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="onnx is not installed (extra onnx)")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(OutputExists, match="exists already"):
        make_model().export(str(tmp_path / "out"), "onnx")
    with pytest.raises(ArgumentError, match="is a folder"):
        make_model().export(str(tmp_path / "out"), "onnx", overwrite=True)
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "mine.txt"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"format": "pmml"}, r"^format='pmml' is none of sklearn, onnx, mlflow\.$"),
        (
            {"format": "onnx", "registered_model_name": "x"},
            r"^registered_model_name='x' goes with format mlflow, not onnx\.$",
        ),
        (
            {"format": "mlflow", "aliases": ["champion"]},
            r"^aliases and version go with registered_model_name\.$",
        ),
        (
            {"format": "mlflow", "version": 3},
            r"^aliases and version go with registered_model_name\.$",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(asked: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=message):
        export(make_model(), str(tmp_path / "out"), **asked)
    assert list(tmp_path.iterdir()) == []


def test_exports_to_s3_are_the_same_bytes_and_hold_no_secret(
    format: str, bucket: str, s3: dict, tmp_path: Path
) -> None:
    model = make_model(names=None)
    made = model.export(f"{bucket}/out", format, storage_options=s3)
    assert made.url == f"{bucket}/out"
    fs = s3fs.S3FileSystem(**s3)
    fs.invalidate_cache()
    found = {name: fs.cat_file(name) for name in fs.find(f"{bucket}/out")}
    assert sum(map(len, found.values())) == made.n_bytes > 0
    assert not any(s3["secret"].encode() in data for data in found.values())
    with pytest.raises(OutputExists, match="already"):
        model.export(f"{bucket}/out", format, storage_options=s3)
    root = bucket.removeprefix("s3://")
    for name, data in found.items():
        local = tmp_path / name.removeprefix(f"{root}/")
        local.parent.mkdir(parents=True, exist_ok=True)
        local.write_bytes(data)
    X = rows_of("standard", 100)
    np.testing.assert_array_equal(labels_of(format, tmp_path / "out", X), model.predict(X))


def labels_of(format: str, path: Path, X: np.ndarray) -> np.ndarray:
    """Load what was exported, as users do."""
    if format == "mlflow":
        import mlflow.pyfunc

        return mlflow.pyfunc.load_model(str(path)).predict(X)["label"].to_numpy()
    if format == "sklearn":
        import skops.io

        return skops.io.load(path, trusted=[]).predict(X)
    from onnx.reference import ReferenceEvaluator

    return ReferenceEvaluator(path.read_bytes()).run(["label"], {"X": X})[0]


# at the command line


def run_command(*arguments: object) -> tuple[int, str]:
    from click.testing import CliRunner

    asked = ["export", *(str(one) for one in arguments)]
    ran = CliRunner().invoke(command, asked, catch_exceptions=False)
    return ran.exit_code, ran.stdout


def test_the_command_exports_and_tells_what_it_wrote(format: str, tmp_path: Path) -> None:
    import json

    make_model(names=None).save(str(tmp_path / "model"))
    asked = (tmp_path / "model", "--format", format, "--output", tmp_path / "out")
    code, out = run_command(*asked)
    assert code == 0
    assert out.startswith(f"{format}: {tmp_path / 'out'}, ")
    assert "checked by " in out
    with pytest.raises(OutputExists):
        run_command(*asked)
    code, out = run_command(*asked, "--overwrite", "--json")
    told = json.loads(out.splitlines()[-1])
    assert (code, told["format"], told["model_id"]) == (0, format, model_id(make_model(names=None)))
    X = rows_of("standard", 100)
    expected = make_model(names=None).predict(X)
    np.testing.assert_array_equal(labels_of(format, tmp_path / "out", X), expected)


def test_the_command_exports_a_version_of_a_registry(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="onnx is not installed (extra onnx)")
    registry = Registry(str(tmp_path / "models"))
    registry.publish(make_model(), run_id="a")
    registry.promote(1, reason="the first one")
    code, _ = run_command(
        f"{tmp_path}/models@champion", "--format", "onnx", "--output", tmp_path / "out"
    )
    assert code == 0
    X = rows_of("standard", 100)
    np.testing.assert_array_equal(labels_of("onnx", tmp_path / "out", X), make_model().predict(X))


def test_the_command_takes_storage_options(bucket: str, s3: dict) -> None:
    pytest.importorskip("onnx", reason="onnx is not installed (extra onnx)")
    make_model().save(f"{bucket}/model", storage_options=s3)
    asked = (f"{bucket}/model", "--format", "onnx", "--output", f"{bucket}/model.onnx")
    code, _ = run_command(*asked, *as_arguments(s3))
    assert code == 0
    assert s3fs.S3FileSystem(**s3).info(f"{bucket}/model.onnx")["size"] > 100
