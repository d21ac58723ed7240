"""Where coresets are kept: what comes back, what is refused or made anew, and what is forgotten."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from dkmeans import KMeans, Rows
from dkmeans.algorithms.windows import store as stores
from dkmeans.algorithms.windows.partition import PartitionCoreset, draw
from dkmeans.algorithms.windows.store import CoresetStore
from dkmeans.errors import OutputExists
from dkmeans.rows import progress
from dkmeans.rows.partitions import Partition
from dkmeans.storage.listing import StoredFile
from tests.algorithms.windows.test_union import settings


class Notes(progress.Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def notes(monkeypatch) -> list[str]:
    reporter = Notes()
    monkeypatch.setattr(progress, "_reporter", reporter)
    return reporter.notes


def partition(name: str, version: str = "1") -> Partition:
    return Partition(name, (StoredFile(f"/lake/{name}", 10, version),))


@pytest.fixture(scope="module")
def kept() -> PartitionCoreset:
    X = np.random.default_rng(0).normal(size=(500, 2)).astype(np.float32)
    return draw(Rows.from_array(X, block_rows=100), settings(80), None)[0]


@pytest.fixture
def url(tmp_path) -> str:
    return str(tmp_path / "coresets")


def same(a: PartitionCoreset, b: PartitionCoreset) -> bool:
    arrays = [(getattr(a.coreset, name), getattr(b.coreset, name)) for name in vars(a.coreset)]
    arrays += [(getattr(a.moments, name), getattr(b.moments, name)) for name in vars(a.moments)]
    return all(np.array_equal(x, y) and np.asarray(x).dtype == np.asarray(y).dtype
               for x, y in arrays) and a.columns == b.columns  # fmt: skip


def test_what_is_kept_comes_back_to_the_bit_and_is_known_by_what_it_came_of(url, kept):
    store = CoresetStore(url)
    store.put(partition("mon"), "r", kept)
    store.put(partition("tue"), "r", kept)
    again = CoresetStore(url)
    assert [one.name for one in again.entries] == ["mon", "tue"]
    entry = again.find(partition("mon"), "r")
    assert (entry.rows, entry.coreset_rows, entry.weight) == (500, kept.n_coreset_rows, 500.0)
    assert entry.bytes == os.path.getsize(f"{url}/{entry.file}")
    assert same(again.load(entry), kept)
    assert again.find(partition("mon", "2"), "r") is None
    assert again.find(partition("mon"), "other") is None
    assert again.find(partition("wed"), "r") is None


def test_a_rewritten_partition_takes_the_place_of_what_it_was(url, kept):
    store = CoresetStore(url)
    store.put(partition("mon"), "r", kept)
    store.put(partition("mon"), "other", kept)
    store.put(partition("mon", "2"), "r", kept)
    assert {(one.reading, one.partition) for one in store.entries} == {
        ("other", partition("mon").fingerprint),
        ("r", partition("mon", "2").fingerprint),
    }
    # no row of the old one is left
    assert set(os.listdir(url)) == {"coresets.json", *(one.file for one in store.entries)}


def test_damage_is_noticed_and_told(url, kept, notes):
    store = CoresetStore(url)
    store.put(partition("mon"), "r", kept)
    (entry,) = store.entries
    place = Path(url, entry.file)
    data = bytearray(place.read_bytes())
    data[len(data) // 2] ^= 1
    place.write_bytes(data)
    assert store.load(entry) is None
    assert "the coreset of mon is damaged (its bytes have changed)" in notes[-1]
    place.unlink()
    assert store.load(entry) is None
    assert "the coreset of mon is gone" in notes[-1]


def test_a_manifest_that_is_damaged_counts_for_nothing_and_one_of_others_is_left_alone(
    url, kept, notes
):
    store = CoresetStore(url)
    store.put(partition("mon"), "r", kept)
    place = Path(url, "coresets.json")
    body = json.loads(place.read_text())
    for change in ({"entries": []}, {"entries": [{**body["entries"][0], "file": "../../x.zip"}]}):
        changed = {**body, **change}
        place.write_text(json.dumps(changed))
        assert CoresetStore(url).entries == ()
        assert "is damaged" in notes[-1]
    # a name that leads elsewhere is refused even under a right hash
    changed["sha256"] = stores._digest(changed)
    place.write_text(json.dumps(changed))
    assert CoresetStore(url).entries == ()
    place.write_text("{")
    again = CoresetStore(url)
    assert again.entries == ()
    again.put(partition("tue"), "r", kept)
    again.tidy()
    assert len(os.listdir(url)) == 2
    place.write_text(json.dumps({**body, "format": 99}))
    with pytest.raises(OutputExists, match="format 99"):
        CoresetStore(url)


def test_folders_of_others_are_refused(tmp_path, url):
    KMeans(2, random_state=0).fit([[0.0], [1.0]]).model_.save(str(tmp_path / "model"))
    with pytest.raises(OutputExists, match="something else than coresets"):
        CoresetStore(str(tmp_path / "model"))
    assert CoresetStore(url).entries == ()
    assert not os.path.exists(url)


def test_retain_and_forget_remove_rows(url, kept):
    store = CoresetStore(url)
    for name in ("mon", "tue", "wed", "thu"):
        store.put(partition(name), "r", kept)
    assert store.retain(["tue", "wed", "fri"]) == ["mon", "thu"]
    assert len(os.listdir(url)) == 3
    assert store.forget(["wed"]) == kept.n_coreset_rows
    assert [one.name for one in CoresetStore(url).entries] == ["tue"]
    Path(f"{url}/coreset-{'0' * 16}-{'1' * 12}.zip").touch()
    Path(f"{url}/.coresets.json.{'a' * 32}.part").touch()
    assert store.forget() == kept.n_coreset_rows
    assert os.listdir(url) == []
    assert CoresetStore(url).entries == () == store.entries


def test_what_no_manifest_lists_is_tidied_away(url, kept, monkeypatch):
    store = CoresetStore(url)
    store.put(partition("mon"), "r", kept)

    def killed(*args, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        # between the rows and the manifest
        patch.setattr(CoresetStore, "_keep_only", killed)
        with pytest.raises(KeyboardInterrupt):
            store.put(partition("tue"), "r", kept)
    assert len(os.listdir(url)) == 3
    again = CoresetStore(url)
    assert [one.name for one in again.entries] == ["mon"]
    again.tidy()
    assert len(os.listdir(url)) == 2
    assert same(again.load(again.entries[0]), kept)


def test_stores_lie_on_object_stores_too(bucket, s3, kept):
    store = CoresetStore(f"{bucket}/coresets", s3)
    store.put(partition("mon"), "r", kept)
    again = CoresetStore(f"{bucket}/coresets", s3)
    assert same(again.load(again.entries[0]), kept)
    assert "secret" not in repr(again)
    again.forget()
    assert CoresetStore(f"{bucket}/coresets", s3).entries == ()
