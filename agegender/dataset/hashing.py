"""Finding perceptual hashes that differ in few bits, among a million and more.

Comparing every pair would take minutes for 100,000 pictures and hours for a
million. Instead, some of the hashes' bits are drawn at random, and only pairs
that agree in all of them are compared; with many draws, hardly a pair of
similar hashes is overlooked (bit-sampling locality-sensitive hashing: Indyk
and Motwani, "Approximate Nearest Neighbors", STOC 1998). What is held in memory
is a few arrays of one number per picture, and one number per pair that is found.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from agegender.config import SEED

if TYPE_CHECKING:
    from numpy.typing import NDArray

HASH_SIDE = 16
"""A hash has a bit for each of 16 x 16 frequencies, row by row, lowest first."""

HASH_BITS = HASH_SIDE * HASH_SIDE

DRAWS = 64
"""How often bits are drawn; more overlook less and take longer."""

_COMPARED_AT_ONCE = 1 << 18

_MULTIPLIERS = np.random.default_rng(SEED).integers(2**64, size=4, dtype=np.uint64) | np.uint64(1)


class ClosePairs(NamedTuple):
    """Pairs of similar hashes.

    Attributes:
        rows: int64, shape (pairs, 2), sorted: a row of the one set and one of
            the other.
        bits: In how many bits they differ, int16, shape (pairs,).
        mirrored_bits: The same with one of the two pictures mirrored.
    """

    rows: NDArray[np.int64]
    bits: NDArray[np.int16]
    mirrored_bits: NDArray[np.int16]


def pack_hashes(hashes: Sequence[str]) -> NDArray[np.uint64]:
    """Turn hexadecimal hashes into rows of machine words.

    Args:
        hashes: Of 64 hexadecimal digits each.

    Returns:
        uint64, shape (n, 4).

    Raises:
        ValueError: If a hash has another length or other characters.
    """
    packed = np.empty((len(hashes), HASH_BITS // 64), np.uint64)
    # In slices, so that the joined text is never as large as all hashes.
    for start in range(0, len(hashes), 65_536):
        part = list(hashes[start : start + 65_536])
        wrong = next((value for value in part if len(value) != HASH_BITS // 4), None)
        if wrong is not None:
            raise ValueError(f"hash {wrong!r} has not {HASH_BITS // 4} hexadecimal digits")
        words = np.frombuffer(bytes.fromhex("".join(part)), np.uint64)
        packed[start : start + len(part)] = words.reshape(len(part), -1)
    return packed


def mirrored(packed: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return nearly the hashes that the mirrored pictures would have.

    Mirroring turns the sign of the odd horizontal frequencies, and the
    threshold is near zero. On UTKFace the result differs from the true hash in
    6 bits in the median, 22 in one case of a hundred.

    Args:
        packed: uint64, shape (n, 4).

    Returns:
        uint64, shape (n, 4).
    """
    return packed ^ _MIRRORED_BITS


def close_pairs(
    a: NDArray[np.uint64],
    b: NDArray[np.uint64] | None,
    max_bits: int,
    max_mirrored_bits: int,
) -> ClosePairs:
    """Find the pairs of hashes that differ in few bits.

    Args:
        a: uint64, shape (n, 4).
        b: uint64, shape (m, 4); None to look for pairs within `a`.
        max_bits: The largest number of differing bits.
        max_mirrored_bits: The same with one of the two pictures mirrored.

    Returns:
        The pairs. Within `a` each is found once, the smaller row first.
    """
    others = a if b is None else b
    codes = np.empty(0, np.int64)
    if len(a) and len(others):
        rng = np.random.default_rng(SEED)
        drawn_bits = _drawn_bits(min(len(a), len(others)))
        for _ in range(DRAWS):
            mask = _mask(rng.choice(_KEY_BITS, drawn_bits, replace=False))
            found = _close_in_one_draw(a, b, mask, max_bits, max_mirrored_bits)
            codes = np.unique(np.concatenate([codes, *found]))
    rows_a, rows_b = np.divmod(codes, max(len(others), 1))
    bits, mirrored_bits = _differing_bits(a[rows_a], others[rows_b])
    return ClosePairs(np.stack([rows_a, rows_b], axis=1), bits, mirrored_bits)


