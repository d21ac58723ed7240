"""Arrays on local disks: the bits come back, full disks are survived, dead processes cleaned up."""

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dask
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dkmeans.rows import disk
from dkmeans.rows.disk import (
    DiskFolder,
    folder_in_worker,
    folder_of_process,
    free_bytes,
    remove_leftovers,
)

shapes = hnp.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=40)
arrays = st.one_of(
    st.none(),
    hnp.arrays(np.float32, shapes, elements=st.floats(width=32)),
    hnp.arrays(np.float64, shapes, elements=st.floats()),
    hnp.arrays(np.int32, shapes),
    hnp.arrays(np.bool_, shapes),
)


@given(st.lists(arrays, max_size=4))
@settings(deadline=None, max_examples=60)
def test_arrays_come_back_bit_for_bit_and_feature_major(tmp_path_factory, values):
    folder = DiskFolder(tmp_path_factory.mktemp("store"))
    stored = folder.write(values)
    assert stored is not None
    found = stored.open()
    assert len(found) == len(values)
    for ours, value in zip(found, values, strict=True):
        if value is None:
            assert ours is None
            continue
        assert (ours.shape, ours.dtype) == (value.shape, value.dtype)
        assert ours.flags.f_contiguous
        assert ours.tobytes() == value.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_columns_of_a_block_lie_aligned_one_after_the_other(tmp_path, dtype):
    X = np.asfortranarray(np.arange(3003.0).reshape(1001, 3), dtype)
    kept = np.ones(1001, bool)
    stored = DiskFolder(tmp_path).write([kept, X, None, X[:, :1]])
    _, found, nothing, column = stored.open()
    assert nothing is None
    assert found.ctypes.data % 64 == column.ctypes.data % 64 == 0
    assert found.strides == (X.itemsize, 1001 * X.itemsize)
    np.testing.assert_array_equal(found, X)
    np.testing.assert_array_equal(column, X[:, :1])


@pytest.mark.parametrize("order", ["C", "F"])
def test_rows_that_are_views_or_row_major_are_stored_as_they_look(tmp_path, order):
    X = np.array(np.random.default_rng(0).normal(size=(60, 4)), order=order)
    (found,) = DiskFolder(tmp_path).write([X[::3, 1:]]).open()
    np.testing.assert_array_equal(found, X[::3, 1:])
    assert found.flags.f_contiguous


def test_rows_without_columns_and_columns_without_rows_are_kept(tmp_path):
    values = [np.empty((0, 3), np.float32), np.empty((5, 0)), np.empty(0, bool)]
    for some in (values, [*values, np.ones(3)]):
        found = DiskFolder(tmp_path).write(some)
        shutil.rmtree(tmp_path / "gone", ignore_errors=True)
        opened = found.open()
        assert [one.shape for one in opened] == [one.shape for one in some]
        assert [one.dtype for one in opened] == [one.dtype for one in some]
        found.remove()


def test_a_removed_file_stays_readable_where_it_is_mapped(tmp_path):
    stored = DiskFolder(tmp_path).write([np.arange(10_000.0)])
    (found,) = stored.open()
    stored.remove()
    stored.remove()
    stored.soon()
    assert list(tmp_path.iterdir()) == []
    np.testing.assert_array_equal(found, np.arange(10_000.0))
    with pytest.raises(FileNotFoundError):
        stored.open()


def test_mapping_opens_no_file_for_longer_than_it_takes(tmp_path):
    folder = DiskFolder(tmp_path)
    stored = [folder.write([np.arange(100.0)]) for _ in range(50)]
    before = len(os.listdir("/proc/self/fd"))
    held = []
    for one in stored:
        one.soon()
        held.append(one.open())
    # an mmap of Python keeps a descriptor of its own as long as it is mapped
    assert len(os.listdir("/proc/self/fd")) <= before + 50
    held.clear()
    assert len(os.listdir("/proc/self/fd")) <= before


# full disks


Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize(
    ("total", "free", "ours"),
    [
        (100 * 2**30, 10 * 2**30, 10 * 2**30 - 256 * 2**20),
        (1000 * 2**20, 500 * 2**20, 450 * 2**20),
        (1000 * 2**20, 20 * 2**20, 0),
    ],
)
def test_a_share_of_the_disk_is_left_to_others(monkeypatch, total, free, ours):
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: Usage(total, total - free, free))
    assert free_bytes("/anywhere") == ours
    folder = DiskFolder(Path("/anywhere"))
    assert folder.has_room(ours)
    assert not folder.has_room(ours + 1)


def test_a_folder_that_is_gone_has_no_room(tmp_path):
    assert not DiskFolder(tmp_path / "gone").has_room(0)
    assert DiskFolder(tmp_path / "gone").write([np.ones(3)]) is None


