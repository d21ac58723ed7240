"""Random numbers that belong to source rows.

Row r draws the same number whatever block it lies in, whoever reads that block, and whatever a
filter drops: a counter-based generator is set to the row's position and the dropped rows' numbers
are discarded.
"""

import hashlib

import numpy as np

from dkmeans.kernels.block import Array, Block

DRAWS_PER_STEP = 4
"""Doubles that one step of Philox's counter yields, so that `advance(n)` skips 4n of them."""


def generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """Return the generator of one purpose of one seeded run: independent of all other purposes."""
    return np.random.Generator(_philox(seed, *purpose))


def uniforms(first: int, stop: int, seed: int, *purpose: str | int) -> Array:
    """Draw a number in [0, 1) for each of the rows `first` to `stop - 1`, as float64."""
    bits = _philox(seed, *purpose)
    bits.advance(first // DRAWS_PER_STEP)
    ahead = first % DRAWS_PER_STEP
    return np.random.Generator(bits).random(ahead + stop - first)[ahead:]


def exponentials(block: Block, seed: int, *purpose: str | int) -> Array:
    """Draw a standard exponential for each row of `block`, `(n_rows,)` float64.

    By inversion: NumPy's own exponentials take a varying number of draws, which would tie a row's
    number to its neighbours.
    """
    parts = [uniforms(first, stop, seed, *purpose) for first, stop in block.ranges]
    drawn = np.concatenate(parts) if parts else np.empty(0)
    return -np.log1p(-(drawn if block.kept is None else drawn[block.kept]))


def _philox(seed: int, *purpose: str | int) -> np.random.Philox:
    text = "/".join(str(word) for word in (seed, *purpose))
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return np.random.Philox(key=np.frombuffer(digest, np.uint64))
