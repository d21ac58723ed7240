"""What travels with tasks is pickled once, and not hashed."""

import pickle

import numpy as np
import pytest
from dask.base import tokenize

from dkmeans.rows.packed import Packed, is_small, unpacked


def test_what_is_packed_comes_back_and_the_rest_stays() -> None:
    value = {"centers": np.arange(6.0).reshape(2, 3), "names": ("a", "b")}
    again = unpacked(pickle.loads(pickle.dumps(Packed.of(value))))
    assert again["names"] == value["names"]
    assert again["centers"].tobytes() == value["centers"].tobytes()
    assert unpacked(value) is value


def test_dask_does_not_look_into_what_is_packed() -> None:
    packed = Packed.of(np.zeros(3))
    assert tokenize(packed) == tokenize(Packed.of(np.ones(5)))


@pytest.mark.parametrize("order", ["C", "F"])
def test_small_is_what_has_few_bytes_pickled(order) -> None:
    value = ("centers", np.ones((100, 50), order=order))
    n_bytes = len(Packed.of(value).pickled)
    assert n_bytes > 100 * 50 * 8
    assert is_small(value, n_bytes)
    assert not is_small(value, 100 * 50 * 8)


def test_parts_of_arrays_can_be_measured() -> None:
    assert is_small(np.ones((100, 50))[:, ::2], 25_000)
    assert not is_small(np.ones((100, 50))[:, ::2], 20_000)
