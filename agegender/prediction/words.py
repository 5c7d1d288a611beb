"""Answers put into words, the same beside faces on the page and in pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

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


def confidence_percent(confidence: float) -> int:
    """Round a probability to 1 to 99%: no model can promise more, or less."""
    return min(max(round(100 * confidence), 1), 99)


def confidence_words(confidence: float) -> str:
    """Say a probability, as "97%", "over 99%" or "under 1%"."""
    exact, shown = round(100 * confidence), confidence_percent(confidence)
    bound = "over " if exact > shown else "under " if exact < shown else ""
    return f"{bound}{shown}%"


def describe(prediction: Prediction, *, unsure_below: float = UNSURE_BELOW) -> str:
    """Say it all, as "31 years (24 to 39), female (97%)"."""
    return f"{age_words(prediction)}, {gender_words(prediction, unsure_below=unsure_below)}"
