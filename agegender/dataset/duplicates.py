"""Pictures that show the same photo: byte for byte, nearly, or mirrored.

UTKFace holds hundreds of photos several times, in other sizes, colours and
crops, with other ages. Two of them must not stand on both sides of a split.

A 256-bit perceptual hash (the signs of the low DCT frequencies against their
median, after Zauner, "Implementation and Benchmarking of Perceptual Image Hash
Functions", 2010) finds candidates; the hash alone decides where it is sure, and
the pixels' detail decides the rest. How the numbers below were chosen, and what
they miss, is in docs/duplicates.md.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from agegender.dataset.hashing import ClosePairs, close_pairs, pack_hashes
from agegender.errors import InvalidImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

DUPLICATES_VERSION = "phash256-detail-1"
"""Names the rule below; a change needs another number."""

SURE_BITS = 42
"""Hashes that differ in no more bits show the same photo."""

SURE_MIRRORED_BITS = 34
"""The same for one picture's hash and the other's mirrored."""

CANDIDATE_BITS = 56
"""Up to this many bits, the pixels decide."""

DETAIL_CORRELATION = 0.90
"""Detail that correlates at least so well shows the same photo."""

TELLING_BITS = 96
"""The hash of a flat picture has fewer bits set than this and tells nothing;
other pictures' have half of them set."""

_DETAIL_SIZE = 64
_DETAIL_SHIFT = 8
"""Largest shift between two crops of a photo, in pixels of `_DETAIL_SIZE`."""
_DETAIL_SIGMAS = (1.0, 4.0)
"""Detail is what lies between these blurs: finer is noise and sharpness,
coarser is what all aligned faces have in common."""

_CACHED_DETAILS = 4096
"""Pictures kept while candidates are compared; 16 KB each."""


def perceptual_hash(rgb: NDArray[np.uint8]) -> str:
    """Describe what a picture looks like in 256 bits.

    Args:
        rgb: RGB pixels, uint8, shape (height, width, 3), any size.

    Returns:
        64 hexadecimal digits; pictures that look alike differ in few bits.
    """
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (64, 64), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:16, :16]
    return np.packbits(low > np.median(low)).tobytes().hex()


def near_matches(hashes_a: Sequence[str], hashes_b: Sequence[str]) -> NDArray[np.int64]:
    """Find pictures of one set that are also in another, by their hashes alone.

    Args:
        hashes_a: Perceptual hashes of one set.
        hashes_b: Perceptual hashes of the other.

    Returns:
        int64, shape (pairs, 2): a row of `hashes_a` and one of `hashes_b`
        that show the same photo, mirrored or not; sorted, each pair once.
    """
    return close_pairs(
        pack_hashes(hashes_a), pack_hashes(hashes_b), SURE_BITS, SURE_MIRRORED_BITS
    ).rows


def detail_correlation(
    rgb_a: NDArray[np.uint8], rgb_b: NDArray[np.uint8], *, mirror: bool = False
) -> float:
    """Compare the detail of two pictures of aligned faces.

    Args:
        rgb_a: RGB pixels, uint8, shape (height, width, 3).
        rgb_b: The other picture.
        mirror: Whether to mirror the other picture first.

    Returns:
        Normalised correlation, -1 to 1, of the pictures' detail at the best
        of small shifts; 0 for a picture without detail.
    """
    return _correlate(_detail(rgb_a), _detail(rgb_b), mirror=mirror)


def find_duplicates(
    faces: pd.DataFrame,
    read: Callable[[str], NDArray[np.uint8]],
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.int64]:
    """Group the faces that show the same photo.

    Args:
        faces: With `file`, `sha256` and `phash`.
        read: Returns the RGB pixels of a file; called for the few faces that
            hashes cannot decide. A file that it cannot read matches nothing.
        on_progress: Called with (done, total) while pixels are compared.

    Returns:
        int64, shape (n,): the number of each face's group, counted from 0 in
        the order of `faces`; -1 for a face that stands alone.
    """
    content_of_face, first_faces = _distinct(faces["sha256"])
    # Work on distinct hashes: a photo that is there ten thousand times costs one.
    phashes = faces["phash"].iloc[first_faces]
    hash_of_content, first_contents = _distinct(phashes)
    hashes = pack_hashes(phashes.array[first_contents])
    del phashes
    telling = np.flatnonzero(np.bitwise_count(hashes).sum(axis=1) >= TELLING_BITS)
    files = faces["file"].array[first_faces[first_contents[telling]]]
    pairs = _near_pairs(hashes[telling], files, read, on_progress)
    group_of_hash = _connected(telling[pairs], len(hashes))
    group_of_content = group_of_hash[hash_of_content]
    is_telling = np.isin(hash_of_content, telling)
    group_of_content[~is_telling] = len(hashes) + np.flatnonzero(~is_telling)
    return _numbered(group_of_content[content_of_face])


