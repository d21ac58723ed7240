"""Names, colors and ids of clusters: what they may be, and that they are kept."""

import json
from pathlib import Path

import numpy as np
import pytest

from dkmeans.errors import ArgumentError, ModelRefused
from dkmeans.models.files import model_id
from dkmeans.models.model import Model
from tests.models.test_files import forge, forge_part, npy
from tests.models.test_model import make_model

UNICODE = "夜型 · Nachteulen 🦉 👩\u200d🔬 بوم"
LONGEST = "x" * 200


def test_names_and_colors_are_saved_and_loaded(tmp_path: Path) -> None:
    ids = np.array([5, 4, 9, 2, 1, 2**40])
    names = {2**40: UNICODE, 5: "<b>&amp;</b>", 1: LONGEST}
    colors = {5: "#1f77b4", 9: "#FFFFFF"}
    model = make_model(cluster_ids=ids, next_cluster_id=2**41).renamed(names, colors=colors)
    model.save(str(tmp_path / "model"))
    found = Model.load(str(tmp_path / "model"))
    assert found.cluster_names == names
    assert list(found.cluster_names) == [1, 5, 2**40]
    assert found.cluster_colors == colors
    assert found.next_cluster_id == 2**41
    assert model_id(found) == model_id(model) == model_id(make_model(cluster_ids=ids))


def test_a_new_model_goes_on_after_its_greatest_id() -> None:
    assert make_model().next_cluster_id == 6
    assert make_model(cluster_ids=np.array([5, 40, 3, 2, 1, 0])).next_cluster_id == 41
    assert make_model(next_cluster_id=np.int64(11)).next_cluster_id == 11


def test_renaming_changes_what_it_names_and_nothing_else() -> None:
    model = make_model().renamed({0: "early birds", 3: "night owls"}, colors={3: "#000000"})
    again = model.renamed({3: "owls", 5: "rest"})
    assert again.cluster_names == {0: "early birds", 3: "owls", 5: "rest"}
    assert again.cluster_colors == {3: "#000000"}
    assert again.renamed({0: None, 3: None}, colors={3: None}).cluster_names == {5: "rest"}
    assert again.renamed(colors={3: None}).cluster_colors == {}
    assert model.cluster_names == {0: "early birds", 3: "night owls"}
    assert again.renamed() is not again
    assert again.scaled_centers is model.scaled_centers


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({6: "x"}, "cluster_names has 6, which is not the id of a cluster; there are 0, 1, 2, 3"),
        ({"3": "x"}, "has '3', which is not the id"),
        ({True: "x"}, "has True, which is not the id"),
        ({-1: "x"}, "has -1, which"),
        ({3: 7}, r"cluster_names\[3\] is a int; a name is text"),
        ({3: ""}, "shows nothing"),
        ({3: " \u3000"}, "shows nothing"),
        ({3: "a\nb"}, r"control character '\\n'"),
        ({3: "\x1b[31mred"}, r"control character '\\x1b'"),
        ({3: "a\x00"}, r"control character '\\x00'"),
        ({3: "a\x7f"}, "control character"),
        ({3: "a\u2028b"}, r"control character '\\u2028'"),
        ({3: "abc\u202edef"}, r"control character '\\u202e'"),
        ({3: "\ud800"}, r"control character '\\ud800'"),
        ({3: LONGEST + "x"}, "has 201 characters; a name has 200 at most"),
    ],
)
def test_a_name_that_cannot_be_is_refused(names: dict, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make_model().renamed(names)


@pytest.mark.parametrize(
    "color", ["red", "#12345", "#1234567", "#12345g", "#fff", "", 7, "#123456;x:y", "#123456\n"]
)
def test_a_color_that_cannot_be_is_refused(color: object) -> None:
    with pytest.raises(ArgumentError, match=r"cluster_colors\[3\]=.* as #rrggbb"):
        make_model().renamed(colors={3: color})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cluster_ids": np.array([0, 1, 2, 3, 4, 3])}, "3 twice"),
        ({"cluster_ids": np.array([0, 1, 2, 3, 4, -7])}, "have -7"),
        ({"next_cluster_id": 5}, "next_cluster_id=5 should be an integer above every id"),
        ({"next_cluster_id": -1}, "next_cluster_id=-1"),
        ({"next_cluster_id": True}, "next_cluster_id=True"),
        ({"next_cluster_id": 7.0}, r"next_cluster_id=7\.0"),
    ],
)
def test_ids_that_cannot_be_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make_model(**changes)


@pytest.mark.parametrize(
    "change",
    [
        {"next_cluster_id": 0},
        {"next_cluster_id": 5},
        {"next_cluster_id": None},
        {"next_cluster_id": "6"},
        {"next_cluster_id": True},
        {"next_cluster_id": 6.5},
        {"cluster_names": None},
        {"cluster_names": ["a"]},
        {"cluster_names": {"6": "unknown id"}},
        {"cluster_names": {"03": "not how ids are written"}},
        {"cluster_names": {"-1": "x"}},
        {"cluster_names": {"\u0663": "x"}},
        {"cluster_names": {"3": "a\u0007"}},
        {"cluster_names": {"3": None}},
        {"cluster_names": {"3": {"deep": ["x"] * 1000}}},
        {"cluster_colors": {"3": "javascript:alert(1)"}},
        {"cluster_colors": {"9": "#000000"}},
    ],
    ids=lambda change: json.dumps(change)[:40],
)
def test_an_index_that_contradicts_itself_is_refused(tmp_path: Path, change: dict) -> None:
    make_model().renamed({3: "night owls"}).save(str(tmp_path))
    forge(tmp_path, lambda body: body.update(change))
    with pytest.raises(ModelRefused) as caught:
        Model.load(str(tmp_path))
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("key", ["cluster_names", "cluster_colors", "next_cluster_id"])
def test_an_index_without_names_or_ids_is_refused(tmp_path: Path, key: str) -> None:
    make_model().save(str(tmp_path))
    forge(tmp_path, lambda body: body.pop(key))
    with pytest.raises(ModelRefused, match="lacks entries"):
        Model.load(str(tmp_path))


@pytest.mark.parametrize("ids", [[0, 1, 2, 3, 4, 4], [0, 1, 2, 3, 4, -1], [0, 1, 2, 3, 4, 6]])
def test_a_part_of_ids_that_cannot_be_is_refused(tmp_path: Path, ids: list[int]) -> None:
    make_model().save(str(tmp_path))
    forge_part(tmp_path, "cluster_ids", npy(np.array(ids)))
    with pytest.raises(ModelRefused, match="damaged"):
        Model.load(str(tmp_path))
