"""Random numbers that belong to source rows.

Row r draws the same number whatever block it lies in, whoever reads that block, and whatever a
filter drops: a counter-based generator is set to the row's position and the dropped rows' numbers
are discarded. Permutations, too, are computed position by position.
"""

import hashlib

import numpy as np

from dkmeans.kernels.block import Array, Block

DRAWS_PER_STEP = 4
"""Doubles that one step of Philox's counter yields, so that `advance(n)` skips 4n of them."""

_FEISTEL_ROUNDS = 6
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
"""Odd, with well-mixed bits: 2**64 over the golden ratio."""


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


def permuted(first: int, stop: int, n: int, seed: int, *purpose: str | int) -> Array:
    """Return where a permutation of `0..n-1` puts `first..stop-1`, `(stop - first,)` int64.

    A Feistel network on the bits of the position, walked until it comes out below `n`: a few
    positions cost as much as they are, whatever `n` is, and nothing has to be kept.

    References
    ----------
    .. [1] J. Black, P. Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002.
    """
    half = max(1, ((n - 1).bit_length() + 1) // 2)
    mask = np.uint64(2**half - 1)
    keys = generator(seed, *purpose).integers(0, 2**63, _FEISTEL_ROUNDS, dtype=np.uint64)

    def encrypted(values: Array) -> Array:
        left, right = values >> np.uint64(half), values & mask
        for key in keys:
            mixed = (right ^ key) * _MULTIPLIER
            mixed ^= mixed >> np.uint64(32)
            mixed *= _MULTIPLIER
            left, right = right, left ^ (mixed >> np.uint64(64 - half))
        return (left << np.uint64(half)) | right

    out = encrypted(np.arange(first, stop, dtype=np.uint64))
    while (beyond := np.flatnonzero(out >= n)).size:
        out[beyond] = encrypted(out[beyond])
    return out.astype(np.int64)


def _philox(seed: int, *purpose: str | int) -> np.random.Philox:
    text = "/".join(str(word) for word in (seed, *purpose))
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return np.random.Philox(key=np.frombuffer(digest, np.uint64))
