"""Age intervals that are narrow where the age is easy and wide where it is hard.

Conformalised quantile regression (Romano, Patterson and Candès, NeurIPS 2019)
of the residual on a few numbers that say how hard a face is. The quantiles
need faces that the backbone has not learned by heart, on which its errors
would be too small: they are fitted on the selection half of validation, and
made true by the calibration half.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from agegender.config import MAX_AGE_YEARS
from agegender.uncertainty.conformal import conformal_quantile, interval_scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from agegender.model.answer import Answers

    FloatArray = NDArray[np.float64]

MISS = 0.1
"""Share of ages that may lie outside of their intervals: they are 90% intervals."""

AGE_KNOTS = (5.0, 15.0, 25.0, 40.0)
"""Answered ages, in years, where the quantiles may bend. Beyond the last they are straight:
a further bend would let a handful of faces decide for the oldest."""

DIRECTIONS = 12
"""Main directions of faces' features by which the quantiles may differ: they tell kinds of
faces apart, some of which are harder than others that get the same answer."""

PENALTY = 5e-3
"""L1, on standardised covariates; keeps a thousand faces from being learned by heart."""

MIN_FIT_FACES = 100
"""Below so many faces to fit on, the interval has the same width for all."""

PLAIN_COVARIATES = 4
"""Beside the knots and directions: age, gender, disagreement and length."""

_LEAST_WIDTH_YEARS = 1.0


@dataclass(frozen=True)
class AgeIntervals:
    """Intervals around the answered age.

    Attributes:
        knots: Answered ages where the quantiles bend, years, shape (k,).
        directions: Orthonormal columns, float32, shape (2048, d); d may be 0.
        center: What is subtracted from the c = k + 4 + d covariates, shape (c,).
        scale: What they are divided by, shape (c,).
        low: Intercept and coefficients of the residual's lower quantile,
            years, shape (1 + c,).
        high: Those of its upper quantile.
        factor: Widths to add at both ends, by the calibration half.
        constant: Half the width of an interval that is as wide for each face,
            made by the same calibration faces, in years; to compare with.
    """

    knots: FloatArray
    directions: NDArray[np.float32]
    center: FloatArray
    scale: FloatArray
    low: FloatArray
    high: FloatArray
    factor: float
    constant: float

    def __post_init__(self) -> None:
        count = len(self.knots) + PLAIN_COVARIATES + self.directions.shape[1]
        for name, shape in (
            ("center", (count,)),
            ("scale", (count,)),
            ("low", (1 + count,)),
            ("high", (1 + count,)),
        ):
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has shape {getattr(self, name).shape}, not {shape}")

    def ends(self, answers: Answers) -> tuple[FloatArray, FloatArray]:
        """Return both ends for faces, in years.

        Args:
            answers: For n faces.

        Returns:
            (lower, upper), shape (n,), between 0 and `MAX_AGE_YEARS` and
            around the answered age.
        """
        covariates = _covariates(answers, self.knots, self.directions)
        covariates = (covariates - self.center) / self.scale
        low, high = _quantiles(covariates, self.low, self.high)
        added = self.factor * (high - low)
        return clip_ends(answers.age, answers.age + low - added, answers.age + high + added)


def clip_ends(
    age: NDArray[np.floating], low: FloatArray, high: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Keep the ends of intervals to ages that there are, and around the answer.

    Args:
        age: Answered, years, shape (n,).
        low: Lower ends, shape (n,).
        high: Upper ends, shape (n,).
    """
    age = np.asarray(age, np.float64)
    return (
        np.minimum(np.clip(low, 0, MAX_AGE_YEARS), age),
        np.maximum(np.clip(high, 0, MAX_AGE_YEARS), age),
    )


def fit_intervals(
    selection: Answers,
    selection_ages: NDArray[np.floating],
    calibration: Answers,
    calibration_ages: NDArray[np.floating],
    *,
    directions: NDArray[np.float32],
) -> AgeIntervals | None:
    """Fit the quantiles on one half of validation and calibrate them by the other.

    Args:
        selection: Answers for the selection half.
        selection_ages: Their true ages, years.
        calibration: Answers for the calibration half, which has fitted nothing before.
        calibration_ages: Their true ages, years.
        directions: Orthonormal columns, the main directions of faces' features first,
            shape (2048, d); `DIRECTIONS` of them are used. d may be 0.

    Returns:
        The intervals; None if there is no face to fit on, or there are too
        few calibration faces (below 9) to promise 90%.
    """
    if not len(selection_ages):
        return None
    knots = np.array(AGE_KNOTS)
    directions = directions[:, :DIRECTIONS]
    covariates = _covariates(selection, knots, directions)
    center, spread = covariates.mean(axis=0), covariates.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    standardised = (covariates - center) / scale
    residuals = np.asarray(selection_ages, np.float64) - selection.age
    low = _fit_quantile(standardised, residuals, MISS / 2)
    high = _fit_quantile(standardised, residuals, 1 - MISS / 2)

    residuals = np.asarray(calibration_ages, np.float64) - calibration.age
    standardised = (_covariates(calibration, knots, directions) - center) / scale
    ends = _quantiles(standardised, low, high)
    factor = conformal_quantile(interval_scores(residuals, *ends), MISS)
    constant = conformal_quantile(np.abs(residuals), MISS)
    if not math.isfinite(factor):
        return None
    return AgeIntervals(knots, directions, center, scale, low, high, factor, constant)


def _covariates(answers: Answers, knots: FloatArray, directions: NDArray[np.float32]) -> FloatArray:
    """Return what says how hard a face is, shape (n, c).

    The answered age, bent at the knots; the answered gender, as errors differ
    by it; the disagreement of both views; the length of the features, which is
    short for blurred and dark faces; and where they point.
    """
    age = np.asarray(answers.age, np.float64)
    length = np.maximum(np.linalg.norm(answers.features, axis=1).astype(np.float64), 1e-6)
    columns = np.column_stack(
        [
            age,
            *(np.maximum(age - knot, 0) for knot in knots),
            np.asarray(answers.p_female, np.float64),
            np.sqrt(answers.disagreement),
            np.log(length),
            # Not a matrix product, whose threads cost more than they bring here.
            np.einsum("nf,fd->nd", answers.features, directions) / length[:, None],
        ]
    )
    return np.asarray(columns)


def _fit_quantile(covariates: FloatArray, residuals: FloatArray, quantile: float) -> FloatArray:
    """Fit a linear quantile (Koenker and Bassett, Econometrica 1978) of residuals.

    Returns:
        Intercept and coefficients, shape (1 + c,).
    """
    if len(residuals) < MIN_FIT_FACES:
        found, coefficients = np.quantile(residuals, quantile), np.zeros(covariates.shape[1])
        return np.concatenate([[found], coefficients])
    from sklearn.linear_model import QuantileRegressor

    model = QuantileRegressor(quantile=quantile, alpha=PENALTY, solver="highs")
    model.fit(covariates, residuals)
    return np.concatenate([[model.intercept_], model.coef_])


def _quantiles(
    standardised: FloatArray, low: FloatArray, high: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return both quantiles of the residuals of faces, the answer between them."""
    least = _LEAST_WIDTH_YEARS / 2
    return (
        np.minimum(low[0] + standardised @ low[1:], -least),
        np.maximum(high[0] + standardised @ high[1:], least),
    )
