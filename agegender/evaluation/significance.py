"""Whether two groups differ by more than chance would make them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from agegender.evaluation.intervals import share_difference

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHANCE = 0.05
"""Of calling at least one of many differences real though none is."""


LEAST_SPREAD = 1e-6
"""Beside the largest value: numbers that vary less are the same, but for rounding."""


@dataclass(frozen=True)
class Difference:
    """A group's figure less that of others.

    Attributes:
        gap: The difference; NaN if it cannot be computed.
        low: Lower end of its 95% interval, for this difference alone.
        high: Upper end.
        p: Chance of a difference at least so large where there is none.
    """

    gap: float
    low: float
    high: float
    p: float


UNKNOWN = Difference(math.nan, math.nan, math.nan, math.nan)


def difference_of_means(first: NDArray[np.float64], second: NDArray[np.float64]) -> Difference:
    """Compare two means by the test of Welch (1947), which takes groups of unequal spread.

    Args:
        first: A number for each face, shape (n,).
        second: The same of the other group, shape (m,).

    Returns:
        `UNKNOWN` where either group has fewer than two faces or neither varies.
    """
    from scipy import stats

    if min(len(first), len(second)) < 2:
        return UNKNOWN
    if max(first.std(), second.std()) <= LEAST_SPREAD * max(np.abs([*first, *second]).max(), 1):
        return UNKNOWN
    with warnings.catch_warnings():
        # That one group hardly varies makes no difference where the other does.
        warnings.filterwarnings("ignore", "Precision loss", RuntimeWarning)
        result = stats.ttest_ind(first, second, equal_var=False)
    low, high = result.confidence_interval(0.95)
    gap = float(first.mean() - second.mean())
    return Difference(gap, float(low), float(high), float(result.pvalue))


def difference_of_shares(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Difference:
    """Compare two shares by Fisher's exact test, which holds near 0 and 1 and for few faces.

    Args:
        first: Whether each face is right, shape (n,).
        second: The same of the other group, shape (m,).

    Returns:
        With Newcombe's interval; `UNKNOWN` where either group is empty.
    """
    from scipy import stats

    if not (len(first) and len(second)):
        return UNKNOWN
    hits, other_hits = int(first.sum()), int(second.sum())
    low, high = share_difference(hits, len(first), other_hits, len(second))
    counts = [[hits, len(first) - hits], [other_hits, len(second) - other_hits]]
    gap = hits / len(first) - other_hits / len(second)
    return Difference(gap, low, high, float(stats.fisher_exact(counts).pvalue))


def holm(p_values: Sequence[float]) -> NDArray[np.float64]:
    """Correct for the number of comparisons (Holm, 1979).

    If differences are called real where the corrected value is at most
    `CHANCE`, that is also the most with which any is called so by chance. It
    holds however the comparisons hang together, and those of nested groups do;
    Benjamini and Hochberg's correction asks for more.

    Args:
        p_values: One for each comparison.

    Returns:
        The corrected values, float64, in the same order.
    """
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(steps, 1)
    return corrected