@contextmanager
def files_of_at_most(n_bytes: int) -> Iterator[None]:
    """Have the system refuse to let files grow further, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_is_full_in_the_middle_of_a_write_keeps_no_half_file(tmp_path):
    folder = DiskFolder(tmp_path)
    small, large = np.arange(1000.0), np.arange(400_000.0)
    with files_of_at_most(2**20):
        assert folder.write([large]) is None
        assert folder.write([small, large]) is None
        assert list(tmp_path.iterdir()) == []
        kept = folder.write([small])
    np.testing.assert_array_equal(kept.open()[0], small)
    np.testing.assert_array_equal(folder.write([large]).open()[0], large)
    assert len(list(tmp_path.iterdir())) == 2


def test_short_writes_are_gone_on_with(tmp_path, monkeypatch):
    written = []

    class Slow:
        """A file that takes 1000 bytes at a time."""

        def __init__(self, file):
            self._file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self._file.close()

        def seek(self, offset):
            self._file.seek(offset)

        def write(self, data):
            written.append(len(data))
            return self._file.write(data[:1000])

    real = Path.open

    def opened(path, mode="r", buffering=-1):
        file = real(path, mode, buffering)
        return Slow(file) if mode == "xb" else file

    monkeypatch.setattr(Path, "open", opened)
    stored = DiskFolder(tmp_path).write([np.arange(500.0), np.arange(7, dtype=np.float32)])
    np.testing.assert_array_equal(stored.open()[0], np.arange(500.0))
    np.testing.assert_array_equal(stored.open()[1], np.arange(7))
    assert len(written) == 4 + 1


# whose folders are removed, and when


STORES = """
import os, sys, time
import numpy as np
from dkmeans.rows.store import process_store
assert process_store().put(("me", 1), np.arange(1000.0), "disk")
print("stored", flush=True)
if sys.argv[1] == "wait":
    time.sleep(600)
if sys.argv[1] == "raise":
    raise RuntimeError("on purpose")
"""


@contextmanager
def storing(root: Path, then: str) -> Iterator[subprocess.Popen]:
    """A process that has stored something on disk."""
    process = subprocess.Popen(
        [sys.executable, "-c", STORES, then],
        env={**os.environ, "DASK_TEMPORARY_DIRECTORY": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "stored\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def folders(root: Path) -> set[str]:
    return {path.name for path in root.iterdir()}


@pytest.mark.parametrize("then", ["end", "raise"])
def test_nothing_is_left_when_a_process_ends(tmp_path, then):
    with storing(tmp_path, then) as process:
        assert process.wait(60) == (0 if then == "end" else 1)
    assert folders(tmp_path) == set()


def test_the_next_process_removes_what_a_killed_one_left_and_keeps_what_lives(tmp_path):
    with storing(tmp_path, "wait") as living:
        (theirs,) = folders(tmp_path)
        with storing(tmp_path, "wait") as killed:
            assert len(folders(tmp_path)) == 2
            killed.send_signal(signal.SIGKILL)
            killed.wait(60)
        (left,) = folders(tmp_path) - {theirs}
        assert len(list((tmp_path / left).iterdir())) == 2, "an array, and the lock"
        with dask.config.set({"temporary-directory": str(tmp_path)}):
            ours = folder_of_process()
        assert folders(tmp_path) == {theirs, ours.path.name}
        assert len(list((tmp_path / theirs).iterdir())) == 2
        assert living.poll() is None
        assert remove_leftovers(tmp_path) == []
    ours.remove()
    assert remove_leftovers(tmp_path) == [tmp_path / theirs]
    assert folders(tmp_path) == set()


def test_what_is_not_ours_is_left_alone(tmp_path):
    for name in ("dkmeans-blocks-being-made", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(b"x")
    (tmp_path / "dkmeans-blocks-a-file").write_bytes(b"x")
    assert remove_leftovers(tmp_path) == []
    assert remove_leftovers(tmp_path / "not there") == []
    assert len(folders(tmp_path)) == 3


def test_the_folder_of_a_worker_lies_in_its_local_directory(tmp_path):
    folder = folder_in_worker(str(tmp_path / "worker"))
    assert folder.path.parent == tmp_path / "worker"
    assert folder.write([np.ones(3)]) is not None
    again = folder_in_worker(str(tmp_path / "worker"))
    assert again.path == folder.path
    folder.remove()
    folder.remove()
    assert list((tmp_path / "worker").iterdir()) == []


def test_only_their_user_can_read_the_folders(tmp_path):
    folders = [folder_in_worker(str(tmp_path)), folder_of_process()]
    try:
        for folder in folders:
            assert folder.path.stat().st_mode & 0o077 == 0
    finally:
        for folder in folders:
            folder.remove()
