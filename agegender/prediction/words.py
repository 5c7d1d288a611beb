"""Answers put into words, the same beside faces on the page and in pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agegender.prediction.tables import CONFIDENCE_DIGITS

if TYPE_CHECKING:
    from agegender.prediction.predictor import Prediction

UNSURE_BELOW = 0.7
"""A gender with less confidence is called unsure, unless the user says otherwise."""


def age_words(prediction: Prediction) -> str:
    """Say the age with its interval, as "31 years (24 to 39)"."""
    low, high = prediction.age_low, prediction.age_high
    interval = "" if low is None or high is None else f" ({low:.0f} to {high:.0f})"
    return f"{prediction.age:.0f} years{interval}"


def gender_words(prediction: Prediction, *, unsure_below: float = UNSURE_BELOW) -> str:
    """Say the gender with its confidence: "female (97%)", or "unsure (female 62%)"."""
    confidence = confidence_words(prediction.confidence)
    if prediction.confidence < unsure_below:
        return f"unsure ({prediction.gender} {confidence})"
    return f"{prediction.gender} ({confidence})"


def confidence_words(confidence: float) -> str:
    """Say a probability, as "97%", "over 99%" or "under 1%": no model can promise more, or less."""
    # As tables have it, so that it is not rounded one way here and another there.
    percent = round(100 * round(confidence, CONFIDENCE_DIGITS))
    if percent > 99:
        return "over 99%"
    return "under 1%" if percent < 1 else f"{percent}%"


def describe(prediction: Prediction, *, unsure_below: float = UNSURE_BELOW) -> str:
    """Say it all, as "31 years (24 to 39), female (97%)"."""
    return f"{age_words(prediction)}, {gender_words(prediction, unsure_below=unsure_below)}"
