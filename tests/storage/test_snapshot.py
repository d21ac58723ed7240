"""Values with arrays as one file: what is stored comes back, what is damaged is refused."""

import io
import json
import pickle
import zipfile
from dataclasses import dataclass, field

import fsspec
import numpy as np
import pytest

from dkmeans.errors import InputRefused, MissingInput
from dkmeans.storage.filesystem import remember
from dkmeans.storage.snapshot import read_snapshot, write_snapshot


@dataclass(frozen=True, eq=False)
class Point:
    x: np.ndarray
    name: str = "p"


@dataclass(frozen=True)
class Path:
    points: tuple[Point, ...]
    seen: dict = field(default_factory=dict)


TYPES = {"Point": Point, "Path": Path}


def same(a, b):
    """Whether two values are equal, to the bit and the type."""
    if isinstance(a, np.ndarray):
        return (
            isinstance(b, np.ndarray)
            and (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
            and a.flags.f_contiguous == b.flags.f_contiguous
        )
    if type(a) is not type(b):
        return False
    if isinstance(a, (Point, Path)):
        return same(vars(a), vars(b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b or a != a


@pytest.fixture
def url(tmp_path):
    return f"{tmp_path}/deep/state.zip"


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        -(2**70),
        0.1 + 0.2,
        5e-324,
        float("inf"),
        float("-inf"),
        float("nan"),
        "ä\n\0🙂",
        (),
        [],
        {},
        (1, [2, (3,)], {"a": (4, None)}),
        {"ä/b": [1.5]},
        np.random.default_rng(0).normal(size=(5, 3)),
        np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
        np.arange(12).reshape(3, 4)[:, ::2],
        np.array(3.5),
        np.zeros((0, 4)),
        np.array([True, False]),
        np.array([np.nan, -0.0, np.inf, 5e-324]),
        np.array(["a", "ää"]),
        Point(np.arange(3.0)),
        Path((Point(np.arange(3)), Point(np.zeros(0, np.float32), "q")), {"n": 3}),
        [np.arange(3), {"again": np.arange(3)}],
    ],
    ids=repr,
)
def test_what_is_stored_comes_back(url, value):
    write_snapshot(url, value)
    assert same(read_snapshot(url, TYPES), value)


def test_numbers_of_numpy_come_back_as_plain_ones(url):
    write_snapshot(url, {"a": np.float64(0.1), "b": np.int32(3), "c": np.bool_(True)})
    found = read_snapshot(url, TYPES)
    assert found == {"a": 0.1, "b": 3, "c": True}
    assert [type(one) for one in found.values()] == [float, int, bool]


@pytest.mark.parametrize(
    "value",
    [{"$tuple": [1]}, {"$type": "Point", "fields": {}}, {"$array": 0}, {"a": {"$array": 7}}],
)
def test_keys_that_look_like_marks_are_kept_or_refused_but_never_misread(url, value):
    try:
        write_snapshot(url, value)
    except (TypeError, ValueError):
        return
    assert same(read_snapshot(url, TYPES), value)


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes", 1j, [Point], np.array([object()])])
def test_other_things_cannot_be_stored_and_leave_what_was_there(url, value):
    write_snapshot(url, "before")
    with pytest.raises((TypeError, ValueError)):
        write_snapshot(url, {"inside": [value]})
    assert read_snapshot(url, TYPES) == "before"


def test_a_new_snapshot_replaces_the_old_one(url):
    write_snapshot(url, [np.arange(1000)] * 3)
    write_snapshot(url, "short")
    assert read_snapshot(url, TYPES) == "short"


def test_it_lies_on_stores_too(bucket, s3):
    value = Path((Point(np.random.default_rng(1).normal(size=100)),))
    write_snapshot(f"{bucket}/a/state.zip", value, remember(s3))
    assert same(read_snapshot(f"{bucket}/a/state.zip", TYPES, remember(s3)), value)
    with pytest.raises(MissingInput):
        read_snapshot(f"{bucket}/nothing.zip", TYPES, remember(s3))


def test_nothing_there_is_missing_input(url):
    with pytest.raises(MissingInput, match=r"state\.zip does not exist"):
        read_snapshot(url, TYPES)


def forged(url, body, **arrays):
    """Write an archive as `write_snapshot` would, of any content."""
    with zipfile.ZipFile(url, "w") as archive:
        archive.writestr("body.json", body if isinstance(body, (str, bytes)) else json.dumps(body))
        for name, content in arrays.items():
            archive.writestr(f"{name.removeprefix('_')}.npy", content)
    return str(url)


def npy(shape, descr="<f8", data=b""):
    """An array file that claims a shape."""
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        out, {"shape": shape, "fortran_order": False, "descr": descr}
    )
    return out.getvalue() + data


