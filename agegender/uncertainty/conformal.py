"""Split conformal prediction: promises that hold whatever the model.

For faces that come as the calibration faces did (they are exchangeable), the
interval made here holds the truth with at least the probability asked for, and
hardly more (Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random
World", 2005; Romano, Patterson and Candès, "Conformalized Quantile Regression",
NeurIPS 2019, theorem 1).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def conformal_quantile(scores: NDArray[np.float64], miss: float) -> float:
    """Return the bound that a new face's score exceeds with a probability of at most `miss`.

    It is the k-th smallest of n scores, k = ceil((n + 1) (1 - miss)).

    Args:
        scores: Scores of the calibration faces, shape (n,); n may be 0.
        miss: In (0, 1).

    Returns:
        The bound; infinity if there are too few scores to promise so much.
    """
    # The small number keeps 70 x 0.9 from being a little more than 63.
    rank = math.ceil((len(scores) + 1) * (1 - miss) - 1e-9)
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else math.inf


def interval_scores(
    residuals: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Score by how far residuals lie outside of their estimated intervals, in widths of these.

    Measured in widths, a wide interval is corrected by more than a narrow one
    (CQR-r of Sesia and Candès, "A comparison of some conformal quantile
    regression methods", Stat 9, 2020).

    Args:
        residuals: True minus answered, shape (n,).
        low: Estimated lower ends of the residuals, shape (n,).
        high: Upper ends, above `low`, shape (n,).

    Returns:
        Scores, shape (n,), below zero inside of the interval.
    """
    return np.maximum(low - residuals, residuals - high) / (high - low)
