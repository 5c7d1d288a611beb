"""Weights of rare ages in the loss of a pretraining."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from agegender.training.balance import OLDEST_YEARS

if TYPE_CHECKING:
    from numpy.typing import NDArray

DENSITY_SIGMA_YEARS = 3.0

MOST_AGE_WEIGHT = 3.0
"""A handful of the oldest must not make up a batch's loss by themselves."""


def balancing_weights(ages: NDArray[np.float64], balance: float) -> NDArray[np.float32]:
    """Weigh rare ages more, by the smoothed density of ages.

    The inverse (`balance` 1) or its square root (0.5) of the label density
    under a Gaussian kernel (Yang et al., "Delving into Deep Imbalanced
    Regression", ICML 2021), at most `MOST_AGE_WEIGHT` times the mean.

    Args:
        ages: Years, shape (n,); NaN where unknown.
        balance: Exponent, 0 for equal weights, 1 for all ages alike (but for the limit).

    Returns:
        Weights with a mean of 1 over the known ages before the limit, a little less after
        it, and 0 for the unknown, shape (n,).
    """
    known = ~np.isnan(ages)
    labels = np.minimum(ages[known], OLDEST_YEARS).astype(int)
    years = np.arange(OLDEST_YEARS + 1)
    kernel = np.exp(-0.5 * ((years[:, None] - years) / DENSITY_SIGMA_YEARS) ** 2)
    kernel /= kernel.sum(axis=0)
    density = (kernel @ np.bincount(labels, minlength=len(years)))[labels]
    weights = np.zeros(len(ages), dtype="float32")
    inverse = density**-balance
    weights[known] = np.minimum(inverse / inverse.mean(), MOST_AGE_WEIGHT)
    return weights
