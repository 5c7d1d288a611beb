"""Temperature scaling: genders as sure as they are right.

Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks",
ICML 2017. All logits are divided by one number, so that no answer changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SURE = 1e-7
"""Probabilities are kept so far from 0 and 1, which have no logit."""

_LARGEST_TEMPERATURE = 10.0


def scale_probability(probability: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    """Divide the logits of probabilities by a temperature.

    Args:
        probability: 0..1, any shape.
        temperature: Above 0; 1 changes nothing, larger is less sure.

    Returns:
        Probabilities, float64, on the same side of 0.5 as before.
    """
    return np.asarray(1 / (1 + np.exp(-_logits(probability) / temperature)))


def fit_temperature(probability: NDArray[np.floating], truth: NDArray[np.int64]) -> float:
    """Find the temperature that makes the truth likeliest.

    Args:
        probability: Of 1, shape (n,), n at least 1.
        truth: 0 or 1, shape (n,).

    Returns:
        The temperature, between 0.1 and 10.
    """
    from scipy.optimize import minimize_scalar

    # The logit of what is true; its cross-entropy is log(1 + exp(-logit)).
    logits = np.where(truth == 1, 1, -1) * _logits(probability)

    def cross_entropy(log_temperature: float) -> float:
        return float(np.logaddexp(0, -logits * np.exp(-log_temperature)).mean())

    bound = float(np.log(_LARGEST_TEMPERATURE))
    found = minimize_scalar(cross_entropy, bounds=(-bound, bound), method="bounded")
    return float(np.exp(found.x))


def _logits(probability: NDArray[np.floating]) -> NDArray[np.float64]:
    kept = np.clip(np.asarray(probability, np.float64), _SURE, 1 - _SURE)
    return np.asarray(np.log(kept) - np.log1p(-kept))
