"""The block store: a bounded cache, in memory and on disk, whose owners make room for others."""

import threading
from collections.abc import Iterator
from pathlib import Path

import dask
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dkmeans.kernels.block import Block
from dkmeans.rows import disk
from dkmeans.rows.disk import DiskFolder
from dkmeans.rows.store import (
    BlockStore,
    bytes_of,
    close_process_store,
    hold_by,
    leases,
    process_store,
    release,
    release_lease,
)

PLACES = ["memory", "disk"]


def array(n_bytes: int, value: int = 1) -> np.ndarray:
    return np.full(n_bytes, value, np.uint8)


class Store(BlockStore):
    """A store over a folder that is made when it is first written to."""

    def __init__(self, path: Path, limit_bytes: int = 100) -> None:
        self.path = path
        super().__init__(limit_bytes, self._made)

    def _made(self) -> DiskFolder:
        self.path.mkdir(parents=True)
        return DiskFolder(self.path)

    @property
    def files(self) -> int:
        return len(list(self.path.iterdir())) if self.path.exists() else 0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store")
    yield store
    store.close()
    assert not store.path.exists()


@pytest.fixture
def small_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk with room for 100 bytes of stored arrays."""

    def free(path: Path) -> int:
        return max(0, 100 - sum(file.stat().st_size for file in Path(path).iterdir()))

    monkeypatch.setattr(disk, "free_bytes", free)


@pytest.mark.parametrize("place", PLACES)
def test_what_is_put_is_there_until_it_is_popped(store, place):
    assert not store.has(("a", 1))
    assert store.put(("a", 1), array(60), place)
    assert store.has(("a", 1))
    np.testing.assert_array_equal(store.get(("a", 1)), array(60))
    assert store.held_bytes == (60 if place == "memory" else 0)
    assert store.files == (0 if place == "memory" else 1)
    np.testing.assert_array_equal(store.pop(("a", 1)), array(60))
    assert store.get(("a", 1)) is None
    assert store.pop(("a", 1)) is None
    assert not store.has(("a", 1))
    assert (store.held_bytes, store.files) == (0, 0)


def test_memory_makes_no_folder(store):
    store.put(("a", 1), array(60))
    store.release("a")
    assert not store.path.exists()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_block_comes_back_whole(tmp_path, place, dtype):
    rng = np.random.default_rng(0)
    kept = rng.random(50) < 0.5
    n = int(kept.sum())
    block = Block(
        np.asfortranarray(rng.normal(size=(n, 3)), dtype),
        ((100, 130), (200, 220)),
        rng.exponential(size=n),
        kept,
        n_missing_rows=4,
    )
    store = Store(tmp_path / "s", 10**6)
    assert store.put(("a", "block", "", 0), block, place)
    assert bytes_of(block) == block.n_bytes
    found = store.get(("a", "block", "", 0))
    assert isinstance(found, Block)
    np.testing.assert_array_equal(found.X, block.X)
    assert found.X.dtype == dtype
    assert found.X.flags.f_contiguous
    np.testing.assert_array_equal(found.weight, block.weight)
    np.testing.assert_array_equal(found.kept, block.kept)
    np.testing.assert_array_equal(found.row_numbers, block.row_numbers)
    assert (found.ranges, found.n_missing_rows, found.n_source_rows) == (block.ranges, 4, 50)
    bare = Block(block.X, ((0, n),))
    store.put(("a", "block", "", 1), bare, place)
    assert store.get(("a", "block", "", 1)).weight is None
    assert store.get(("a", "block", "", 1)).kept is None
    store.close()


@pytest.mark.parametrize("place", PLACES)
def test_a_tuple_of_arrays_comes_back_as_one(store, place):
    state = (np.arange(4.0, dtype=np.float32), np.arange(4, dtype=np.int32))
    assert store.put(("a", "scan", 0, 1), state, place)
    found = store.get(("a", "scan", 0, 1))
    assert isinstance(found, tuple)
    for ours, theirs in zip(found, state, strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype


@pytest.mark.usefixtures("small_disk")
@pytest.mark.parametrize("place", PLACES)
def test_nothing_goes_beyond_the_room(store, place):
    assert store.put(("a", 1), array(60, 1), place)
    assert not store.put(("a", 2), array(50, 2), place)
    np.testing.assert_array_equal(store.get(("a", 1)), array(60, 1))
    assert store.get(("a", 2)) is None
    assert store.put(("a", 3), array(40, 3), place)
    assert store.files == (0 if place == "memory" else 2)


@pytest.mark.usefixtures("small_disk")
@pytest.mark.parametrize("place", PLACES)
def test_the_owner_that_wrote_longest_ago_makes_room_first(store, place):
    store.put(("a", 1), array(40), place)
    store.put(("b", 1), array(40), place)
    store.put(("a", 2), array(10), place)
    assert store.put(("c", 1), array(40), place)
    assert store.get(("b", 1)) is None
    assert store.get(("a", 1)) is not None
    assert store.get(("a", 2)) is not None


@pytest.mark.usefixtures("small_disk")
@pytest.mark.parametrize("place", PLACES)
def test_an_owner_does_not_drive_out_its_own_blocks(store, place):
    kept = [store.put(("a", number), array(30), place) for number in range(6)]
    assert kept == [True, True, True, False, False, False]
    assert [store.has(("a", number)) for number in range(6)] == kept


def test_putting_a_key_again_replaces_its_value_and_its_bytes(store):
    store.put(("a", 1), array(80, 1))
    assert store.put(("a", 1), array(90, 2))
    assert store.get(("a", 1))[0] == 2
    assert store.held_bytes == 90
    assert store.put(("a", 1), array(70, 3), "disk")
    assert store.get(("a", 1))[0] == 3
    assert (store.held_bytes, store.files) == (0, 1)
    assert store.put(("a", 1), array(20, 4), "disk")
    assert store.get(("a", 1))[0] == 4
    assert store.files == 1
    assert store.put(("a", 1), array(10, 5), "memory")
    assert store.get(("a", 1))[0] == 5
    assert (store.held_bytes, store.files) == (10, 0)


def test_a_value_that_finds_no_room_leaves_no_older_one_behind(store):
    store.put(("a", 1), array(80, 1))
    assert not store.put(("a", 1), array(101, 2))
    assert store.get(("a", 1)) is None
    assert store.held_bytes == 0


@pytest.mark.parametrize("place", PLACES)
def test_releasing_an_owner_leaves_the_others(store, place):
    store.put(("a", 1), array(40), place)
    store.put(("b", 1), array(40, 2), place)
    assert sorted(store.owners) == ["a", "b"]
    store.release("a")
    store.release("nobody")
    assert store.owners == ("b",)
    assert store.get(("a", 1)) is None
    assert store.get(("b", 1))[0] == 2
    assert store.held_bytes == (40 if place == "memory" else 0)


def test_a_file_that_somebody_deleted_is_as_if_it_was_never_kept(store):
    store.put(("a", 1), array(40), "disk")
    for file in store.path.iterdir():
        file.unlink()
    assert store.get(("a", 1)) is None
    store.soon(("a", 1))
    assert store.put(("a", 1), array(30, 2), "disk")
    assert store.get(("a", 1))[0] == 2
    assert store.pop(("a", 1)) is not None


def test_a_folder_that_somebody_deleted_keeps_nothing_and_breaks_nothing(store):
    store.put(("a", 1), array(40), "disk")
    for file in store.path.iterdir():
        file.unlink()
    store.path.rmdir()
    assert not store.put(("a", 2), array(30), "disk")
    assert store.get(("a", 2)) is None


def test_what_is_mapped_stays_readable_when_it_is_forgotten(store):
    store.put(("a", 1), array(4096, 7), "disk")
    found = store.get(("a", 1))
    store.close()
    assert not store.path.exists()
    np.testing.assert_array_equal(found, array(4096, 7))


def test_what_is_mapped_cannot_be_written_to(store):
    store.put(("a", 1), np.zeros(4), "disk")
    with pytest.raises(ValueError, match="read-only"):
        store.get(("a", 1))[0] = 1


def test_a_closed_store_can_be_used_again(store):
    store.put(("a", 1), array(40), "disk")
    store.close()
    assert store.get(("a", 1)) is None
    assert store.put(("a", 1), array(40), "disk")
    assert store.files == 1


operations = st.tuples(
    st.sampled_from(["put", "put", "put", "pop", "release"]),
    st.sampled_from("abc"),
    st.integers(0, 3),
    st.integers(0, 60),
    st.sampled_from(PLACES),
)


@given(st.lists(operations, max_size=30))
@settings(deadline=None, max_examples=60)
def test_what_is_kept_is_what_can_be_got_and_what_takes_room(tmp_path_factory, done):
    store = Store(tmp_path_factory.mktemp("store") / "s")
    latest: dict = {}
    for i, (what, owner, number, n_bytes, place) in enumerate(done):
        key = (owner, number)
        if what == "put":
            assert store.put(key, array(n_bytes, i), place) == store.has(key)
            latest[key] = (array(n_bytes, i), place)
        elif what == "pop":
            store.pop(key)
            latest.pop(key, None)
        else:
            store.release(owner)
            latest = {key: value for key, value in latest.items() if key[0] != owner}
    in_memory = on_disk = 0
    for key, (value, place) in latest.items():
        found = store.get(key)
        assert (found is not None) == store.has(key)
        if found is None:
            continue
        np.testing.assert_array_equal(found, value)
        in_memory += len(value) if place == "memory" else 0
        on_disk += place == "disk"
    assert store.held_bytes == in_memory <= 100
    assert store.files == on_disk
    store.close()


@pytest.mark.parametrize("place", PLACES)
def test_threads_put_get_and_release_at_once(tmp_path, monkeypatch, place):
    monkeypatch.setattr(disk, "free_bytes", lambda path: 0 if next(flips) % 3 == 0 else 10**9)
    flips = iter(range(10**9))
    store = Store(tmp_path / "s", 4000)
    errors: list[BaseException] = []

    def work(owner: str) -> None:
        try:
            for i in range(300):
                key = (f"{owner}{i % 7}", i % 5)
                store.put(key, array(100, i % 256), place)
                found = store.get(key)
                assert found is None or len(set(found)) == 1
                if i % 11 == 0:
                    store.release(f"{owner}{i % 7}")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcdef"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    for owner in store.owners:
        store.release(owner)
    assert store.held_bytes == 0
    assert store.files == 0


@pytest.fixture
def own_folder(tmp_path: Path) -> Iterator[Path]:
    """A temporary directory for the store of this process, which is made anew."""
    close_process_store()
    with dask.config.set({"temporary-directory": str(tmp_path)}):
        yield tmp_path
        close_process_store()


def test_a_process_has_one_store_and_forgets_an_owner_on_request(own_folder):
    store = process_store()
    assert process_store() is store
    assert store.limit_bytes > 0
    store.put(("owner of this test", 1), np.zeros(4))
    store.put(("owner of this test", 2), np.zeros(4), "disk")
    assert store.held_bytes == 32
    assert len(list(own_folder.glob("*/*"))) == 2, "one array, and the lock"
    release("owner of this test")
    assert store.held_bytes == 0
    assert len(list(own_folder.glob("*/*"))) == 1
    close_process_store()
    assert list(own_folder.iterdir()) == []
    assert process_store() is not store


def test_what_belongs_to_a_client_that_is_gone_is_forgotten_with_its_lease():
    store = process_store()
    for lease, owner in (("lease 1", "a of 1"), ("lease 1", "b of 1"), ("lease 2", "a of 2")):
        hold_by(lease, owner)
        store.put((owner, 0), np.zeros(4))
    hold_by("", "nobody's")
    assert leases() >= {"lease 1", "lease 2"}
    assert "" not in leases()
    release_lease("lease 1")
    release_lease("never held")
    assert not store.has(("a of 1", 0))
    assert not store.has(("b of 1", 0))
    assert store.has(("a of 2", 0))
    release_lease("lease 2")
    assert not leases() & {"lease 1", "lease 2"}
