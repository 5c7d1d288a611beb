"""95% intervals: how far a figure may be off because the sample is small."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from agegender.config import SEED

if TYPE_CHECKING:
    from numpy.typing import NDArray

RESAMPLES = 2000
"""Bootstrap samples; the interval's ends then move by about 1% of its width."""

FEWEST_RESAMPLED = 10
"""Values or persons. Of fewer a bootstrap's interval is far too narrow: of two, it spans these."""

Z95 = 1.959964
"""Standard deviations of a normal distribution around 95% of it."""

_DRAWS_AT_ONCE = 4_000_000
"""Bounds the memory of a bootstrap (32 MB of indices) for any sample."""


def bootstrap_mean(
    values: NDArray[np.float64], *, clusters: NDArray[np.int64] | None = None, seed: int = SEED
) -> tuple[float, float]:
    """Return the 95% percentile bootstrap interval of a mean (Efron, 1979).

    Args:
        values: One number for each face, shape (n,), n at least 1.
        clusters: Number of the person, from 0, that each face is of: persons are
            then drawn with all their faces, which are not independent. By default
            every face counts as somebody else's.
        seed: Seed of the resampling, so that a report can be repeated.

    Returns:
        The lower and the upper end; NaN of fewer than `FEWEST_RESAMPLED` values or persons.

    Raises:
        ValueError: If there is no value.
    """
    if not len(values):
        raise ValueError("a mean of no values has no interval")
    sums = values if clusters is None else np.bincount(clusters, values)
    sizes = None if clusters is None else np.bincount(clusters)
    count = len(sums)
    if count < FEWEST_RESAMPLED:
        return math.nan, math.nan
    rng = np.random.default_rng(seed)
    step = max(1, _DRAWS_AT_ONCE // count)
    means = []
    for start in range(0, RESAMPLES, step):
        drawn = rng.integers(0, count, (min(step, RESAMPLES - start), count))
        totals = sums[drawn].sum(axis=1)
        means.append(totals / (count if sizes is None else sizes[drawn].sum(axis=1)))
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return float(low), float(high)


def wilson(hits: float, count: float, *, z: float = Z95) -> tuple[float, float]:
    """Return the interval of a share, of 95% by default (Wilson, 1927).

    Unlike the textbook interval it stays within 0..1 and is right for shares
    near 1 and for small groups.

    Args:
        hits: How many of the faces were right.
        count: How many faces there were, at least 1. Neither is whole where faces are not
            independent, and so count for less.
        z: Standard deviations of a normal distribution around the level.

    Returns:
        The lower and the upper end, in 0..1.

    Raises:
        ValueError: If there is no face.
    """
    if not count:
        raise ValueError("a share of no faces has no interval")
    share = hits / count
    square = z**2 / count
    centre = (share + square / 2) / (1 + square)
    half = z * math.sqrt(share * (1 - share) / count + square / (4 * count)) / (1 + square)
    # At 0 and 1 rounding would leave the share itself just outside.
    return min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half))


def share_difference(
    first_hits: int, first_count: int, second_hits: int, second_count: int, *, pairs: int = 1
) -> tuple[float, float]:
    """Return the 95% interval of the difference of two shares (Newcombe, 1998, method 10).

    Args:
        first_hits: Right answers in the first group.
        first_count: Faces in the first group, at least 1.
        second_hits: Right answers in the second group.
        second_count: Faces in the second group, at least 1.
        pairs: Of how many differences this was picked: the interval is then wider, so
            that those of all would hold together in 95% of cases (Bonferroni).

    Returns:
        The lower and the upper end of first minus second, in -1..1.
    """
    first, second = first_hits / first_count, second_hits / second_count
    z = Z95 if pairs == 1 else NormalDist().inv_cdf(1 - 0.025 / pairs)
    first_low, first_high = wilson(first_hits, first_count, z=z)
    second_low, second_high = wilson(second_hits, second_count, z=z)
    difference = first - second
    return (
        difference - math.hypot(first - first_low, second_high - second),
        difference + math.hypot(first_high - first, second - second_low),
    )
