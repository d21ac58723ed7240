"""Names and files of people with bad intentions: refused, and nothing outside is touched."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dkmeans.errors import ArgumentError, DkmeansError, DkmeansWarning, MissingInput, ModelRefused
from dkmeans.registry.records import FORMAT
from dkmeans.registry.registry import Registry
from tests.models.test_model import make_model
from tests.registry.helpers import fill, forge, is_of_seed

NAMES = [
    *("", ".", "..", "../x", "a/b", "/etc/passwd", "a\\b", "a b", "a\n", "a\x00", "ä", "a" * 65),
    *("%2e%2e", "a*", "?", "@", None, 3, b"a", ["a"]),
]


@pytest.fixture
def full(registry: Registry) -> Registry:
    """Two versions, the second one champion, with an attachment."""
    fill(registry, 1)
    registry.publish(make_model(seed=2), run_id="run 2", attachments={"job.yaml": b"secret?"})
    registry.promote(1, reason="r")
    registry.promote(2, reason="r")
    return registry


def outside(tmp_path: Path) -> set[str]:
    return {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_a_name_that_is_none_is_refused_before_anything_is_written(
    full: Registry, tmp_path: Path, name
) -> None:
    before = sorted(tmp_path.rglob("*"))
    attempts: list[Callable[[], object]] = [
        lambda: full.move(name, 1, reason="r"),
        lambda: full.rollback(alias=name, reason="r"),
        lambda: full.moves(name),
        lambda: full.tag(1, name),
        lambda: full.untag(1, name),
        lambda: full.attachment(2, name),
        lambda: full.publish(make_model(), run_id="r", tags=[name] if name != ["a"] else [3]),
        lambda: full.publish(
            make_model(), run_id="r", attachments={name if name != ["a"] else 3: b""}
        ),
    ]
    if name != 3:
        attempts.append(lambda: full.load(name))
    for attempt in attempts:
        with pytest.raises(ArgumentError):
            attempt()
    assert sorted(tmp_path.rglob("*")) == before


def test_an_alias_of_digits_would_be_a_version(full: Registry) -> None:
    with pytest.raises(ArgumentError, match="would be taken for a version"):
        full.move("17", 1, reason="r")
    full.tag(1, "17")


@pytest.mark.parametrize(
    "run_id",
    ["../../x", "/etc/passwd", "a/b", "..", ".", "a\nb", "\x00", "ß" * 256, " ", "run\\1", "-rf"],
)
def test_a_run_may_be_called_anything_and_stays_inside(
    registry: Registry, tmp_path: Path, run_id: str
) -> None:
    before = outside(tmp_path)
    assert registry.publish(make_model(seed=1), run_id=run_id) == 1
    assert registry.publish(make_model(seed=2), run_id=f"{run_id}!"[-256:]) == 2
    assert registry.publish(make_model(seed=1), run_id=run_id) == 1
    assert registry.version(1).run_id == run_id
    assert is_of_seed(registry.load(1), 1)
    assert outside(tmp_path) - before == {"registry"}
    assert len(list((tmp_path / "registry" / "models").iterdir())) == 2


@pytest.mark.parametrize("run_id", ["", "x" * 257, None, 3, "\ud800"])
def test_a_run_that_cannot_be_named_is_refused(registry: Registry, run_id) -> None:
    with pytest.raises(ArgumentError, match="run_id"):
        registry.publish(make_model(), run_id=run_id)


@pytest.mark.parametrize(
    "change",
    [
        {"folder": "../../outside"},
        {"folder": "/etc"},
        {"folder": "a/b"},
        {"folder": ".."},
        {"folder": ".hidden"},
        {"folder": ""},
        {"folder": "x" * 200},
        {"folder": None},
        {"folder": ["a"]},
        {"version": 1},
        {"version": True},
        {"version": 10**30},
        {"version": "2"},
        {"parents": [2]},
        {"parents": [0]},
        {"parents": ["1"]},
        {"parents": {}},
        {"tags": {"../x": "y"}},
        {"tags": {"x": 3}},
        {"tags": []},
        {"run_id": 5},
        {"manifest_sha256": None},
        {"manifest_sha256": "0" * 64},
        {"summary": 3},
    ],
    ids=str,
)
def test_a_version_that_says_what_it_cannot_is_refused(
    full: Registry, tmp_path: Path, change: dict
) -> None:
    outside = tmp_path / "outside"
    make_model(seed=66).save(str(outside))
    forge(tmp_path / "registry" / "versions" / "000002.json", lambda body: body.update(change))
    with pytest.raises(ModelRefused, match="damaged"):
        full.load("champion")
    with pytest.raises(ModelRefused, match="damaged"):
        full.rollback(reason="r") and full.promote(2, reason="r")
    assert is_of_seed(full.load(1), 1)
    # others go on, past it
    assert full.publish(make_model(seed=3), run_id="run 3") == 3


def test_a_forged_version_that_changes_nothing_is_read(full: Registry, tmp_path: Path) -> None:
    # shows that the other forgeries are refused for what they say, not for how they are made
    path = tmp_path / "registry" / "versions" / "000002.json"
    forge(path, lambda body: body.update(who="somebody"))
    assert full.version(2).who == "somebody"
    assert is_of_seed(full.load(2), 2)


@pytest.mark.parametrize(
    "change",
    [
        {"alias": "other"},
        {"number": 1},
        {"version": 0},
        {"version": -1},
        {"version": "2"},
        {"behind": ["../1"]},
        {"behind": [-1]},
        {"behind": [1] * 200},
        {"behind": 1},
        {"previous": "1"},
        {"rollback": 1},
        {"reason": None},
    ],
    ids=lambda change: str(change)[:40],
)
def test_a_move_that_says_what_it_cannot_is_refused(
    full: Registry, tmp_path: Path, change: dict
) -> None:
    path = tmp_path / "registry" / "aliases" / "champion" / "000002.json"
    forge(path, lambda body: body.update(change))
    for attempt in (
        lambda: full.load("champion"),
        lambda: full.moves("champion"),
        lambda: full.promote(1, reason="r"),
        lambda: full.rollback(reason="r"),
        full.aliases,
        full.gc,
    ):
        with pytest.raises(ModelRefused, match="damaged"):
            attempt()
    assert is_of_seed(full.load(2), 2)


def manifest_of(full: Registry, tmp_path: Path, number: int) -> Path:
    return tmp_path / "registry" / "models" / full.version(number).folder / "manifest.json"


def forge_manifest(full: Registry, tmp_path: Path, change: Callable[[dict], object]) -> None:
    """Change the list of the files of version 2, with all hashes put right again."""
    import hashlib

    path = manifest_of(full, tmp_path, 2)
    forge(path, change)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    version = tmp_path / "registry" / "versions" / "000002.json"
    forge(version, lambda body: body.update(manifest_sha256=digest))


@pytest.mark.parametrize(
    "change",
    [
        lambda files: files.update({"../../../outside": {"bytes": 1, "sha256": "0" * 64}}),
        lambda files: files.update({"/etc/passwd": {"bytes": 1, "sha256": "0" * 64}}),
        lambda files: files.update({"a/b": {"bytes": 1, "sha256": "0" * 64}}),
        lambda files: files.update({"..": {"bytes": 1, "sha256": "0" * 64}}),
        lambda files: files.update({"attachments/..": {"bytes": 1, "sha256": "0" * 64}}),
        lambda files: files["model.json"].update(bytes=10**18),
        lambda files: files["model.json"].update(bytes=-1),
        lambda files: files["model.json"].update(bytes=True),
        lambda files: files["model.json"].update(sha256=3),
        lambda files: files["model.json"].update(sha256="0" * 64),
        lambda files: files.update({"model.json": None}),
        lambda files: files.pop("model.json"),
        lambda files: files.update({"weights-000000000000.npy": {"bytes": 1, "sha256": "0"}}),
    ],
)
def test_a_list_of_files_that_cannot_be_is_refused(full: Registry, tmp_path: Path, change) -> None:
    (tmp_path / "outside").write_bytes(b"x")
    forge_manifest(full, tmp_path, lambda body: change(body["files"]))
    with pytest.raises(ModelRefused, match="damaged"):
        full.load(2)
    with pytest.raises(ModelRefused, match="damaged"):
        full.promote(2, reason="r")


def test_an_attachment_of_an_absurd_size_takes_no_memory(full: Registry, tmp_path: Path) -> None:
    def grow(body: dict) -> None:
        body["files"]["attachments/job.yaml"]["bytes"] = 10**15

    forge_manifest(full, tmp_path, grow)
    with pytest.raises(ModelRefused, match=r"job\.yaml has changed"):
        full.attachment(2, "job.yaml")


def test_a_model_is_whole_without_its_attachments(full: Registry, tmp_path: Path) -> None:
    folder = manifest_of(full, tmp_path, 2).parent
    (folder / "attachments" / "job.yaml").unlink()
    assert is_of_seed(full.load("champion"), 2)
    full.promote(1, reason="r")
    full.promote(2, reason="r")
    with pytest.raises(ModelRefused, match=r"job\.yaml is missing"):
        full.attachment(2, "job.yaml")


def test_a_file_of_another_size_is_refused_before_it_is_read(
    full: Registry, tmp_path: Path
) -> None:
    folder = manifest_of(full, tmp_path, 2).parent
    with (folder / "model.json").open("r+b") as file:
        file.truncate(10**12)
    with pytest.raises(ModelRefused, match=r"model\.json has 1000000000000 bytes"):
        full.load(2)


def test_any_changed_byte_of_any_file_is_refused(full: Registry, tmp_path: Path) -> None:
    n_refused = 0
    folder = manifest_of(full, tmp_path, 2).parent
    records = [tmp_path / "registry" / "versions" / "000002.json",
               tmp_path / "registry" / "aliases" / "champion" / "000002.json"]  # fmt: skip
    for path in (*records, *folder.glob("*.*")):
        whole = path.read_bytes()
        for at in range(0, len(whole), 37):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x01]) + whole[at + 1 :])
            try:
                loaded = full.load("champion")
            except ModelRefused:
                n_refused += 1
            else:
                # white space between JSON's tokens means nothing
                assert path in records, (path.name, at)
                assert whole[at : at + 1].isspace(), at
                assert is_of_seed(loaded, 2)
        path.write_bytes(whole)
    assert n_refused > 80


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"null", b"[]", b"3", b"{}", b"\x00\xff", b"[" * 100_000, b" " * (2**20 + 1),
     b'{"kind": "dkmeans registry version", "format": 1}', b'{"a": ' + b"9" * 5000 + b"}"],
    ids=["empty", "cut", "null", "list", "number", "bare", "binary", "deep", "large", "lacking",
         "long number"],
)  # fmt: skip
def test_a_record_that_is_none_is_left_out_and_passed_over(
    full: Registry, tmp_path: Path, data: bytes
) -> None:
    (tmp_path / "registry" / "versions" / "000002.json").write_bytes(data)
    with pytest.raises(ModelRefused, match=r"000002\.json"):
        full.load(2)
    with pytest.warns(DkmeansWarning, match=r"version 2 of .* is left out"):
        assert [one.number for one in full.versions()] == [1]
    assert full.publish(make_model(seed=3), run_id="run 3") == 3


@pytest.mark.parametrize("file", ["versions/000002.json", "aliases/champion/000002.json",
                                  "registry.json"])  # fmt: skip
def test_a_newer_format_is_refused_with_the_remedy(
    full: Registry, tmp_path: Path, file: str
) -> None:
    path = tmp_path / "registry" / file
    forge(path, lambda body: body.update(format=FORMAT + 1))
    told = rf"has format {FORMAT + 1}; .*use the version that wrote it"
    with pytest.raises(ModelRefused, match=told):
        full.promote(1, reason="r") if file != "versions/000002.json" else full.load("champion")
    if file.startswith("versions"):
        for attempt in (
            full.versions, full.gc, lambda: full.publish(make_model(), run_id="run 2")
        ):  # fmt: skip
            with pytest.raises(ModelRefused, match=told):
                attempt()


def test_files_that_are_not_the_registry_s_are_passed_over(full: Registry, tmp_path: Path) -> None:
    folder = tmp_path / "registry"
    for name in ("versions/notes.md", "versions/3.json", "versions/0000003.json",
                 "versions/000000.json", "aliases/champion/x", "aliases/a b/000001.json",
                 "aliases/..json", "tags/000001/a b.json", "tags/x"):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    assert [one.number for one in full.versions()] == [1, 2]
    assert full.aliases() == {"champion": 2}
    assert full.publish(make_model(), run_id="run 3") == 3


def test_a_folder_that_is_a_file_is_no_registry(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    registry = Registry(str(tmp_path / "file"))
    with pytest.raises(DkmeansError):
        registry.publish(make_model(), run_id="a")
    with pytest.raises(MissingInput):
        registry.load(1)


def test_reasons_may_hold_anything_that_can_be_stored(full: Registry) -> None:
    reason = 'it said "\x1b[2J" and\nÄ 🙂'
    full.promote(1, reason=reason)
    assert full.moves("champion")[-1].reason == reason
    for wrong in (None, 3, "x" * 2001, "\ud800"):
        with pytest.raises(ArgumentError):
            full.promote(2, reason=wrong)
    assert json.loads(json.dumps([move.to_dict() for move in full.moves("champion")]))
