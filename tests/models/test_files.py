"""Saved models: whole or not there, checked before they are believed, and never code."""

import hashlib
import io
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import fsspec
import numpy as np
import pytest

from dkmeans.errors import MissingInput, ModelRefused, OutputExists, StoreUnreachable
from dkmeans.models.columns import FeatureColumn
from dkmeans.models.files import FORMAT, model_id
from dkmeans.models.model import Model
from dkmeans.models.scaling import Normalization, Scaling
from tests.models.test_model import make_model, rows


@pytest.fixture(params=["disk", "memory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, dict]:
    """A folder that is not there yet, on each kind of store, with its storage options."""
    if request.param == "disk":
        return str(tmp_path / "deep" / "model"), {}
    if request.param == "memory":
        return f"memory://{tmp_path.name}/model", {}
    return f"{request.getfixturevalue('bucket')}/model", request.getfixturevalue("s3")


def assert_equal(found: Model, expected: Model) -> None:
    for name in ("scaled_centers", "cluster_ids", "weights", "inertias"):
        one, other = getattr(found, name), getattr(expected, name)
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    assert found.columns == expected.columns
    assert found.dtype == expected.dtype
    assert found.parameters == expected.parameters
    assert found.provenance == expected.provenance
    assert (found.scaling is None) == (expected.scaling is None)
    if expected.scaling is not None:
        assert found.scaling.kind == expected.scaling.kind
        assert found.scaling.name == expected.scaling.name
    if isinstance(expected.scaling, Scaling):
        np.testing.assert_array_equal(found.scaling.shift, expected.scaling.shift)
        np.testing.assert_array_equal(found.scaling.factor, expected.scaling.factor)


@pytest.mark.parametrize(
    "model",
    [
        make_model(),
        make_model(scale=None, names=None, dtype="float32"),
        make_model(k=1, scale="minmax"),
        make_model(scale="maxabs"),
        make_model(scale="robust"),
        make_model(scale="normalize"),
        make_model(scaling=Normalization("l1")),
        make_model(columns=(FeatureColumn("x"), FeatureColumn("e", 2))),
        make_model(cluster_ids=np.array([5, 4, 3, 2, 1, 2**40])),
    ],
    ids=[
        *("standard", "bare", "one cluster", "maxabs", "robust", "normalize", "l1"),
        *("embedding", "ids"),
    ],
)
def test_what_was_saved_is_loaded(model: Model, tmp_path: Path) -> None:
    model.save(str(tmp_path / "model"))
    found = Model.load(str(tmp_path / "model"))
    assert_equal(found, model)
    assert model_id(found) == model_id(model)
    np.testing.assert_array_equal(found.predict(rows(50)), model.predict(rows(50)))


def test_every_store_takes_a_model_and_gives_it_back(place: tuple[str, dict]) -> None:
    url, options = place
    model, other = make_model(), make_model(seed=9, k=4)
    model.save(url, storage_options=options)
    assert_equal(Model.load(url, storage_options=options), model)
    with pytest.raises(OutputExists, match="overwrite"):
        other.save(url, storage_options=options)
    assert_equal(Model.load(url, storage_options=options), model)
    other.save(url, overwrite=True, storage_options=options)
    assert_equal(Model.load(url, storage_options=options), other)


def test_a_trailing_slash_and_a_relative_path_are_the_same_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_model().save("model/")
    assert_equal(Model.load(str(tmp_path / "model")), make_model())
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_there_is_no_pickle_in_a_model(tmp_path: Path) -> None:
    make_model().save(str(tmp_path / "model"))
    files = list((tmp_path / "model").iterdir())
    assert {path.suffix for path in files} == {".json", ".npy"}
    for path in files:
        if path.suffix == ".npy":
            assert np.load(path, allow_pickle=False).dtype.kind in "fi"
        else:
            json.loads(path.read_text())


def test_nothing_is_loaded_from_where_nothing_lies(place: tuple[str, dict]) -> None:
    url, options = place
    with pytest.raises(MissingInput, match="no model at"):
        Model.load(url, storage_options=options)


def test_overwriting_leaves_no_parts_of_the_old_model(tmp_path: Path) -> None:
    make_model(seed=1).save(str(tmp_path / "model"))
    before = len(list((tmp_path / "model").iterdir()))
    make_model(seed=2).save(str(tmp_path / "model"), overwrite=True)
    assert len(list((tmp_path / "model").iterdir())) == before


def test_a_folder_of_other_files_is_never_written_to(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(OutputExists, match="not a model"):
            make_model().save(str(tmp_path), overwrite=overwrite)
        with pytest.raises(OutputExists, match="not a model"):
            make_model().save(str(tmp_path / "thesis.txt"), overwrite=overwrite)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_foreign_files_beside_a_model_survive_its_replacement(tmp_path: Path) -> None:
    make_model(seed=1).save(str(tmp_path))
    (tmp_path / "notes.md").write_text("mine")
    (tmp_path / "holdout.npy").write_bytes(b"mine too")
    make_model(seed=2).save(str(tmp_path), overwrite=True)
    assert (tmp_path / "notes.md").read_text() == "mine"
    assert (tmp_path / "holdout.npy").read_bytes() == b"mine too"


@pytest.mark.parametrize("n_written", range(7))
def test_a_save_that_is_cut_off_leaves_the_old_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_written: int
) -> None:
    old, new = make_model(seed=1), make_model(seed=2, k=5)
    old.save(str(tmp_path))
    calls = []

    def replace(path: Path, target: Path) -> None:
        if len(calls) == n_written:
            raise OSError("the power went")
        calls.append(target)
        rename(path, target)

    rename = Path.rename
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        with pytest.raises(StoreUnreachable, match="the power went"):
            new.save(str(tmp_path), overwrite=True)
    assert len(calls) == n_written
    assert_equal(Model.load(str(tmp_path)), old)
    assert not [path for path in tmp_path.iterdir() if path.suffix not in (".npy", ".json")]
    new.save(str(tmp_path), overwrite=True)
    assert_equal(Model.load(str(tmp_path)), new)
    assert len(list(tmp_path.iterdir())) == 8


def test_a_first_save_that_is_cut_off_can_be_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replace(path: Path, target: Path) -> None:
        if target.suffix == ".json":
            raise OSError("the power went")
        rename(path, target)

    rename = Path.rename
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        with pytest.raises(StoreUnreachable):
            make_model().save(str(tmp_path / "model"))
    with pytest.raises(MissingInput):
        Model.load(str(tmp_path / "model"))
    make_model().save(str(tmp_path / "model"))
    assert_equal(Model.load(str(tmp_path / "model")), make_model())


def test_any_changed_byte_of_any_file_is_refused(tmp_path: Path) -> None:
    make_model(k=2).save(str(tmp_path))
    checked = 0
    for path in sorted(tmp_path.iterdir()):
        whole = path.read_bytes()
        for at in range(0, len(whole), 3 if path.suffix == ".json" else 13):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x01]) + whole[at + 1 :])
            try:
                loaded = Model.load(str(tmp_path))
            except ModelRefused:
                checked += 1
            else:
                # white space between JSON's tokens means nothing
                assert path.suffix == ".json", (path.name, at)
                assert whole[at : at + 1].isspace(), at
                assert_equal(loaded, make_model(k=2))
        path.write_bytes(whole)
    assert checked > 400
    assert_equal(Model.load(str(tmp_path)), make_model(k=2))


