"""Finding similar hashes without comparing all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from agegender.dataset.hashing import HASH_BITS, close_pairs, mirrored, pack_hashes

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _random_hashes(count: int, seed: int = 0) -> NDArray[np.uint64]:
    return np.random.default_rng(seed).integers(2**64, size=(count, 4), dtype=np.uint64)


def _flip(packed: NDArray[np.uint64], count: int, seed: int = 1) -> NDArray[np.uint64]:
    """Turn `count` random bits of every hash."""
    rng = np.random.default_rng(seed)
    bits = np.zeros((len(packed), HASH_BITS), np.uint8)
    for row in bits:
        row[rng.choice(HASH_BITS, count, replace=False)] = 1
    return packed ^ np.packbits(bits, axis=1).view(np.uint64)


def test_packs_digits_in_order() -> None:
    packed = pack_hashes(["0" * 64, "01" + "0" * 60 + "ff"])
    assert packed.view(np.uint8).tolist() == [[0] * 32, [1] + [0] * 30 + [255]]
    assert pack_hashes([]).shape == (0, 4)


@pytest.mark.parametrize("wrong", ["", "0" * 63, "0" * 65, "g" * 64])
def test_refuses_what_is_no_hash(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"hexadecimal"):
        pack_hashes(["0" * 64, wrong])


def test_mirroring_twice_changes_nothing() -> None:
    packed = _random_hashes(5)
    assert (np.bitwise_count(packed ^ mirrored(packed)).sum(axis=1) == HASH_BITS // 2).all()
    np.testing.assert_array_equal(mirrored(mirrored(packed)), packed)


def test_finds_close_pairs_within_a_set() -> None:
    base = _random_hashes(500)
    found = close_pairs(np.concatenate([base, _flip(base, 20)]), None, 20, 20)
    assert found.rows.tolist() == [[row, row + 500] for row in range(500)]
    assert set(found.bits.tolist()) == {20}


def test_finds_close_pairs_between_sets() -> None:
    base = _random_hashes(3_000)
    some = _flip(base[[5, 17, 2_999]], 10)
    found = close_pairs(some, base, 10, 10)
    assert found.rows.tolist() == [[0, 5], [1, 17], [2, 2_999]]
    assert close_pairs(some, base, 9, 9).rows.size == 0


def test_finds_mirrored_pairs() -> None:
    base = _random_hashes(500)
    found = close_pairs(_flip(mirrored(base), 12), base, 34, 12)
    assert found.rows.tolist() == [[row, row] for row in range(500)]
    assert set(found.mirrored_bits.tolist()) == {12}
    assert (found.bits > 34).all()
    assert not close_pairs(_flip(mirrored(base), 12), base, 34, 11).rows.size


def test_overlooks_hardly_a_pair_at_the_limit() -> None:
    base = _random_hashes(20_000)
    found = close_pairs(_flip(base[:1_000], 42), base, 42, 0)
    assert len(found.rows) > 940


def test_pairs_are_those_of_comparing_everything() -> None:
    # Few distinct bits, so that many hashes are close.
    rng = np.random.default_rng(2)
    packed = _random_hashes(1) ^ (np.uint64(1) << rng.integers(64, size=(300, 4), dtype=np.uint64))
    bits = np.bitwise_count(packed[:, None] ^ packed[None]).sum(axis=2)
    expected = np.argwhere(np.triu(bits <= 6, 1))
    np.testing.assert_array_equal(close_pairs(packed, None, 6, 0).rows, expected)


def test_empty_sets_have_no_pairs() -> None:
    none, some = _random_hashes(0), _random_hashes(3)
    for found in (close_pairs(none, some, 9, 9), close_pairs(some, none, 9, 9)):
        assert found.rows.shape == (0, 2)
        assert found.bits.shape == (0,)
    assert close_pairs(none, None, 9, 9).rows.shape == (0, 2)
    assert close_pairs(some[:1], None, 9, 9).rows.shape == (0, 2)