def _distinct(values: pd.Series[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the distinct values by first occurrence, and tell where that is."""
    codes = pd.factorize(values)[0]
    return codes, np.unique(codes, return_index=True)[1]


def _near_pairs(
    hashes: NDArray[np.uint64],
    files: Sequence[str],
    read: Callable[[str], NDArray[np.uint8]],
    on_progress: Callable[[int, int], None] | None,
) -> NDArray[np.int64]:
    """Return the pairs of rows, shape (pairs, 2), that show the same photo."""

    @lru_cache(maxsize=_CACHED_DETAILS)
    def detail(row: int) -> NDArray[np.float32] | None:
        try:
            return _detail(read(files[row]))
        except InvalidImageError:
            return None

    def agree(candidate: tuple[int, int, bool]) -> bool:
        row_a, row_b, mirror = candidate
        a, b = detail(row_a), detail(row_b)
        if a is None or b is None:
            return False
        return _correlate(a, b, mirror=mirror) >= DETAIL_CORRELATION

    found = close_pairs(hashes, None, CANDIDATE_BITS, CANDIDATE_BITS)
    is_sure, undecided = _judge(found, len(hashes))
    confirmed = []
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        for done, (candidate, is_near) in enumerate(
            zip(undecided, pool.map(agree, undecided), strict=True), start=1
        ):
            if is_near:
                confirmed.append(candidate[:2])
            if on_progress is not None:
                on_progress(done, len(undecided))
    finally:
        pool.shutdown(cancel_futures=True)
    return np.concatenate([found.rows[is_sure], np.array(confirmed, np.int64).reshape(-1, 2)])


def _judge(found: ClosePairs, count: int) -> tuple[NDArray[np.bool_], list[tuple[int, int, bool]]]:
    """Tell which pairs are sure by their hashes, and list the comparisons that are needed.

    Args:
        found: Pairs of close hashes.
        count: How many hashes there are.

    Returns:
        Whether each pair is sure, and for the others (row, row, mirrored).
    """
    is_sure = (found.bits <= SURE_BITS) | (found.mirrored_bits <= SURE_MIRRORED_BITS)
    # Of a video's frames most pairs stand in one group already.
    group = _connected(found.rows[is_sure], count)
    is_open = group[found.rows[:, 0]] != group[found.rows[:, 1]]
    undecided = [
        (row_a, row_b, mirror)
        for mirror, bits in ((False, found.bits), (True, found.mirrored_bits))
        for row_a, row_b in found.rows[(bits <= CANDIDATE_BITS) & is_open].tolist()
    ]
    return is_sure, undecided


def _detail(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return what a picture has between the coarse and the very fine, in 64 x 64 pixels."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    size = (_DETAIL_SIZE, _DETAIL_SIZE)
    small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    fine, coarse = (cv2.GaussianBlur(small, (0, 0), sigma) for sigma in _DETAIL_SIGMAS)
    return np.asarray(fine - coarse, np.float32)


def _correlate(a: NDArray[np.float32], b: NDArray[np.float32], *, mirror: bool) -> float:
    """Return the best correlation over small shifts, the same for both orders."""
    if mirror:
        b = np.ascontiguousarray(b[:, ::-1])
    inner = slice(_DETAIL_SHIFT, _DETAIL_SIZE - _DETAIL_SHIFT)
    # OpenCV calls a flat patch a perfect match of everything.
    if min(a[inner, inner].std(), b[inner, inner].std()) < 1.0:
        return 0.0
    return max(
        float(cv2.matchTemplate(whole, part[inner, inner].copy(), cv2.TM_CCOEFF_NORMED).max())
        for whole, part in ((a, b), (b, a))
    )


def _connected(pairs: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Label the connected components of a graph with `count` nodes."""
    edges = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), (count, count))
    _, labels = connected_components(edges, directed=False)
    return np.asarray(labels, np.int64)


def _numbered(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the labels that occur more than once by first occurrence, the others -1."""
    codes, _ = pd.factorize(labels)
    is_shared = np.bincount(codes, minlength=1)[codes] > 1
    numbers = np.full(len(labels), -1, np.int64)
    numbers[is_shared] = pd.factorize(codes[is_shared])[0]
    return numbers