@pytest.mark.parametrize("n_kept", [0, 1, 60, 127, 130, -1])
def test_a_truncated_part_is_refused(tmp_path: Path, n_kept: int) -> None:
    make_model().save(str(tmp_path))
    for path in tmp_path.glob("*.npy"):
        whole = path.read_bytes()
        path.write_bytes(whole[:n_kept])
        with pytest.raises(ModelRefused, match="damaged"):
            Model.load(str(tmp_path))
        path.write_bytes(whole)


def test_a_missing_part_is_refused(tmp_path: Path) -> None:
    make_model().save(str(tmp_path))
    next(tmp_path.glob("weights*.npy")).unlink()
    with pytest.raises((ModelRefused, MissingInput), match="weights"):
        Model.load(str(tmp_path))


def forge(folder: Path, change: Callable[[dict], object]) -> None:
    """Change the index and put its hash right again, as somebody with bad intentions would."""
    body = json.loads((folder / "model.json").read_text())
    change(body)
    rest = {key: value for key, value in body.items() if key != "sha256"}
    body["sha256"] = hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
    (folder / "model.json").write_text(json.dumps(body))


def forge_part(folder: Path, name: str, data: bytes) -> None:
    """Put other bytes in place of a part, with a matching hash and size."""
    file = f"{name}-{hashlib.sha256(data).hexdigest()[:12]}.npy"
    (folder / file).write_bytes(data)
    part = {"file": file, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    forge(folder, lambda body: body["parts"].update({name: part}))


def npy(array: np.ndarray, **options: bool) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def npy_header(shape: str, dtype: str = "<f8") -> bytes:
    """An array file that promises a shape and holds 16 bytes."""
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (117 - len(header)) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(16)


def test_a_forged_index_that_changes_nothing_is_loaded(tmp_path: Path) -> None:
    # shows that the other forgeries are refused for what they say, not for how they are made
    make_model().save(str(tmp_path))
    forge(tmp_path, lambda body: body["provenance"].update(rows=5))
    assert Model.load(str(tmp_path)).provenance["rows"] == 5


class Exploit:
    """Writes a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (Path.write_text, (self.path, "owned"))


def test_a_pickle_inside_a_part_is_refused_and_does_not_run(tmp_path: Path) -> None:
    folder, proof = tmp_path / "model", tmp_path / "proof"
    make_model().save(str(folder))
    exploit = Exploit(proof)
    for data in (
        npy(np.array([exploit] * 6, dtype=object), allow_pickle=True),
        pickle.dumps(exploit),
    ):
        forge_part(folder, "weights", data)
        with pytest.raises(ModelRefused):
            Model.load(str(folder))
    assert not proof.exists()


@pytest.mark.parametrize("shape", ["(1000000000000,)", "(6, 4000000000000)", "(6,)", "()", "(-6,)"])
def test_a_part_that_promises_another_shape_is_refused_before_it_is_allocated(
    tmp_path: Path, shape: str
) -> None:
    make_model().save(str(tmp_path))
    forge_part(tmp_path, "weights", npy_header(shape))
    with pytest.raises(ModelRefused):
        Model.load(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("weights", np.zeros(5)),
        ("weights", np.zeros((6, 1))),
        ("weights", np.zeros(6, np.complex128)),
        ("scaled_centers", np.zeros((6, 4))),
        ("scaled_centers", np.full((6, 3), np.nan)),
        ("scaled_centers", np.full((6, 3), np.inf)),
        ("cluster_ids", np.zeros(6)),
        ("scaling_factor", np.zeros(3)),
        ("scaling_shift", np.full(3, np.nan)),
    ],
)
def test_a_part_that_cannot_be_a_model_s_is_refused(
    tmp_path: Path, name: str, array: np.ndarray
) -> None:
    make_model().save(str(tmp_path))
    forge_part(tmp_path, name, npy(array))
    with pytest.raises(ModelRefused):
        Model.load(str(tmp_path))


@pytest.mark.parametrize(
    "name",
    [
        "../secret.npy",
        "/etc/passwd",
        "..\\secret.npy",
        "a/../../secret.npy",
        "secret.json",
        "",
        None,
        "..npy/",
    ],
)
def test_a_part_cannot_name_a_file_elsewhere(tmp_path: Path, name: str | None) -> None:
    folder = tmp_path / "model"
    make_model().save(str(folder))
    (tmp_path / "secret.npy").write_bytes(next(folder.glob("weights-*")).read_bytes())
    forge(folder, lambda body: body["parts"]["weights"].update(file=name))
    with pytest.raises((ModelRefused, MissingInput)) as caught:
        Model.load(str(folder))
    assert "weights-" not in str(caught.value)


@pytest.mark.parametrize("number", [0, FORMAT + 1, 99, None, "1", [FORMAT]])
def test_another_format_is_refused_with_the_remedy(tmp_path: Path, number: object) -> None:
    make_model().save(str(tmp_path))
    forge(tmp_path, lambda body: body.update(format=number))
    with pytest.raises(ModelRefused, match=r"format .*reads format"):
        Model.load(str(tmp_path))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "3",
        '"model"',
        "{}",
        "\x00\xff",
        "[" * 100_000,
        '{"kind": "dkmeans model"}',
    ],
    ids=["empty", "cut", "null", "list", "number", "text", "bare", "binary", "deep", "no format"],
)
def test_an_index_that_is_no_model_s_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelRefused):
        Model.load(str(tmp_path))


@pytest.mark.parametrize(
    "change",
    [
        {"n_clusters": -6},
        {"n_clusters": 10**30},
        {"n_clusters": float("inf")},
        {"n_clusters": float("nan")},
        {"n_clusters": "many"},
        {"n_clusters": None},
        {"n_features": 4},
        {"n_features": 0},
        {"dtype": "object"},
        {"dtype": "float16"},
        {"dtype": 3},
        {"scaling": "cubic"},
        {"scaling": "normalize"},
        {"scaling": "normalize", "norm": "l3"},
        {"scaling": 5},
        {"columns": 7},
        {"columns": ["a", "b", "c"]},
        {"columns": [{"name": "a", "width": None}]},
        {"columns": [{"name": "a", "width": -3}] * 3},
        {"columns": [{"name": "a", "width": "x"}] * 3},
        {"columns": [{"name": "a", "width": 10**12}]},
        {"parts": None},
        {"parts": {}},
        {"parameters": None},
        {"provenance": [1]},
    ],
    ids=str,
)
def test_an_index_that_contradicts_itself_is_refused(tmp_path: Path, change: dict) -> None:
    make_model().save(str(tmp_path))
    forge(tmp_path, lambda body: body.update(change))
    with pytest.raises(ModelRefused):
        Model.load(str(tmp_path))


@pytest.mark.parametrize(
    "key",
    [
        "n_clusters",
        "n_features",
        "dtype",
        "scaling",
        "columns",
        "parts",
        "parameters",
        "provenance",
    ],
)
def test_an_index_that_lacks_something_is_refused(tmp_path: Path, key: str) -> None:
    make_model().save(str(tmp_path))
    forge(tmp_path, lambda body: body.pop(key))
    with pytest.raises(ModelRefused):
        Model.load(str(tmp_path))


def test_a_reader_never_sees_half_of_a_replacement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = make_model(seed=1), make_model(seed=2)
    old.save(str(tmp_path))
    real = fsspec.get_filesystem_class("file").cat_file
    asked = []

    def cat_file(fs: object, path: str, *args: object, **kwargs: object) -> bytes:
        asked.append(path)
        if path.endswith(".npy") and len(asked) == 2:
            # the writer replaces all parts between our reads of the index and of the first part
            new.save(str(tmp_path), overwrite=True)
        return real(fs, path, *args, **kwargs)

    monkeypatch.setattr(fsspec.get_filesystem_class("file"), "cat_file", cat_file)
    assert_equal(Model.load(str(tmp_path)), new)