def _mask(bits: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return a packed hash, shape (4,), in which only some bits are set."""
    chosen = np.zeros(HASH_BITS, np.uint8)
    chosen[bits] = 1
    return np.packbits(chosen).view(np.uint64)


def _key_bits() -> NDArray[np.int64]:
    """Return the bits to draw from.

    Copies of a photo differ rarely in the lower frequencies, and mirroring
    leaves the even horizontal ones as they are, so that one draw finds plain
    and mirrored copies alike. The first bit is set in every hash.
    """
    rows, columns = np.divmod(np.arange(HASH_BITS), HASH_SIDE)
    return np.flatnonzero((rows + columns < HASH_SIDE) & (rows + columns > 0) & (columns % 2 == 0))


_KEY_BITS = _key_bits()

_MIRRORED_BITS = _mask(np.arange(1, HASH_BITS, 2))
"""The odd horizontal frequencies."""


def _drawn_bits(count: int) -> int:
    """Choose how many bits to draw, so that only a few hashes agree in them by chance."""
    return int(np.clip(math.ceil(math.log2(count)) - 2, 8, 20))


def _close_in_one_draw(
    a: NDArray[np.uint64],
    b: NDArray[np.uint64] | None,
    mask: NDArray[np.uint64],
    max_bits: int,
    max_mirrored_bits: int,
) -> Iterator[NDArray[np.int64]]:
    """Compare the hashes that agree in the bits of a mask.

    Yields:
        Close pairs, int64, coded as row of `a` times rows of the other set
        plus row of the other set.
    """
    keys_a, order_a = _sorted_keys(a, mask)
    keys_b, order_b = (keys_a, order_a) if b is None else _sorted_keys(b, mask)
    # In the order of the keys, the rows that are compared lie side by side.
    sorted_a = a[order_a]
    sorted_b = sorted_a if b is None else b[order_b]
    stops = np.searchsorted(keys_b, keys_a, "right")
    starts = np.arange(1, len(a) + 1) if b is None else np.searchsorted(keys_b, keys_a, "left")
    for places_a, places_b in _ranges(starts, stops):
        bits, mirrored_bits = _differing_bits(sorted_a[places_a], sorted_b[places_b])
        is_close = (bits <= max_bits) | (mirrored_bits <= max_mirrored_bits)
        rows_a, rows_b = order_a[places_a[is_close]], order_b[places_b[is_close]]
        if b is None:
            rows_a, rows_b = np.minimum(rows_a, rows_b), np.maximum(rows_a, rows_b)
        yield rows_a * len(order_b) + rows_b


def _sorted_keys(
    packed: NDArray[np.uint64], mask: NDArray[np.uint64]
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Mix the masked bits of each hash into one number; return them sorted, and their rows."""
    mixed = np.zeros(len(packed), np.uint64)
    for word in range(packed.shape[1]):
        mixed += (packed[:, word] & mask[word]) * _MULTIPLIERS[word]
    # The upper half of a product depends on all bits; unequal hashes that get
    # the same number are told apart when they are compared.
    keys = (mixed >> np.uint64(32)).astype(np.uint32)
    order = np.argsort(keys)
    return keys[order], order


def _ranges(
    starts: NDArray[np.int64], stops: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Pair each place with every number from its start up to its stop.

    Yields:
        Places and numbers, in blocks of bounded size (one place's numbers
        stay together).
    """
    places = np.flatnonzero(stops > starts)
    sizes = stops[places] - starts[places]
    reached = np.cumsum(sizes)
    first = 0
    while first < len(places):
        before = reached[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(reached, before + _COMPARED_AT_ONCE, "right")))
        block, counts = places[first:last], sizes[first:last]
        offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        yield np.repeat(block, counts), np.repeat(starts[block], counts) + offsets
        first = last


def _differing_bits(
    a: NDArray[np.uint64], b: NDArray[np.uint64]
) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Count in how many bits hashes differ, plain and with one mirrored."""
    difference = a ^ b
    return _count_bits(difference), _count_bits(mirrored(difference))


def _count_bits(packed: NDArray[np.uint64]) -> NDArray[np.int16]:
    """Count the bits that are set in each hash."""
    words = np.bitwise_count(packed).astype(np.int16)
    # Several times as fast as NumPy's sum over so short an axis.
    total: NDArray[np.int16] = words[:, 0] + words[:, 1] + words[:, 2] + words[:, 3]
    return total