class Evil:
    def __reduce__(self):
        return exec, ("raise SystemExit('code of the file was run')",)


@pytest.mark.parametrize(
    ("body", "arrays"),
    [
        ({"$type": "Stranger", "fields": {}}, {}),
        ({"$type": "Point", "fields": {"y": 1}}, {}),
        ({"$type": "Point", "fields": []}, {}),
        ({"$type": ["Point"], "fields": {}}, {}),
        ({"$type": "Point"}, {}),
        ({"$array": 0}, {}),
        ({"$array": "a"}, {}),
        ({"$tuple": 3}, {}),
        ("not json", {}),
        (b"\xff\xfe", {}),
        ("[" * 100_000, {}),
        ({"$array": 0}, {"_0": b"not an array"}),
        ({"$array": 0}, {"_0": b""}),
        ({"$array": 0}, {"_0": npy((3,), data=bytes(8))}),
        ({"$array": 0}, {"_0": npy((2**57,))}),
        ({"$array": 0}, {"_0": npy((2**31, 2**31))}),
        ({"$array": 0}, {"_0": npy((-1,))}),
        ({"$array": 0}, {"_0": npy((1,), "|O", pickle.dumps([Evil()]))}),
        ({"$array": 0}, {"_0": pickle.dumps(Evil())}),
        ({"$array": 0}, {"_1": npy((1,), data=bytes(8))}),
    ],
)
def test_what_is_damaged_or_forged_is_refused_and_runs_no_code(tmp_path, body, arrays):
    url = forged(tmp_path / "state.zip", body, **arrays)
    with pytest.raises(InputRefused, match=r"state\.zip is damaged or was not written by dkmeans"):
        read_snapshot(url, TYPES)


@pytest.mark.parametrize("content", [b"", b"PK", b"x" * 1000, bytes(1000)])
def test_what_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "state.zip").write_bytes(content)
    with pytest.raises(InputRefused, match=r"remove it to start afresh"):
        read_snapshot(str(tmp_path / "state.zip"), TYPES)


def test_no_flipped_bit_and_no_cut_is_taken_for_the_value(tmp_path):
    value = Path((Point(np.array([0.5, -3.0])),), {"n": 3})
    write_snapshot(f"{tmp_path}/state.zip", value)
    whole = (tmp_path / "state.zip").read_bytes()
    damaged = [whole[:n] for n in range(0, len(whole), 7)]
    for at in range(len(whole)):
        for bit in range(8):
            one = bytearray(whole)
            one[at] ^= 1 << bit
            damaged.append(bytes(one))
    memory, fake = fsspec.filesystem("memory"), f"/{tmp_path.name}/state.zip"
    n_refused = 0
    for content in damaged:
        memory.pipe(fake, content)
        try:
            found = read_snapshot(f"memory:/{fake}", TYPES)
        except InputRefused:
            n_refused += 1
        else:
            # some bytes of an archive, such as its dates, mean nothing
            assert same(found, value)
    assert n_refused > len(damaged) / 2
