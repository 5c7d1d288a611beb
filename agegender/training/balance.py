"""Weights of age bands in the loss of the heads' training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from agegender.config import AGE_BANDS, age_band

if TYPE_CHECKING:
    from numpy.typing import NDArray

OLDEST_YEARS = 100
"""Ages beyond are counted as this one: there are hardly any."""

BAND_SHARES = (0.125, 0.125, 0.75)
"""What each of `AGE_BANDS` is to have of the weights: the last is the hardest by far. Softened
by `BAND_SIGMA_YEARS`, on UTKFace it is 0.14, 0.21 and 0.65."""

BAND_SIGMA_YEARS = 8.0
"""How softly one band's weight passes into the next one's: a step would leave hardly anybody
an answer just below 50."""

MOST_BAND_WEIGHT = 6.0
"""A handful of faces must not make up a batch's loss; on UTKFace the largest is 4.7."""


def band_weights(ages: NDArray[np.floating], balance: float) -> NDArray[np.float32]:
    """Weigh ages so that each age band has roughly its share of the weights.

    Args:
        ages: Years, shape (n,).
        balance: How far, from 0 (every face counts alike) to 1 (`BAND_SHARES` of the bands
            that have faces, softened); at most `MOST_BAND_WEIGHT` times the mean.

    Returns:
        Weights with a mean of 1 before that limit, float32, shape (n,).
    """
    years = np.arange(OLDEST_YEARS + 1)
    labels = np.minimum(ages, OLDEST_YEARS).astype(int)
    band = np.array([age_band(age) for age in range(OLDEST_YEARS + 1)])
    counts = np.bincount(band[labels], minlength=len(AGE_BANDS))
    shares = np.where(counts > 0, BAND_SHARES, 0)
    of_band = np.where(counts > 0, shares / shares.sum() * len(ages) / np.maximum(counts, 1), 1.0)
    kernel = np.exp(-0.5 * ((years[:, None] - years) / BAND_SIGMA_YEARS) ** 2)
    kernel /= kernel.sum(axis=1, keepdims=True)
    # Of the logarithm: from a quarter to nearly fourfold it passes evenly.
    wanted = np.exp(kernel @ np.log(of_band[band]))[labels]
    weights = np.minimum(1 + balance * (wanted / wanted.mean() - 1), MOST_BAND_WEIGHT)
    return np.asarray(weights, np.float32)
