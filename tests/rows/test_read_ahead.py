"""Reading ahead: only what is not in memory, all of it, and nothing that is gone."""

import threading

import numpy as np
import pytest

from dkmeans.rows import read_ahead as module
from dkmeans.rows.disk import DiskFolder
from tests.conftest import wait_until


@pytest.fixture
def mapped(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, str]]:
    """What is mapped: first byte, bytes and the name of the thread."""
    seen: list[tuple[int, int, str]] = []
    real = module._map

    def noting(descriptor, n_bytes, first):
        seen.append((first, n_bytes, threading.current_thread().name))
        return real(descriptor, n_bytes, first)

    monkeypatch.setattr(module, "_map", noting)
    return seen


def test_what_is_not_in_memory_is_read_in_pieces_by_another_thread(tmp_path, monkeypatch, mapped):
    monkeypatch.setattr(module, "_is_cached", lambda path, n_bytes: False)
    monkeypatch.setattr(module, "_PIECE_BYTES", 2**16)
    stored = DiskFolder(tmp_path).write([np.arange(20_000.0)])
    stored.soon()
    wait_until(lambda: len(mapped) == 3)
    assert [(first, n) for first, n, _ in mapped] == [
        (0, 65_536), (65_536, 65_536), (131_072, 28_928),
    ]  # fmt: skip
    assert all(name.startswith("dkmeans-read-ahead") for _, _, name in mapped)
    np.testing.assert_array_equal(stored.open()[0], np.arange(20_000.0))


def test_what_is_in_memory_is_not_read_again(tmp_path, monkeypatch):
    stored = DiskFolder(tmp_path).write([np.arange(20_000.0)])
    stored.open()[0].sum()
    asked: list[object] = []
    monkeypatch.setattr(module._readers, "submit", lambda *what: asked.append(what))
    if not module._is_cached(stored.path, stored.n_bytes):
        pytest.skip("this file system cannot say what is in memory")
    stored.soon()
    assert asked == []


def test_a_file_that_is_gone_and_one_that_is_empty_are_not_read(tmp_path, monkeypatch, mapped):
    folder = DiskFolder(tmp_path)
    empty, gone = folder.write([np.empty((0, 3))]), folder.write([np.ones(5)])
    gone.remove()
    empty.soon()
    gone.soon()
    module._read(gone.path, gone.n_bytes)
    assert mapped == []
    assert empty.open()[0].shape == (0, 3)


def test_the_probe_says_no_where_reading_would_wait(tmp_path, monkeypatch):
    stored = DiskFolder(tmp_path).write([np.ones(5)])

    def waits(*_: object) -> int:
        raise BlockingIOError

    monkeypatch.setattr(module.os, "preadv", waits)
    assert not module._is_cached(stored.path, stored.n_bytes)
