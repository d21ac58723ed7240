"""The block store: a bounded cache whose owners make room for one another."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dkmeans.rows.store import BlockStore, process_store, release


def test_what_is_put_is_there_until_it_is_popped():
    store = BlockStore(100)
    assert store.put(("a", 1), "value", 60)
    assert store.get(("a", 1)) == "value"
    assert store.held_bytes == 60
    assert store.pop(("a", 1)) == "value"
    assert store.get(("a", 1)) is None
    assert store.held_bytes == 0


def test_nothing_goes_beyond_the_limit():
    store = BlockStore(100)
    assert store.put(("a", 1), "one", 60)
    assert not store.put(("a", 2), "two", 50)
    assert store.get(("a", 1)) == "one"
    assert store.get(("a", 2)) is None
    assert store.put(("a", 3), "three", 40)
    assert store.held_bytes == 100


def test_putting_a_key_again_replaces_its_value_and_its_bytes():
    store = BlockStore(100)
    store.put(("a", 1), "old", 80)
    assert store.put(("a", 1), "new", 90)
    assert store.get(("a", 1)) == "new"
    assert store.held_bytes == 90


def test_the_owner_that_wrote_longest_ago_makes_room_first():
    store = BlockStore(100)
    store.put(("a", 1), "a", 40)
    store.put(("b", 1), "b", 40)
    store.put(("a", 2), "a", 10)
    assert store.put(("c", 1), "c", 40)
    assert store.get(("b", 1)) is None
    assert store.get(("a", 1)) == store.get(("a", 2)) == "a"
    assert store.held_bytes == 90


def test_an_owner_does_not_drive_out_its_own_blocks():
    store = BlockStore(100)
    kept = [store.put(("a", number), number, 30) for number in range(6)]
    assert kept == [True, True, True, False, False, False]
    assert [store.get(("a", number)) for number in range(6)] == [0, 1, 2, None, None, None]


def test_releasing_an_owner_leaves_the_others():
    store = BlockStore(100)
    store.put(("a", 1), "a", 40)
    store.put(("b", 1), "b", 40)
    store.release("a")
    store.release("nobody")
    assert store.get(("a", 1)) is None
    assert store.get(("b", 1)) == "b"
    assert store.held_bytes == 40


puts = st.tuples(st.sampled_from("abc"), st.integers(0, 4), st.integers(0, 60))


@given(st.lists(puts, max_size=40))
def test_held_bytes_are_those_of_what_can_be_got(operations):
    store = BlockStore(100)
    for owner, number, n_bytes in operations:
        store.put((owner, number), n_bytes, n_bytes)
    held = [store.get((owner, number)) for owner in "abc" for number in range(5)]
    assert store.held_bytes == sum(n for n in held if n is not None) <= 100


def test_a_process_has_one_store_and_forgets_an_owner_on_request():
    store = process_store()
    assert process_store() is store
    assert store.limit_bytes > 0
    before = store.held_bytes
    store.put(("owner of this test", 1), np.zeros(4), 32)
    assert store.held_bytes == before + 32
    release("owner of this test")
    assert store.held_bytes == before
